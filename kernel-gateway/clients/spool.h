/* spool: numbered records on the disk, for message_log: written at one end, dropped at the other.
 *
 * They lie in files without names, which are gone with the process; a file is closed when its
 * records are forgotten or have to make room. Within a file the numbers have no holes, between two
 * files they may. Owns the files. One thread; blocks for as long as the disk takes.
 */
#ifndef SEGUE_KERNEL_GATEWAY_SPOOL_H
#define SEGUE_KERNEL_GATEWAY_SPOOL_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct spool;

struct spool *spool_new(const char *directory, uint64_t disk_bytes); /* `directory` is copied */
void spool_free(struct spool *spool);                                /* NULL is allowed */

struct spool_record {
    uint64_t number;
    uint32_t tag;
    struct str data; /* shorter than 4 GiB */
};

#define SPOOL_RECORD_EXTRA 16  /* bytes on the disk beside the data */
#define SPOOL_BATCH_MAX    256 /* records of one call of spool_write */

/* Writes records with numbers in a row, higher than all before, and drops the oldest files where
 * there is no room otherwise. false: these records are not on the disk. */
bool spool_write(struct spool *spool, const struct spool_record *records, size_t count);

/* The first number from `number` on that is here; UINT64_MAX: none. */
uint64_t spool_find(const struct spool *spool, uint64_t number);

/* How many records from `number` on are here. */
uint64_t spool_count(const struct spool *spool, uint64_t number);

/* Where a record lies; all-zero is nowhere. What a reader keeps of it is a hint: when it is wrong,
 * that costs time and nothing else. */
struct spool_place {
    uint64_t file;
    uint64_t offset;
};

/* Looks up the record with a number that spool_find gave, then reads its data; `place` then stands
 * at the next one. false: the disk fails, and the record and those behind it in its file are
 * dropped. */
bool spool_seek(struct spool *spool, uint64_t number, struct spool_place *place, uint32_t *ret_tag,
                uint32_t *ret_len);
bool spool_read(struct spool *spool, uint64_t number, struct spool_place *place, char *data,
                uint32_t len);

/* Closes the files that end before this number. */
void spool_forget(struct spool *spool, uint64_t number);

uint64_t spool_bytes(const struct spool *spool);

#endif
