#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "kernel-gateway/clients/message_log.h"
#include "tests/unit/base/scratch.c"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct world {
    char *directory;
    struct message_log *log;
};

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);

    world->directory = scratch_new();
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    message_log_free(world->log);
    scratch_free(world->directory);
    free(world);
    return 0;
}

static struct message_log *opened(struct world *world, size_t memory_bytes, uint64_t disk_bytes)
{
    struct message_log_options options = {world->directory, memory_bytes, disk_bytes};

    message_log_free(world->log);
    return world->log = message_log_new(&options);
}

/* --- messages that are known by their number --- */

static char byte_of(uint64_t number, size_t at)
{
    return (char)(number * 31 + at * 7 + (at >> 8));
}

static uint32_t tag_of(uint64_t number)
{
    return (uint32_t)number * 2654435761u;
}

static uint64_t add(struct message_log *log, size_t len)
{
    uint64_t number = message_log_next(log);
    auto_free char *data = mem_alloc(len + 1);

    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(number, i);
    assert_int_equal(message_log_add(log, tag_of(number), (struct str){data, len}), number);
    return number;
}

static void add_many(struct message_log *log, size_t count, size_t len)
{
    for (size_t i = 0; i < count; i++)
        add(log, len);
}

static void assert_entry(const struct log_entry *entry, uint64_t number, size_t len)
{
    assert_int_equal(entry->number, number);
    assert_int_equal(entry->tag, tag_of(number));
    assert_int_equal(entry->data.len, len);
    for (size_t i = 0; i < len; i++)
        if (entry->data.text[i] != byte_of(number, i))
            fail_msg("message %lu is wrong at byte %zu", number, i);
}

static void read_one(struct message_log *log, struct log_cursor *cursor, uint64_t number,
                     size_t len)
{
    const struct log_entry *entry = NULL;
    uint64_t missing = 0;

    assert_int_equal(message_log_read(log, cursor, &entry, &missing), LOG_ENTRY);
    assert_entry(entry, number, len);
    assert_int_equal(cursor->number, number + 1);
    message_log_put(log, entry);
}

static void read_nothing(struct message_log *log, struct log_cursor *cursor)
{
    const struct log_entry *entry = NULL;
    uint64_t missing = 0;

    assert_int_equal(message_log_read(log, cursor, &entry, &missing), LOG_NOTHING);
}

/* All from `first` on, each of `len` bytes, and then nothing. */
static void read_rest(struct message_log *log, struct log_cursor *cursor, uint64_t first,
                      size_t len)
{
    for (uint64_t number = first; number < message_log_next(log); number++)
        read_one(log, cursor, number, len);
    read_nothing(log, cursor);
}

static uint64_t read_gap(struct message_log *log, struct log_cursor *cursor)
{
    const struct log_entry *entry = NULL;
    uint64_t missing = 0, before = cursor->number ? cursor->number : 1;

    assert_int_equal(message_log_read(log, cursor, &entry, &missing), LOG_GAP);
    assert_true(missing > 0);
    assert_int_equal(cursor->number, before + missing);
    return missing;
}

/* --- files without names --- */

/* The files of the log that are open; those of the first `max` are given. */
static size_t open_files(const struct world *world, int *fds, size_t max)
{
    DIR *all = opendir("/proc/self/fd");
    size_t count = 0;

    for (struct dirent *entry; (entry = readdir(all));) {
        char target[512];
        ssize_t len = readlinkat(dirfd(all), entry->d_name, target, sizeof target - 1);
        if (len < 0)
            continue;
        target[len] = 0;
        if (strncmp(target, world->directory, strlen(world->directory)) != 0)
            continue;
        if (count < max)
            fds[count] = atoi(entry->d_name);
        count++;
    }
    closedir(all);
    return count;
}

