/* A file is a run of records, each a head and its data:
 *
 *     u64 number | u32 tag | u32 length | data
 *
 * Where they begin is known for the first record of each write only; a reader that comes from
 * elsewhere goes on from there, head by head. A reader that stays reads in one go what lies near.
 */
#include "kernel-gateway/clients/spool.h"

#include "base/fs.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>

/* A file is full when it has this share of what is allowed on the disk: what is dropped to make
 * room is then about that much. */
#define FILE_SHARE 32

/* There are more of them only when writing fails again and again; each is an open descriptor. */
#define FILES_MAX (2 * FILE_SHARE)

#define WINDOW_BYTES (64 * 1024)

struct head {
    uint64_t number;
    uint32_t tag;
    uint32_t len;
};
static_assert(sizeof(struct head) == SPOOL_RECORD_EXTRA, "as the header says");

/* Where a write began. */
struct mark {
    uint64_t number;
    uint64_t offset;
};

struct file {
    uint64_t id; /* from 1, never used again */
    int fd;
    uint64_t first, next; /* the numbers that are in it: next - 1 is the last */
    uint64_t size;
    struct mark *marks;
    size_t mark_count, mark_capacity;
};

struct spool {
    char *directory;
    uint64_t disk_bytes, bytes, last_id;
    struct file files[FILES_MAX]; /* the oldest first */
    size_t file_count;
    struct {
        uint64_t file, offset;
        size_t len;
        char *data; /* WINDOW_BYTES, or NULL */
    } window;
};

struct spool *spool_new(const char *directory, uint64_t disk_bytes)
{
    struct spool *spool = mem_zalloc(sizeof *spool);

    spool->directory = mem_strdup(directory);
    spool->disk_bytes = disk_bytes;
    return spool;
}

static void drop_file(struct spool *spool, size_t index)
{
    struct file *file = &spool->files[index];

    close(file->fd);
    free(file->marks);
    spool->bytes -= file->size;
    spool->file_count--;
    memmove(file, file + 1, (spool->file_count - index) * sizeof *file);
    if (spool->file_count == 0) {
        free(spool->window.data);
        spool->window.data = NULL;
        spool->window.file = 0;
    }
}

void spool_free(struct spool *spool)
{
    if (!spool)
        return;
    while (spool->file_count > 0)
        drop_file(spool, spool->file_count - 1);
    free(spool->directory);
    free(spool);
}

/* --- writing --- */

