/* last_words: the end of what a program wrote to its stderr, where most say what went wrong.
 *
 * Keeps a bounded number of bytes. Owns them; one owner.
 */
#ifndef SEGUE_KERNEL_GATEWAY_LAST_WORDS_H
#define SEGUE_KERNEL_GATEWAY_LAST_WORDS_H

#include "base/buf.h"

struct last_words {
    struct buf tail;
};

void last_words_add(struct last_words *words, const char *data, size_t len);
void last_words_clear(struct last_words *words);

/* The last line that is not blank, without the white space behind it; "" when there was none. For
 * when no more is to come: cuts what is behind the line. Good until the next call. */
const char *last_words_line(struct last_words *words);

#endif
