/* progress: what `segue run` shows while a run goes on, and at its end.
 *
 * On a terminal: a line for each step that has ended, and below them a live part with the steps
 * that run, their cells and their time. Elsewhere: a line for each start and end. Or, for programs,
 * each event as it is, one JSON object a line. Draws on stdout only; knows the run through its
 * events and looks nothing up anywhere else. Belongs to the engine's thread.
 */
#ifndef SEGUE_API_PROGRESS_H
#define SEGUE_API_PROGRESS_H

#include "base/loop.h"
#include "runner/engine/engine.h"

struct progress;

enum progress_style { PROGRESS_TEXT, PROGRESS_JSON };

/* Colours and the live part only where stdout is a terminal (and NO_COLOR is not set). */
struct progress *progress_new(struct loop *loop, enum progress_style style);
void progress_free(struct progress *progress);

/* Before the first event. The run is borrowed. */
void progress_begin(struct progress *progress, const struct live_run *live);

void progress_event(struct progress *progress, const struct engine_event *event);

/* Something that is no event: "stopping ...". Goes above the live part. */
void progress_say(struct progress *progress, const char *text);

/* Takes the live part away and shows the table of steps and where the executed notebooks are. */
void progress_end(struct progress *progress);

#endif