/* What these files take on the disk is what the log says. */
static void assert_disk_bytes(const struct world *world)
{
    int fds[64];
    size_t count = open_files(world, fds, COUNT(fds));
    uint64_t bytes = 0;

    assert_true(count <= COUNT(fds));
    for (size_t i = 0; i < count; i++) {
        struct stat found;
        assert_int_equal(fstat(fds[i], &found), 0);
        bytes += (uint64_t)found.st_size;
    }
    assert_int_equal(bytes, message_log_figures(world->log).disk_bytes);
}

static size_t files_with_names(const struct world *world)
{
    DIR *directory = opendir(world->directory);
    size_t count = 0;

    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

/* --- in memory --- */

static void an_empty_log_has_nothing_to_read(void **state)
{
    struct message_log *log = opened(*state, 0, 0);
    struct log_cursor cursor = {0};

    read_nothing(log, &cursor);
    assert_int_equal(message_log_next(log), 1);
    log_cursor_set(&cursor, 7);
    read_nothing(log, &cursor);
    message_log_forget(log, 100);
    assert_int_equal(message_log_next(log), 1);
}

static void messages_are_read_in_order_by_each_reader(void **state)
{
    struct message_log *log = opened(*state, 0, 0);
    struct log_cursor early = {0}, late = {0};

    for (uint64_t number = 1; number <= 1000; number++) {
        add(log, number % 50);
        read_one(log, &early, number, number % 50);
        read_nothing(log, &early);
    }
    for (uint64_t number = 1; number <= 1000; number++)
        read_one(log, &late, number, number % 50);
    read_nothing(log, &late);
    log_cursor_set(&late, 500);
    read_one(log, &late, 500, 0);
}

static void nothing_touches_the_disk_while_a_reader_keeps_up(void **state)
{
    struct world *world = *state;
    struct message_log_options options = {"/nowhere/at/all", 4096, 0};
    struct log_cursor cursor = {0};

    world->log = message_log_new(&options);
    for (uint64_t number = 1; number <= 20000; number++) {
        add(world->log, 300);
        read_one(world->log, &cursor, number, 300);
        if (number % 8 == 0)
            message_log_forget(world->log, number);
    }
    struct message_log_figures figures = message_log_figures(world->log);
    assert_int_equal(figures.dropped, 0);
    assert_int_equal(figures.disk_bytes, 0);
}

static void what_is_forgotten_takes_no_memory(void **state)
{
    struct message_log *log = opened(*state, 1 << 20, 0);
    struct log_cursor cursor = {0};

    add_many(log, 10000, 10);
    size_t full = message_log_figures(log).memory_bytes;
    message_log_forget(log, 5001);
    assert_int_equal(message_log_figures(log).memory_bytes, full / 2);
    message_log_forget(log, 100); /* already */
    assert_int_equal(message_log_figures(log).memory_bytes, full / 2);
    assert_int_equal(read_gap(log, &cursor), 5000);
    read_rest(log, &cursor, 5001, 10);
    message_log_forget(log, UINT64_MAX);
    assert_int_equal(message_log_figures(log).memory_bytes, 0);
    assert_int_equal(message_log_figures(log).dropped, 0);
    log_cursor_set(&cursor, 1);
    assert_int_equal(read_gap(log, &cursor), 10000);
    read_nothing(log, &cursor);
    assert_int_equal(add(log, 10), 10001);
    read_rest(log, &cursor, 10001, 10);
}

/* --- on the disk --- */

static void what_does_not_fit_into_memory_is_read_from_the_disk(void **state)
{
    struct world *world = *state;
    struct message_log *log = opened(world, 4096, 1 << 20);
    struct log_cursor cursor = {0};

    add_many(log, 5000, 100);
    struct message_log_figures figures = message_log_figures(log);
    assert_true(figures.memory_bytes <= 4096);
    assert_true(figures.disk_bytes > 5000 * 100 - 4096);
    assert_disk_bytes(world);
    assert_int_equal(figures.dropped, 0);
    assert_true(open_files(world, NULL, 0) > 0);
    assert_int_equal(files_with_names(world), 0);
    read_rest(log, &cursor, 1, 100);
}

static void a_reader_may_begin_anywhere(void **state)
{
    struct message_log *log = opened(*state, 4096, 1 << 20);

    add_many(log, 3000, 100);
    for (uint64_t number = 1; number < 3000; number += 17) {
        struct log_cursor cursor = {0};
        log_cursor_set(&cursor, number);
        for (uint64_t next = number; next < number + 20 && next <= 3000; next++)
            read_one(log, &cursor, next, 100);
    }
}

static void readers_in_different_places_do_not_disturb_each_other(void **state)
{
    struct message_log *log = opened(*state, 4096, 2 << 20);
    struct log_cursor cursors[5] = {0};
    uint64_t next[5] = {1, 1, 1, 1, 1};

    for (int round = 0; round < 3000; round++) {
        add(log, 200);
        for (int i = 0; i < 5; i++) {
            if (round % (i + 1) == 0) /* some fall behind */
                read_one(log, &cursors[i], next[i]++, 200);
        }
    }
    for (int i = 0; i < 5; i++)
        read_rest(log, &cursors[i], next[i], 200);
    assert_int_equal(message_log_figures(log).dropped, 0);
}

static void files_are_closed_when_all_in_them_is_forgotten(void **state)
{
    struct world *world = *state;
    struct message_log *log = opened(world, 4096, 256 << 10);
    struct log_cursor cursor = {0};

    add_many(log, 1000, 200);
    size_t files = open_files(world, NULL, 0);
    assert_in_range(files, 10, 40);
    message_log_forget(log, 501);
    assert_in_range(open_files(world, NULL, 0), files / 2 - 2, files / 2 + 2);
    assert_int_equal(read_gap(log, &cursor), 500);
    read_rest(log, &cursor, 501, 200);
    message_log_forget(log, 1000);
    assert_int_equal(open_files(world, NULL, 0), 0);
    assert_int_equal(message_log_figures(log).disk_bytes, 0);
    assert_int_equal(message_log_figures(log).dropped, 0);
}

static void the_oldest_is_dropped_where_the_disk_has_its_limit(void **state)
{
    struct message_log *log = opened(*state, 4096, 64 << 10);
    struct log_cursor cursor = {0};

    add_many(log, 10000, 100);
    struct message_log_figures figures = message_log_figures(log);
    assert_true(figures.disk_bytes <= 64 << 10);
    assert_true(figures.disk_bytes > 56 << 10);
    assert_int_equal(read_gap(log, &cursor), figures.dropped);
    read_rest(log, &cursor, figures.dropped + 1, 100);
    assert_int_equal(message_log_figures(log).dropped, figures.dropped);
}

static void a_message_larger_than_the_memory_is_kept(void **state)
{
    struct message_log *log = opened(*state, 4096, 8 << 20);
    struct log_cursor first = {0}, second = {0};

    add(log, 10);
    add(log, 1000000);
    read_one(log, &first, 1, 10);
    read_one(log, &first, 2, 1000000);
    assert_true(message_log_figures(log).memory_bytes > 1000000);
    add(log, 20);
    assert_true(message_log_figures(log).memory_bytes < 4096);
    add(log, 70000);
    add(log, 65536);
    add(log, 30);
    static const size_t sizes[] = {10, 1000000, 20, 70000, 65536, 30};
    for (size_t i = 0; i < COUNT(sizes); i++)
        read_one(log, &second, i + 1, sizes[i]);
    read_nothing(log, &second);
}

static void a_message_larger_than_the_disk_is_dropped_alone(void **state)
{
    struct message_log *log = opened(*state, 4096, 64 << 10);
    struct log_cursor cursor = {0};

    add_many(log, 200, 100);
    add(log, 100000); /* 201 */
    log_cursor_set(&cursor, 201);
    read_one(log, &cursor, 201, 100000);
    add_many(log, 200, 100);
    assert_int_equal(message_log_figures(log).dropped, 1);
    log_cursor_set(&cursor, 0);
    for (uint64_t number = 1; number <= 200; number++)
        read_one(log, &cursor, number, 100);
    assert_int_equal(read_gap(log, &cursor), 1);
    read_rest(log, &cursor, 202, 100);
}

static void what_a_reader_holds_stays_whatever_happens(void **state)
{
    struct message_log *log = opened(*state, 4096, 16 << 10);
    const struct log_entry *held[20] = {0};
    struct log_cursor cursor = {0};
    uint64_t missing;

    add_many(log, 50, 300);
    for (size_t i = 0; i < COUNT(held); i++) { /* from the disk and from memory */
        log_cursor_set(&cursor, i < 10 ? i + 1 : 31 + i);
        assert_int_equal(message_log_read(log, &cursor, &held[i], &missing), LOG_ENTRY);
    }
    const struct log_entry *again;
    log_cursor_set(&cursor, 50);
    assert_int_equal(message_log_read(log, &cursor, &again, &missing), LOG_ENTRY);
    add_many(log, 1000, 300);
    message_log_forget(log, message_log_next(log));
    for (size_t i = 0; i < COUNT(held); i++) {
        assert_entry(held[i], i < 10 ? i + 1 : 31 + i, 300);
        message_log_put(log, held[i]);
    }
    assert_entry(again, 50, 300);
    message_log_put(log, again);
}

/* --- bad worlds --- */

static void without_a_directory_the_newest_are_kept(void **state)
{
    struct world *world = *state;
    struct message_log_options options = {"/nowhere/at/all", 4096, 0};
    struct log_cursor cursor = {0};

    world->log = message_log_new(&options);
    add_many(world->log, 1000, 100);
    struct message_log_figures figures = message_log_figures(world->log);
    assert_in_range(figures.memory_bytes, 2048, 4096);
    assert_int_equal(figures.disk_bytes, 0);
    assert_int_equal(read_gap(world->log, &cursor), figures.dropped);
    read_rest(world->log, &cursor, figures.dropped + 1, 100);
}

static void on_a_full_disk_the_oldest_make_room(void **state)
{
    struct world *world = *state;

    if (!scratch_small_disk(world->directory, 256 << 10)) {
        skip();
        return;
    }
    struct message_log *log = opened(world, 16 << 10, 1 << 20);
    struct log_cursor cursor = {0};
    for (int i = 0; i < 5000; i++) {
        add(log, 200);
        assert_true(message_log_figures(log).disk_bytes <= 256 << 10);
    }
    struct message_log_figures figures = message_log_figures(log);
    assert_true(figures.disk_bytes > 150 << 10);
    assert_disk_bytes(world);
    assert_int_equal(read_gap(log, &cursor), figures.dropped);
    read_rest(log, &cursor, figures.dropped + 1, 200);

    /* Somebody else takes what the oldest give back. */
    scratch_fill_disk(world->directory);
    add_many(log, 5000, 200);
    figures = message_log_figures(log);
    assert_in_range(figures.memory_bytes, 8 << 10, 16 << 10);
    log_cursor_set(&cursor, 0);
    assert_int_equal(read_gap(log, &cursor), figures.dropped);
    read_rest(log, &cursor, figures.dropped + 1, 200);
    message_log_free(take_ptr(&world->log)); /* before the disk goes */
}

static void the_disk_is_used_again_when_there_is_room(void **state)
{
    struct world *world = *state;

    if (!scratch_small_disk(world->directory, 256 << 10)) {
        skip();
        return;
    }
    struct message_log *log = opened(world, 4096, 128 << 10);
    struct log_cursor cursor = {0};
    scratch_fill_disk(world->directory);
    add_many(log, 100, 200);
    assert_int_equal(message_log_figures(log).disk_bytes, 0);
    assert_int_equal(open_files(world, NULL, 0), 0);
    auto_free char *filler = fs_join(world->directory, "filler");
    assert_int_equal(unlink(filler), 0);
    uint64_t dropped = message_log_figures(log).dropped;
    add_many(log, 300, 200);
    assert_true(message_log_figures(log).disk_bytes > 200 * 200);
    assert_int_equal(message_log_figures(log).dropped, dropped);
    assert_int_equal(read_gap(log, &cursor), dropped);
    read_rest(log, &cursor, dropped + 1, 200);
    message_log_free(take_ptr(&world->log));
}

/* Reads on to the end: how many messages there are, and how many are missing. */
static uint64_t count_rest(struct message_log *log, struct log_cursor *cursor, size_t len,
                           uint64_t *ret_missing)
{
    uint64_t entries = 0;

    *ret_missing = 0;
    for (;;) {
        const struct log_entry *entry;
        uint64_t missing = 0;
        switch (message_log_read(log, cursor, &entry, &missing)) {
        case LOG_NOTHING:
            return entries;
        case LOG_GAP:
            *ret_missing += missing;
            break;
        case LOG_ENTRY:
            assert_entry(entry, cursor->number - 1, len);
            message_log_put(log, entry);
            entries++;
            break;
        }
    }
}

static uint64_t count_all(struct message_log *log, size_t len, uint64_t *ret_missing)
{
    struct log_cursor cursor = {0};

    return count_rest(log, &cursor, len, ret_missing);
}

/* A limit on the size of files: each file takes some writes, then part of one. */
static void a_write_that_fails_is_a_gap(void **state)
{
    struct world *world = *state;
    struct message_log *log = opened(world, 4096, 1 << 20);
    struct rlimit usual, low = {5000, RLIM_INFINITY};

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    low.rlim_max = usual.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    add_many(log, 5000, 100);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);

    uint64_t missing, entries = count_all(log, 100, &missing);
    assert_int_equal(entries + missing, 5000);
    assert_int_equal(message_log_figures(log).dropped, missing);
    assert_true(entries > 1000);
    assert_in_range(open_files(world, NULL, 0), 10, 64); /* though each is small */
    assert_disk_bytes(world);

    struct log_cursor cursor = {0};
    log_cursor_set(&cursor, 5001);
    add_many(log, 1000, 100);
    read_rest(log, &cursor, 5001, 100);
}

