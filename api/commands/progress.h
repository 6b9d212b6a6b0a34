/* progress: what is shown while a run goes on, and at its end.
 *
 * On a terminal: a line for each step that has ended, and below them a live part with the steps
 * that run, their cells and their time. Elsewhere: a line for each start and end. Or, for programs,
 * each event as it is, one JSON object a line. Draws on stdout only; knows the run by a description
 * and through its events, wherever they come from. Belongs to the thread of its loop.
 */
#ifndef SEGUE_API_PROGRESS_H
#define SEGUE_API_PROGRESS_H

#include "api/commands/exit_status.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdint.h>

struct progress;

enum progress_style { PROGRESS_TEXT, PROGRESS_JSON };

struct progress_step {
    const char *uuid;
    const char *label;
    const char *executed; /* where the executed notebook is, for the table; NULL: none */
};

struct progress_run {
    const char *name;
    const char *uuid;
    const struct progress_step *steps;
    uint32_t count;
};

/* Colours and the live part only where stdout is a terminal (and NO_COLOR is not set). */
struct progress *progress_new(struct loop *loop, enum progress_style style);
void progress_free(struct progress *progress);

/* Before the first event of a step. The run is borrowed, until progress_free. */
void progress_begin(struct progress *progress, const struct progress_run *run);

/* An event of docs/events.md by its name; "" for one that only programs are told of. */
void progress_event(struct progress *progress, const char *name, struct str json);

/* Something that is no event: "stopping ...". Goes above the live part. */
void progress_say(struct progress *progress, const char *text);

/* Takes the live part away and shows the table of steps, then what is in `footer`, a line. */
void progress_end(struct progress *progress, const char *footer);

/* What the run's end means, by the events so far. */
enum exit_status progress_exit_status(const struct progress *progress);

#endif
