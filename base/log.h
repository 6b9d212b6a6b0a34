/* log: one line per thing that happened, for whoever operates a service:
 *
 *   time=2026-11-22T01:54:40.344715Z level=info event=run_finished run=8617... status=SUCCESS
 *
 * Written to standard error with one write each. Only programs' edges log (the service), libraries
 * never do. Thread-safe. Values with spaces, quotes or control characters are quoted and escaped,
 * so that a line is a line whatever a client sent.
 */
#ifndef SEGUE_BASE_LOG_H
#define SEGUE_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Lines below it are dropped; LOG_INFO at first. */
void log_set_level(enum log_level level);

/* log_line(LOG_INFO, "run_finished", "run", uuid, "status", name, NULL): pairs of key and text up
 * to a NULL key; a NULL text leaves the pair out. */
void log_line(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