static void what_is_damaged_on_the_disk_is_a_gap(void **state)
{
    enum damage { CUT_SHORT, EMPTIED, ZEROED, LONG_LENGTH, DAMAGES };
    struct world *world = *state;

    for (enum damage damage = CUT_SHORT; damage < DAMAGES; damage++) {
        struct message_log *log = opened(world, 4096, 64 << 10);
        uint64_t missing;
        int fds[64];
        add_many(log, 500, 100);
        size_t files = open_files(world, fds, COUNT(fds));
        uint64_t dropped = message_log_figures(log).dropped;
        assert_in_range(files, 8, COUNT(fds));
        static const char head[16];
        static const unsigned char length[4] = {0xff, 0xff, 0xff, 0xff};
        switch (damage) {
        case CUT_SHORT:
            assert_int_equal(ftruncate(fds[files / 2], 1000), 0);
            break;
        case EMPTIED:
            assert_int_equal(ftruncate(fds[files / 2], 0), 0);
            break;
        case ZEROED:
            assert_int_equal(pwrite(fds[files / 2], head, 16, 8L * (16 + 100)), 16);
            break;
        case LONG_LENGTH:
            assert_int_equal(pwrite(fds[files / 2], length, 4, 12), 4);
            break;
        case DAMAGES:
            break;
        }
        uint64_t entries = count_all(log, 100, &missing);
        assert_int_equal(entries + missing, 500);
        assert_in_range(missing - dropped, 1, 2 * 500 / files);
        assert_int_equal(message_log_figures(log).dropped, missing);
        assert_int_equal(count_all(log, 100, &missing), entries); /* now and later */
        add_many(log, 10, 100);
        assert_int_equal(count_all(log, 100, &missing), entries + 10);
    }
}

