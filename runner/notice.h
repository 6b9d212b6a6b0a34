/* notice: an event as users and tools see it: one JSON object.
 *
 *   {"id":17,"run_uuid":"...","step_uuid":"...","time":"...","event":"step_finished",...}
 *
 * Made from an event of the run's state or from a line of an attempt's journal. Pure functions.
 */
#ifndef SEGUE_RUNNER_NOTICE_H
#define SEGUE_RUNNER_NOTICE_H

#include "base/buf.h"
#include "base/str.h"
#include "runner/run.h"

#include <stdint.h>

/* `payload` is a JSON object whose members are added, or none. step_uuid NULL: about the run. */
void notice_of_event(struct buf *out, int64_t id, const char *run_uuid, const char *step_uuid,
                     const struct run_event *event, struct str payload);

/* The line's members but for its number, with who it is about in front. */
void notice_of_line(struct buf *out, int64_t id, const char *run_uuid, const char *step_uuid,
                    struct str line);

#endif