/* Not every file system has files without names: there, one loses its name at once. */
static int open_nameless(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    auto_free char *path = fs_join(directory, "spool-XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* The file that goes on with this number, maybe a new one; NULL: none can be made. */
static struct file *file_for(struct spool *spool, uint64_t number)
{
    struct file *last = spool->file_count ? &spool->files[spool->file_count - 1] : NULL;
    if (last && last->next == number && last->size < spool->disk_bytes / FILE_SHARE)
        return last;
    int fd = open_nameless(spool->directory);
    if (fd < 0)
        return NULL;
    if (spool->file_count == FILES_MAX)
        drop_file(spool, 0);
    struct file *file = &spool->files[spool->file_count++];
    *file = (struct file){.id = ++spool->last_id, .fd = fd, .first = number, .next = number};
    return file;
}

static bool write_fully(int fd, struct iovec *parts, int count, uint64_t offset)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, parts, count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        offset += (uint64_t)n;
        while (count > 0 && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return true;
}

/* What a write that failed has left behind the end is cut off. */
static bool append(struct spool *spool, struct file *file, const struct spool_record *records,
                   size_t count)
{
    struct head heads[SPOOL_BATCH_MAX];
    struct iovec parts[2 * SPOOL_BATCH_MAX];
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++) {
        const struct spool_record *record = &records[i];
        heads[i] = (struct head){record->number, record->tag, (uint32_t)record->data.len};
        parts[2 * i] = (struct iovec){&heads[i], sizeof heads[i]};
        parts[2 * i + 1] = (struct iovec){(char *)record->data.text, record->data.len};
        size += sizeof heads[i] + record->data.len;
    }
    if (!write_fully(file->fd, parts, (int)(2 * count), file->size)) {
        int reason = errno;
        (void)!ftruncate(file->fd, (off_t)file->size);
        errno = reason;
        return false;
    }
    mem_grow(file->marks, file->mark_count, file->mark_capacity);
    file->marks[file->mark_count++] = (struct mark){records[0].number, file->size};
    file->size += size;
    file->next += count;
    spool->bytes += size;
    return true;
}

static uint64_t size_of(const struct spool_record *records, size_t count)
{
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += SPOOL_RECORD_EXTRA + records[i].data.len;
    return size;
}

static bool is_disk_full(int number)
{
    return number == ENOSPC || number == EDQUOT;
}

bool spool_write(struct spool *spool, const struct spool_record *records, size_t count)
{
    uint64_t size = size_of(records, count);
    assert(count > 0 && count <= SPOOL_BATCH_MAX);
    if (size > spool->disk_bytes)
        return false;
    while (spool->bytes + size > spool->disk_bytes)
        drop_file(spool, 0);
    for (;;) {
        struct file *file = file_for(spool, records[0].number);
        if (file && append(spool, file, records, count))
            return true;
        bool is_full = is_disk_full(errno);
        if (file && file->size == 0)
            drop_file(spool, spool->file_count - 1);
        if (!is_full || spool->file_count == 0)
            return false;
        drop_file(spool, 0);
    }
}

/* --- reading --- */

uint64_t spool_find(const struct spool *spool, uint64_t number)
{
    for (size_t i = 0; i < spool->file_count; i++) {
        const struct file *file = &spool->files[i];
        if (number < file->next)
            return number < file->first ? file->first : number;
    }
    return UINT64_MAX;
}

uint64_t spool_count(const struct spool *spool, uint64_t number)
{
    uint64_t count = 0;

    for (size_t i = 0; i < spool->file_count; i++) {
        const struct file *file = &spool->files[i];
        if (number < file->next)
            count += file->next - (number < file->first ? file->first : number);
    }
    return count;
}

static bool read_fully(int fd, char *data, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pread(fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

static bool fill_window(struct spool *spool, const struct file *file, uint64_t offset)
{
    uint64_t rest = file->size - offset;

    if (!spool->window.data)
        spool->window.data = mem_alloc(WINDOW_BYTES);
    spool->window.file = 0;
    spool->window.len = rest < WINDOW_BYTES ? (size_t)rest : WINDOW_BYTES;
    if (!read_fully(file->fd, spool->window.data, spool->window.len, offset))
        return false;
    spool->window.file = file->id;
    spool->window.offset = offset;
    return true;
}

/* Files only grow, so that what is in the window is never out of date. */
static bool is_in_window(const struct spool *spool, const struct file *file, uint64_t offset,
                         size_t len)
{
    return spool->window.file == file->id && offset >= spool->window.offset &&
           offset + len <= spool->window.offset + spool->window.len;
}

static bool read_at(struct spool *spool, const struct file *file, uint64_t offset, void *data,
                    size_t len)
{
    if (len > file->size || offset > file->size - len)
        return false;
    if (len > WINDOW_BYTES)
        return read_fully(file->fd, data, len, offset);
    if (!is_in_window(spool, file, offset, len) && !fill_window(spool, file, offset))
        return false;
    if (len > 0)
        memcpy(data, spool->window.data + (offset - spool->window.offset), len);
    return true;
}

static bool read_head(struct spool *spool, const struct file *file, uint64_t number,
                      uint64_t offset, struct head *ret_head)
{
    return read_at(spool, file, offset, ret_head, sizeof *ret_head) && ret_head->number == number &&
           ret_head->len <= file->size - offset - sizeof *ret_head;
}

/* The last mark that does not lie behind `number`. */
static struct mark mark_before(const struct file *file, uint64_t number)
{
    size_t low = 0, high = file->mark_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (file->marks[middle].number <= number)
            low = middle;
        else
            high = middle;
    }
    return file->marks[low];
}

static struct file *file_with(struct spool *spool, uint64_t number)
{
    for (size_t i = 0; i < spool->file_count; i++) {
        if (number < spool->files[i].next)
            return &spool->files[i];
    }
    return NULL;
}

/* Nothing can be read from this number on. */
static void cut_off(struct spool *spool, struct file *file, uint64_t number)
{
    file->next = number;
    if (file->next == file->first)
        drop_file(spool, (size_t)(file - spool->files));
}

bool spool_seek(struct spool *spool, uint64_t number, struct spool_place *place, uint32_t *ret_tag,
                uint32_t *ret_len)
{
    struct file *file = file_with(spool, number);
    struct head head;
    assert(file && number >= file->first);

    bool is_found = place->file == file->id && read_head(spool, file, number, place->offset, &head);
    if (!is_found) {
        struct mark at = mark_before(file, number);
        for (;; at.offset += sizeof head + head.len, at.number++) {
            if (!read_head(spool, file, at.number, at.offset, &head)) {
                cut_off(spool, file, at.number);
                return false;
            }
            if (at.number == number)
                break;
        }
        *place = (struct spool_place){file->id, at.offset};
    }
    *ret_tag = head.tag;
    *ret_len = head.len;
    return true;
}

bool spool_read(struct spool *spool, uint64_t number, struct spool_place *place, char *data,
                uint32_t len)
{
    struct file *file = file_with(spool, number);
    assert(file && file->id == place->file);

    if (!read_at(spool, file, place->offset + sizeof(struct head), data, len)) {
        cut_off(spool, file, number);
        return false;
    }
    place->offset += sizeof(struct head) + len;
    return true;
}

/* --- the rest --- */

void spool_forget(struct spool *spool, uint64_t number)
{
    while (spool->file_count > 0 && spool->files[0].next <= number)
        drop_file(spool, 0);
}

uint64_t spool_bytes(const struct spool *spool)
{
    return spool->bytes;
}
