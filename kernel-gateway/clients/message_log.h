/* message_log: what a kernel has said, kept for those who have not heard it yet.
 *
 * Messages are numbered from 1. The newest lie in memory, the very newest however long it is; what
 * goes over `memory_bytes` is written to files without names in `directory`, which are gone with
 * the process; what goes over `disk_bytes`, or finds the disk full, is dropped from the oldest end.
 * (One that alone is over `disk_bytes`, or that the disk fails to take, is dropped from where it
 * is.) Whoever reads is told of what is missing. A reader is a cursor of its own: it may stop for
 * days and read on. One thread; reading from the disk blocks for as long as that takes.
 */
#ifndef SEGUE_KERNEL_GATEWAY_MESSAGE_LOG_H
#define SEGUE_KERNEL_GATEWAY_MESSAGE_LOG_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct message_log;

struct message_log_options {
    const char *directory; /* copied */
    size_t memory_bytes;   /* 0: 4 MiB */
    uint64_t disk_bytes;   /* 0: 256 MiB */
};

struct message_log *message_log_new(const struct message_log_options *options);
void message_log_free(struct message_log *log); /* NULL is allowed; no entry may be held */

/* A message that is held; its bytes stay where they are until it is let go. */
struct log_entry {
    uint64_t number;
    uint32_t tag; /* the writer's, as given */
    struct str data;
};

/* Appends; gives its number. `data` is copied. */
uint64_t message_log_add(struct message_log *log, uint32_t tag, struct str data);

uint64_t message_log_next(const struct message_log *log); /* the number the next one will get */

/* Where a reader is. All-zero is the beginning. */
struct log_cursor {
    uint64_t number;  /* of the next message to read; 0 is 1 */
    uint64_t segment; /* private: where that lies on the disk, see spool.h */
    uint64_t offset;
};

void log_cursor_set(struct log_cursor *cursor, uint64_t number);

enum log_read { LOG_NOTHING, LOG_ENTRY, LOG_GAP };

/* LOG_ENTRY: *ret_entry is to be given back by message_log_put, and the cursor stands behind it.
 * LOG_GAP: *ret_missing messages were dropped, and the cursor stands behind them. LOG_NOTHING: it
 * stands at the end. */
enum log_read message_log_read(struct message_log *log, struct log_cursor *cursor,
                               const struct log_entry **ret_entry, uint64_t *ret_missing);
void message_log_put(struct message_log *log, const struct log_entry *entry);

/* Nobody will read what lies before this number: it is forgotten, and a gap for whoever reads it
 * all the same. */
void message_log_forget(struct message_log *log, uint64_t number);

struct message_log_figures {
    size_t memory_bytes;
    uint64_t disk_bytes, dropped; /* messages */
};
struct message_log_figures message_log_figures(const struct message_log *log);

#endif