static void a_reader_in_the_midst_of_damage_goes_on_behind_it(void **state)
{
    struct world *world = *state;
    struct message_log *log = opened(world, 4096, 1 << 20);
    struct log_cursor cursor = {0};
    int fds[64];

    add_many(log, 5000, 100);
    read_one(log, &cursor, 1, 100);
    size_t files = open_files(world, fds, COUNT(fds));
    assert_in_range(files, 2, COUNT(fds));
    for (size_t i = 0; i < files; i++)
        assert_int_equal(ftruncate(fds[i], 0), 0);
    /* What was read of the file in the same go is still there; the other files are not. */
    uint64_t missing, entries = count_rest(log, &cursor, 100, &missing);
    assert_int_equal(entries + missing, 4999);
    assert_in_range(entries, 100, 500);
    assert_int_equal(message_log_figures(log).dropped, missing);
    assert_int_equal(open_files(world, NULL, 0), 1);
    add_many(log, 1000, 100);
    assert_int_equal(count_rest(log, &cursor, 100, &missing), 1000);
    assert_int_equal(missing, 0);
}

static void nothing_is_left_open(void **state)
{
    struct world *world = *state;

    opened(world, 4096, 1 << 20);
    add_many(world->log, 5000, 100);
    assert_true(open_files(world, NULL, 0) > 0);
    message_log_free(take_ptr(&world->log));
    assert_int_equal(open_files(world, NULL, 0), 0);
    message_log_free(NULL);
}

