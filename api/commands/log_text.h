/* log_text: what steps have printed, made fit for a terminal, piece by piece.
 *
 * Text, line ends, tabs and colours (SGR, ECMA-48 8.3.117) pass. Any other control sequence is left
 * out: it would move the cursor, set the title, ask the terminal for answers. A carriage return
 * begins a new line, so that nothing that was shown is overwritten. What is neither becomes `?`.
 * Keeps what is not whole at the end of a piece. An all-zero one is at the beginning of a text.
 */
#ifndef SEGUE_API_LOG_TEXT_H
#define SEGUE_API_LOG_TEXT_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

struct log_text {
    struct buf held;  /* not whole yet */
    bool is_coloured; /* the last colour that passed was not undone */
};

void log_text_put(struct log_text *log, struct str bytes, struct buf *out);

/* No more is to come: what was held passes as far as it may, and colours are undone. */
void log_text_end(struct log_text *log, struct buf *out);
void log_text_clear(struct log_text *log);

#endif
