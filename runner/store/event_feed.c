/* A batch is a list of events and one text with their heads: all of an event of a run's state, of a
 * journal's line what stands before the line's own bytes. The journal's path of a line is put into
 * the same text, so that a batch costs no allocation of its own for each event. */
#include "runner/store/event_feed.h"

#include "base/mem.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/store/event_text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rows looked at in one read transaction, and bytes of heads after which one ends early: a feed is
 * kept for each slow reader. */
#define BATCH_ROWS  256
#define BATCH_BYTES 32768

struct item {
    int64_t id;
    const char *event;
    size_t start, len; /* of the head in `text` */
    size_t path;       /* of the journal in `text`, a C string; lines only */
    uint64_t offset;   /* of the line in the journal */
    uint32_t length;   /* 0: it is no line */
};

struct event_feed {
    const char *runs_dir;
    int64_t run;
    int64_t cursor; /* everything up to here was given */
    int64_t seen;   /* everything up to here was read from the store */
    struct item *items;
    size_t count, capacity;
    size_t next; /* the item that event_feed_next gives next; the current one is before it */
    struct buf text;
    uint64_t tail; /* of the current event, if it is a line: where its shown bytes begin */
    int journal;   /* -1: none */
    char *journal_path;
};

struct event_feed *event_feed_new(const char *runs_dir, int64_t run, int64_t after)
{
    struct event_feed *feed = mem_zalloc(sizeof *feed);

    *feed = (struct event_feed){
        .runs_dir = runs_dir, .run = run, .cursor = after, .seen = after, .journal = -1};
    return feed;
}

void event_feed_free(struct event_feed *feed)
{
    if (!feed)
        return;
    if (feed->journal >= 0)
        close(feed->journal);
    free(feed->journal_path);
    free(feed->items);
    buf_clear(&feed->text);
    free(feed);
}

int64_t event_feed_cursor(const struct event_feed *feed)
{
    return feed->cursor;
}

/* --- batches --- */

static void add_item(struct event_feed *feed, const struct store_event *event, const char *name)
{
    struct item item = {
        .id = event->id,
        .event = name,
        .start = feed->text.len,
        .offset = event->offset,
        .length = event->length,
    };

    if (!event_text_put_stored(&feed->text, event))
        return;
    item.len = feed->text.len - item.start;
    if (event->length > 0) {
        item.path = feed->text.len;
        buf_printf(&feed->text, "%s/%s/steps/%s/%u/" KEEPER_JOURNAL, feed->runs_dir,
                   event->run_uuid, event->step_uuid, event->attempt);
        buf_putc(&feed->text, 0);
    }
    mem_grow(feed->items, feed->count, feed->capacity);
    feed->items[feed->count++] = item;
}

static int take_row(void *data, const struct store_event *event, struct err *e)
{
    struct event_feed *feed = data;

    (void)e;
    feed->seen = event->id;
    const char *name = event_text_name(event->event);
    if (feed->run != 0 || event_text_is_for_all(name))
        add_item(feed, event, name);
    return feed->text.len >= BATCH_BYTES;
}

int event_feed_fill(struct event_feed *feed, struct store *store, struct err *e)
{
    int64_t before = feed->seen;

    if (feed->next < feed->count)
        return 1;
    feed->cursor = feed->seen;
    feed->count = feed->next = 0;
    buf_reset(&feed->text);
    if (store_events_after(store, feed->seen, feed->run, BATCH_ROWS, take_row, feed, e) < 0)
        return -1;
    if (feed->count == 0)
        feed->cursor = feed->seen;
    return feed->seen > before;
}

/* --- journals --- */

/* Gives 0 as well when there is none any more; the descriptor is then -1. */
static int open_journal(struct event_feed *feed, const char *path, struct err *e)
{
    if (feed->journal >= 0 && strcmp(feed->journal_path, path) == 0)
        return 0;
    if (feed->journal >= 0)
        close(take_fd(&feed->journal));
    free(take_ptr(&feed->journal_path));
    feed->journal = open(path, O_RDONLY | O_CLOEXEC);
    if (feed->journal < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_errno(e, errno, "cannot open \"%s\"", path);
    if (feed->journal >= 0)
        feed->journal_path = mem_strdup(path);
    return 0;
}

static ssize_t read_journal(struct event_feed *feed, uint64_t offset, char *out, size_t room,
                            struct err *e)
{
    ssize_t n;

    do
        n = pread(feed->journal, out, room, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(e, errno, "cannot read \"%s\"", feed->journal_path);
    return n;
}

/* 1: the line is there whole, and where its shown bytes begin is known; 0: it is gone. */
static int find_line(struct event_feed *feed, const struct item *item, struct err *e)
{
    char start[EVENT_TEXT_LINE_START];
    size_t room = item->length < sizeof start ? item->length : sizeof start;
    struct stat status;

    if (open_journal(feed, feed->text.data + item->path, e) < 0)
        return -1;
    if (feed->journal < 0)
        return 0;
    if (fstat(feed->journal, &status) < 0)
        return err_errno(e, errno, "cannot read \"%s\"", feed->journal_path);
    if ((uint64_t)status.st_size < item->offset + item->length)
        return 0;
    ssize_t n = read_journal(feed, item->offset, start, room, e);
    if (n < 0)
        return -1;
    feed->tail = event_text_line_skip((struct str){start, (size_t)n});
    return feed->tail > 0;
}

/* --- events --- */

int event_feed_next(struct event_feed *feed, struct feed_event *ret_event, struct err *e)
{
    while (feed->next < feed->count) {
        const struct item *item = &feed->items[feed->next];
        int found = item->length > 0 ? find_line(feed, item, e) : 1;
        if (found < 0)
            return -1;
        feed->next++;
        feed->cursor = feed->next < feed->count ? item->id : feed->seen;
        if (found == 0)
            continue;
        uint64_t rest = item->length > 0 ? item->length - feed->tail : 0;
        *ret_event =
            (struct feed_event){.id = item->id, .event = item->event, .len = item->len + rest};
        return 1;
    }
    return 0;
}

ssize_t event_feed_read(struct event_feed *feed, uint64_t at, char *out, size_t room, struct err *e)
{
    const struct item *item = &feed->items[feed->next - 1];

    if (at < item->len) {
        size_t len = item->len - at < room ? item->len - at : room;
        memcpy(out, feed->text.data + item->start + at, len);
        return (ssize_t)len;
    }
    uint64_t from = feed->tail + at - item->len;
    uint64_t rest = item->length - from;
    ssize_t n = read_journal(feed, item->offset + from, out, rest < room ? rest : room, e);
    if (n == 0)
        return err_set(e, ERR_IO, "\"%s\" was cut short", feed->journal_path);
    return n;
}