/* --- against a model --- */

enum { MESSAGES_MAX = 20000, READERS = 4, HELD = 6 };
#define MODEL_MEMORY 4096
#define MODEL_DISK   (64 * 1024)

struct model {
    struct message_log *log;
    uint64_t random;
    uint64_t next, wanted;
    uint64_t forgotten_drops; /* messages that were dropped first, then forgotten */
    size_t len[MESSAGES_MAX];
    bool is_gone[MESSAGES_MAX];
    struct log_cursor readers[READERS];
    const struct log_entry *held[HELD];
};

static uint64_t pick(struct model *model, uint64_t below)
{
    model->random = model->random * 6364136223846793005ull + 1442695040888963407ull;
    return (model->random >> 33) % below;
}

static size_t pick_len(struct model *model)
{
    switch (pick(model, 100)) {
    case 0:
        return 70000; /* over the disk's limit */
    case 1 ... 4:
        return pick(model, 6000); /* maybe over the memory's */
    case 5 ... 60:
        return pick(model, 100);
    default:
        return pick(model, 600);
    }
}

static void model_add(struct model *model)
{
    if (model->next == MESSAGES_MAX)
        return;
    model->len[model->next] = pick_len(model);
    add(model->log, model->len[model->next]);
    model->next++;
    struct message_log_figures figures = message_log_figures(model->log);
    assert_true(figures.memory_bytes <= MODEL_MEMORY + model->len[model->next - 1] + 64);
    assert_true(figures.disk_bytes <= MODEL_DISK);
}

