/* lines: the whole lines of a file that somebody else writes, one after the other, in bounded
 * memory whatever is in it.
 *
 * A line is there when its newline is. Those longer than `cap` are passed over and counted. Owns
 * the descriptor. One owner, one thread.
 */
#ifndef SEGUE_RUNNER_LINES_H
#define SEGUE_RUNNER_LINES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct lines {
    int fd;
    size_t cap;        /* bytes of a line, without its newline */
    uint64_t too_long; /* how many were passed over */
    struct buf pending;
    size_t given; /* of what is pending: lines given, then lines to come */
    bool is_skipping;
};

void lines_open(struct lines *lines, int take_fd, size_t cap);
void lines_close(struct lines *lines);
#define auto_lines __attribute__((cleanup(lines_close)))

/* The next line without its newline, good until the next call; 1: a line, 0: the end. */
int lines_next(struct lines *lines, struct str *ret_line, struct err *e);

#endif
