/* shown: texts of others, made fit for a terminal.
 *
 * A title, a message, a path may hold anything, and a terminal obeys control characters. Those
 * become `?` here, one for each byte; so does what is no UTF-8. Columns are counted in characters.
 * Pure functions: they append to a buffer.
 */
#ifndef SEGUE_API_SHOWN_H
#define SEGUE_API_SHOWN_H

#include "base/buf.h"
#include "base/clock.h"

/* Length of the character at `text`; 0 when it is none that may reach a terminal. */
size_t shown_len(const char *text, const char *end);

void shown_put(struct buf *out, const char *text);

/* With each further line of the text set in by `indent`, so that it cannot be taken for one of
 * ours; empty lines are left out. */
void shown_put_lines(struct buf *out, const char *text, int indent);

/* Cut, with an ellipsis, or filled up to `width`. */
void shown_put_column(struct buf *out, const char *text, int width);
int shown_width(const char *text);

/* "  1.5 s", "2:03 min", "1:02:03 h"; seconds are right-aligned. */
void shown_put_duration(struct buf *out, msec duration);

#endif