/* A message may be gone when it alone is over the limit, or when much came behind it. */
static void model_lost(struct model *model, uint64_t number)
{
    if (number < model->wanted)
        return;
    size_t behind = 0;
    for (uint64_t i = number; i < model->next; i++)
        behind += model->len[i] > MODEL_DISK ? 0 : model->len[i] + 16;
    if (behind < MODEL_DISK - 16 * 1024 && model->len[number] <= MODEL_DISK)
        fail_msg("message %lu was dropped with %zu bytes behind it", number, behind);
    model->is_gone[number] = true;
}

static const struct log_entry *model_read(struct model *model, struct log_cursor *cursor)
{
    const struct log_entry *entry = NULL;
    uint64_t missing = 0, number = cursor->number ? cursor->number : 1;

    switch (message_log_read(model->log, cursor, &entry, &missing)) {
    case LOG_NOTHING:
        assert_true(number >= model->next);
        return NULL;
    case LOG_GAP:
        assert_true(missing > 0 && number + missing <= model->next);
        assert_int_equal(cursor->number, number + missing);
        for (uint64_t i = number; i < number + missing; i++)
            model_lost(model, i);
        return NULL;
    case LOG_ENTRY:
        assert_true(number >= model->wanted);
        assert_false(model->is_gone[number]);
        assert_int_equal(cursor->number, number + 1);
        assert_entry(entry, number, model->len[number]);
        return entry;
    }
    return NULL;
}

static void model_read_some(struct model *model, struct log_cursor *cursor)
{
    for (uint64_t i = pick(model, 60); i > 0; i--) {
        const struct log_entry *entry = model_read(model, cursor);
        size_t slot = pick(model, 10 * HELD);
        if (entry && slot < HELD && !model->held[slot])
            model->held[slot] = entry;
        else if (entry)
            message_log_put(model->log, entry);
    }
}

static void model_let_go(struct model *model)
{
    const struct log_entry **held = &model->held[pick(model, HELD)];

    if (!*held)
        return;
    assert_entry(*held, (*held)->number, model->len[(*held)->number]);
    message_log_put(model->log, *held);
    *held = NULL;
}

/* How many messages from the first wanted one to `end` are gone: each is there or is not. */
static uint64_t model_gone(struct model *model, uint64_t end)
{
    struct log_cursor cursor = {0};
    uint64_t gone = 0;

    log_cursor_set(&cursor, model->wanted);
    while (cursor.number < end) {
        uint64_t before = cursor.number;
        const struct log_entry *entry = model_read(model, &cursor);
        if (entry)
            message_log_put(model->log, entry);
        else
            gone += (cursor.number < end ? cursor.number : end) - before;
    }
    return gone;
}

static void model_forget(struct model *model)
{
    uint64_t number = model->wanted + pick(model, (model->next - model->wanted) / 4 + 1);

    model->forgotten_drops += model_gone(model, number);
    message_log_forget(model->log, number);
    model->wanted = number;
}

static void model_step(struct model *model, bool forgets)
{
    struct log_cursor *reader = &model->readers[pick(model, READERS)];

    switch (pick(model, 200)) {
    case 0:
        if (forgets)
            model_forget(model);
        break;
    case 1:
        log_cursor_set(reader, pick(model, model->next + 3));
        break;
    case 2 ... 20:
        model_read_some(model, reader);
        break;
    case 21 ... 30:
        model_let_go(model);
        break;
    default:
        model_add(model);
        break;
    }
}

static void it_does_as_a_simple_model_of_it(void **state)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct model *model = mem_zalloc(sizeof *model);
        model->log = opened(*state, MODEL_MEMORY, MODEL_DISK);
        model->random = seed;
        model->next = model->wanted = 1;
        for (int i = 0; i < 10000; i++) {
            model_step(model, seed % 2);
            if (i % 500 == 0)
                assert_int_equal(model->forgotten_drops + model_gone(model, model->next),
                                 message_log_figures(model->log).dropped);
        }
        for (int i = 0; i < HELD; i++)
            if (model->held[i])
                message_log_put(model->log, model->held[i]);
        assert_true(message_log_figures(model->log).dropped > 100);
        free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_log_has_nothing_to_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_are_read_in_order_by_each_reader, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_touches_the_disk_while_a_reader_keeps_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_forgotten_takes_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_into_memory_is_read_from_the_disk, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_reader_may_begin_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers_in_different_places_do_not_disturb_each_other,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_closed_when_all_in_them_is_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_is_dropped_where_the_disk_has_its_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_message_larger_than_the_memory_is_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_message_larger_than_the_disk_is_dropped_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_reader_holds_stays_whatever_happens, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_a_directory_the_newest_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(on_a_full_disk_the_oldest_make_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_disk_is_used_again_when_there_is_room, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_write_that_fails_is_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_damaged_on_the_disk_is_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_in_the_midst_of_damage_goes_on_behind_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_left_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_does_as_a_simple_model_of_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
