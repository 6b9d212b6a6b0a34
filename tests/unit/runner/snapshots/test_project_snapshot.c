#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "runner/snapshots/project_snapshot.h"
#include "tests/unit/base/scratch.c"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { NOBODY = 65534 };

struct place {
    char *root;
    char *project;
    char *state, *snapshot; /* root/state/project */
    char *run, *copy;       /* root/run/project */
};

static int set_up(void **state)
{
    struct place *p = mem_zalloc(sizeof *p);
    struct err e;

    p->root = scratch_new();
    p->project = fs_join(p->root, "mine");
    p->state = fs_join(p->root, "state");
    p->snapshot = fs_join(p->state, "project");
    p->run = fs_join(p->root, "run");
    p->copy = fs_join(p->run, "project");
    assert_int_equal(fs_mkdirs(p->project, 0755, &e), 0);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    struct err ignored;

    project_snapshot_remove(p->state, &ignored);
    project_snapshot_remove(p->run, &ignored);
    scratch_free(p->root);
    free(p->project);
    free(p->state);
    free(p->snapshot);
    free(p->run);
    free(p->copy);
    free(p);
    return 0;
}

static struct project_snapshot_size make(const struct place *p)
{
    struct project_snapshot_size size;
    struct err e;

    if (project_snapshot_make(p->project, p->snapshot, &size, &e) < 0)
        fail_msg("%s", e.text);
    return size;
}

static void copy(const struct place *p)
{
    struct err e;

    if (project_snapshot_copy(p->snapshot, p->copy, &e) < 0)
        fail_msg("%s", e.text);
}

static struct stat stat_of(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    if (lstat(path, &st) < 0)
        fail_msg("there is no \"%s\"", path);
    return st;
}

static bool is_there(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void check_text(const char *directory, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(directory, name);

    assert_string_equal(text, expected);
}

static int count_entries(const char *directory)
{
    DIR *entries = opendir(directory);
    int count = 0;

    while (entries && readdir(entries))
        count++;
    if (entries)
        closedir(entries);
    return entries ? count - 2 : 0;
}

static void link_to(const struct place *p, const char *name, const char *target)
{
    auto_free char *path = fs_join(p->project, name);

    assert_int_equal(symlink(target, path), 0);
}

/* Nothing of the snapshot is left, nor of the directory that was made for it. */
static void refused(const struct place *p, enum err_code code, const char *named)
{
    struct project_snapshot_size size;
    struct err e;

    assert_int_equal(project_snapshot_make(p->project, p->snapshot, &size, &e), -1);
    if (e.code != code || !strstr(e.text, named))
        fail_msg("%s, not \"%s\" by %s", e.text, named, err_name(code));
    assert_false(is_there(p->root, "state"));
}

/* Until no file there was changed within the last tick of the clock, which would be looked at
 * again. */
static void settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
}

/* --- what is copied --- */

static void what_ignore_files_name_is_left_out(void **state)
{
    struct place *p = *state;

    scratch_put(p->project, "a.ipynb", "{}");
    scratch_put(p->project, "lib/b.py", "one");
    scratch_put(p->project, "lib/b.pyc", "x");
    scratch_put(p->project, "lib/.gitignore", "*.pyc\n");
    scratch_put(p->project, "lib/.ipynb_checkpoints/b.py", "x");
    scratch_put(p->project, ".git/config", "x");
    scratch_put(p->project, "module/.git", "gitdir: ../.git/modules/module");
    scratch_put(p->project, "data/big.csv", "x");
    scratch_put(p->project, "data/small.csv", "1,2");
    scratch_put(p->project, ".gitignore", "*.csv\n!.git\n!.ipynb_checkpoints\n");
    scratch_put(p->project, ".segueignore", "!small.csv\n");
    struct project_snapshot_size size = make(p);
    check_text(p->snapshot, "a.ipynb", "{}");
    check_text(p->snapshot, "lib/b.py", "one");
    check_text(p->snapshot, "data/small.csv", "1,2");
    assert_true(is_there(p->snapshot, ".gitignore"));
    assert_true(is_there(p->snapshot, "module"));
    assert_false(is_there(p->snapshot, "lib/b.pyc"));
    assert_false(is_there(p->snapshot, "data/big.csv"));
    assert_false(is_there(p->snapshot, "lib/.ipynb_checkpoints"));
    assert_false(is_there(p->snapshot, ".git"));
    assert_false(is_there(p->snapshot, "module/.git"));
    assert_int_equal(size.files, 6);
    assert_int_equal(size.bytes, 2 + 3 + 6 + 3 + 32 + 11);
    assert_int_equal(count_entries(p->state), 1);
}

static void environments_stay_in(void **state)
{
    struct place *p = *state;

    scratch_put(p->project, ".gitignore", ".segue/\n.orchest\n*.json\n");
    scratch_put(p->project, ".segue/environments.json", "{}");
    scratch_put(p->project, ".orchest/environments/a.json", "{}");
    scratch_put(p->project, ".orchest/.gitignore", "logs\n");
    scratch_put(p->project, ".orchest/logs/a", "x");
    scratch_put(p->project, "sub/.segue/a.json", "{}");
    make(p);
    check_text(p->snapshot, ".segue/environments.json", "{}");
    check_text(p->snapshot, ".orchest/environments/a.json", "{}");
    assert_false(is_there(p->snapshot, ".orchest/logs"));
    assert_false(is_there(p->snapshot, "sub/.segue"));
}

static void links_in_the_project_stay_links(void **state)
{
    struct place *p = *state;
    char target[100] = "";
    auto_free char *dangling = fs_join(p->snapshot, "dangling");

    scratch_put(p->project, "lib/a", "one");
    link_to(p, "file", "lib/a");
    link_to(p, "lib/up", "../lib/a");
    link_to(p, "lib/root", "..");
    link_to(p, "dangling", "not/there");
    link_to(p, "circle", "circle");
    make(p);
    copy(p);
    check_text(p->copy, "file", "one");
    check_text(p->copy, "lib/up", "one");
    check_text(p->copy, "lib/root/lib/a", "one");
    assert_true(readlink(dangling, target, sizeof target - 1) > 0);
    assert_string_equal(target, "not/there");
    assert_true(S_ISLNK(stat_of(p->copy, "circle").st_mode));
}

static void links_that_lead_out_are_refused(void **state)
{
    struct place *p = *state;
    auto_free char *inside = fs_join(p->project, "lib/a");
    const char *const targets[] = {"/etc/passwd", "/not/there", "..",  "../other",
                                   "lib/../..",   "lib/up/..",  inside};

    scratch_put(p->project, "lib/a", "one");
    link_to(p, "lib/up", ".."); /* the project itself: in it, but not what is above */
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        auto_free char *link = fs_join(p->project, "the link");
        link_to(p, "the link", targets[i]);
        refused(p, ERR_INVALID, "the link");
        assert_int_equal(unlink(link), 0);
    }
    link_to(p, "lib/the link", "../../other");
    refused(p, ERR_INVALID, "lib/the link");
    scratch_put(p->project, ".segueignore", "the link\n");
    make(p);
    assert_false(is_there(p->snapshot, "lib/the link"));
}

static void sockets_and_pipes_are_left_out(void **state)
{
    struct place *p = *state;
    auto_free char *pipe_path = fs_join(p->project, "pipe");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", p->project);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    scratch_put(p->project, "a", "one");
    assert_int_equal(make(p).files, 1);
    assert_int_equal(count_entries(p->snapshot), 1);
}

static void huge_names_are_copied(void **state)
{
    enum { DEEP = 12 };
    struct place *p = *state;
    auto_buf struct buf path = {0};
    char name[256];
    struct stat st;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (int i = 0; i < DEEP; i++)
        buf_printf(&path, "%s/", name);
    buf_puts(&path, name);
    scratch_put(p->project, path.data, "deep");
    scratch_put(p->project, "new\nline \xff", "odd");
    assert_int_equal(make(p).files, 2);
    copy(p);
    check_text(p->copy, path.data, "deep");
    check_text(p->copy, "new\nline \xff", "odd");
    st = stat_of(p->snapshot, path.data);
    assert_int_equal(st.st_size, 4);
}

static void an_empty_project_is_one_too(void **state)
{
    struct place *p = *state;
    struct project_snapshot_size size = make(p);

    assert_int_equal(size.files, 0);
    assert_int_equal(size.bytes, 0);
    copy(p);
    assert_true(S_ISDIR(stat_of(p->copy, "").st_mode));
}

/* --- what it is like --- */

static void each_has_files_of_its_own(void **state)
{
    struct place *p = *state;
    auto_free char *original = scratch_write(p->project, "a", "one");
    auto_free char *copied = fs_join(p->copy, "a");

    make(p);
    copy(p);
    auto_close int in_project = open(original, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(in_project, "two", 3), 3);
    auto_close int in_copy = open(copied, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(in_copy, "six", 3), 3);
    check_text(p->project, "a", "two");
    check_text(p->snapshot, "a", "one");
    check_text(p->copy, "a", "six");
    assert_int_equal(stat_of(p->project, "a").st_nlink, 1);
    assert_int_equal(stat_of(p->snapshot, "a").st_nlink, 1);
}

static void check_modes(const char *root, mode_t file, mode_t script, mode_t locked, mode_t dir)
{
    assert_int_equal(stat_of(root, "file").st_mode & 07777, file);
    assert_int_equal(stat_of(root, "script").st_mode & 07777, script);
    assert_int_equal(stat_of(root, "dir/locked").st_mode & 07777, locked);
    assert_int_equal(stat_of(root, "dir").st_mode & 07777, dir);
    assert_int_equal(stat_of(root, "").st_mode & 07777, dir);
}

static void nobody_may_write_in_it_and_the_owner_in_copies(void **state)
{
    struct place *p = *state;
    auto_free char *file = scratch_write(p->project, "file", "");
    auto_free char *script = scratch_write(p->project, "script", "");
    auto_free char *locked = scratch_write(p->project, "dir/locked", "");
    auto_free char *dir = fs_join(p->project, "dir");

    assert_int_equal(chmod(file, 0666), 0);
    assert_int_equal(chmod(script, 0751), 0);
    assert_int_equal(chmod(locked, 0400), 0);
    assert_int_equal(chmod(dir, 0775), 0);
    assert_int_equal(chmod(p->project, 0775), 0);
    make(p);
    copy(p);
    check_modes(p->snapshot, 0444, 0551, 0400, 0555);
    check_modes(p->copy, 0644, 0751, 0600, 0755);
}

static void owners_and_times_are_kept(void **state)
{
    struct place *p = *state;
    struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1100000000, .tv_nsec = 6}};
    auto_free char *file = scratch_write(p->project, "dir/a", "one");
    auto_free char *dir = fs_join(p->project, "dir");
    const char *const names[] = {"dir/a", "dir", ""};

    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED: owners are kept by root only\n");
        skip();
    }
    const char *const paths[] = {file, dir, p->project};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(utimensat(AT_FDCWD, paths[i], times, 0), 0);
        assert_int_equal(chown(paths[i], NOBODY, 1000), 0);
    }
    make(p);
    copy(p);
    for (int i = 0; i < 3; i++) {
        struct stat st = stat_of(p->copy, names[i]);
        assert_int_equal(st.st_uid, NOBODY);
        assert_int_equal(st.st_gid, 1000);
        assert_int_equal(st.st_mtim.tv_sec, 1100000000);
        assert_int_equal(st.st_mtim.tv_nsec, 6);
        assert_int_equal(stat_of(p->snapshot, names[i]).st_uid, NOBODY);
    }
}

static void what_is_there_is_replaced(void **state)
{
    struct place *p = *state;

    scratch_put(p->project, "sub/old", "one");
    make(p);
    copy(p);
    scratch_put(p->copy, "sub/left behind", "x");
    copy(p);
    assert_false(is_there(p->copy, "sub/left behind"));
    check_text(p->copy, "sub/old", "one");
    scratch_put(p->project, "new", "two");
    make(p);
    check_text(p->snapshot, "new", "two");
    assert_int_equal(count_entries(p->state), 1);
    assert_int_equal(count_entries(p->run), 1);
}

/* --- what changes meanwhile --- */

enum change { EDIT, ADD, REMOVE };

/* Changes the project as soon as a file of it was copied, `times` times. */
struct changer {
    const struct place *place;
    enum change change;
    int times;
    int watch, stop;
};

static void change(const struct changer *c, const char *name)
{
    auto_free char *path = fs_join(c->place->project, name);
    auto_free char *added = mem_printf("%s.%d", path, c->times);

    if (c->change == REMOVE) {
        unlink(path);
        return;
    }
    auto_close int fd =
        open(c->change == EDIT ? path : added, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    (void)!write(fd, "more", 4);
}

static void *change_what_was_copied(void *argument)
{
    struct changer *c = argument;
    struct pollfd fds[2] = {{c->watch, POLLIN, 0}, {c->stop, POLLIN, 0}};
    union {
        struct inotify_event event;
        char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
    } one;

    while (c->times > 0 && poll(fds, 2, -1) > 0 && !fds[1].revents) {
        if (read(c->watch, &one, sizeof one) <= 0)
            break;
        if (one.event.len == 0 || one.event.mask & IN_ISDIR)
            continue;
        c->times--;
        change(c, one.event.name);
    }
    return NULL;
}

/* With deletions, as an event that is the same as the last is not told. */
enum { WATCHED = IN_CREATE | IN_DELETE };

/* How often a snapshot was begun while `watch` was on. */
static int count_begun(int watch)
{
    char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    int begun = 0;

    for (ssize_t len; (len = read(watch, events, sizeof events)) > 0;)
        for (const char *at = events; at < events + len;) {
            const struct inotify_event *event = (const void *)at;
            begun += event->mask & IN_CREATE && event->len && event->name[0] == '.';
            at += sizeof *event + event->len;
        }
    return begun;
}

/* Makes a snapshot while others change the project; *ret_begun says how often it was begun. */
static int make_amid(struct place *p, enum change what, int times, int *ret_begun, struct err *e)
{
    auto_close int watch = inotify_init1(IN_CLOEXEC),
                   places = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    auto_close int stop = eventfd(0, EFD_CLOEXEC);
    struct changer c = {p, what, times, watch, stop};
    struct project_snapshot_size size;
    pthread_t thread;

    assert_true(inotify_add_watch(watch, p->project, IN_CLOSE_NOWRITE) >= 0);
    assert_true(inotify_add_watch(places, p->state, WATCHED) >= 0);
    assert_int_equal(pthread_create(&thread, NULL, change_what_was_copied, &c), 0);
    int result = project_snapshot_make(p->project, p->snapshot, &size, e);
    eventfd_write(stop, 1);
    pthread_join(thread, NULL);
    *ret_begun = count_begun(places);
    return result;
}

static void put_many(const struct place *p, int count)
{
    char name[32];

    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "file %d", i);
        scratch_put(p->project, name, "text");
    }
    settle();
}

static void check_same(const char *project, const char *snapshot)
{
    DIR *entries = opendir(project);

    assert_int_equal(count_entries(project), count_entries(snapshot));
    for (const struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] == '.')
            continue;
        auto_free char *text = scratch_read(project, entry->d_name);
        check_text(snapshot, entry->d_name, text);
    }
    closedir(entries);
}

/* A change may come too late, when all was looked at: then the next round is what is tested. */
enum { ROUNDS = 30, MANY = 500 };

static void a_change_meanwhile_is_in_it(void **state)
{
    struct place *p = *state;
    const enum change changes[] = {EDIT, ADD, REMOVE};
    struct err e;

    assert_int_equal(fs_mkdirs(p->state, 0755, &e), 0);
    put_many(p, MANY);
    for (size_t i = 0; i < 3; i++) {
        int begun = 0;
        for (int round = 0; round < ROUNDS && begun < 2; round++) {
            settle();
            if (make_amid(p, changes[i], 1, &begun, &e) < 0)
                fail_msg("%s", e.text);
        }
        assert_int_equal(begun, 2);
        check_same(p->project, p->snapshot);
    }
    assert_int_equal(count_entries(p->state), 1);
}

static void a_project_that_keeps_changing_is_refused(void **state)
{
    struct place *p = *state;
    int result = 0, begun = 0;
    struct err e;

    assert_int_equal(fs_mkdirs(p->state, 0755, &e), 0);
    put_many(p, MANY);
    for (int round = 0; round < ROUNDS && result == 0; round++) {
        settle();
        result = make_amid(p, EDIT, 1 << 30, &begun, &e);
    }
    assert_int_equal(result, -1);
    assert_int_equal(begun, 4);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(e.text, "file "));
    assert_int_equal(count_entries(p->state), is_there(p->state, "project") ? 1 : 0);
}

/* Its time would stay the same if it changed once more within the tick. */
static void what_changed_just_now_is_looked_at_again(void **state)
{
    struct place *p = *state;
    struct project_snapshot_size size;
    struct err e;

    assert_int_equal(fs_mkdirs(p->state, 0755, &e), 0);
    auto_close int places = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    assert_true(inotify_add_watch(places, p->state, WATCHED) >= 0);
    auto_free char *path = scratch_write(p->project, "a", "zero");
    for (int begun = 0, round = 0; begun < 2; round++) {
        assert_true(round < ROUNDS);
        settle();
        auto_close int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, "one", 3), 3);
        assert_int_equal(project_snapshot_make(p->project, p->snapshot, &size, &e), 0);
        begun = count_begun(places);
    }
    check_text(p->snapshot, "a", "one");
}

/* --- what cannot be done --- */

static void a_full_disk_leaves_nothing(void **state)
{
    enum { BIG = 1 << 20 };
    struct place *p = *state;
    auto_free char *text = mem_alloc(BIG + 1);
    struct project_snapshot_size size;
    struct err e;

    memset(text, 'x', BIG);
    text[BIG] = 0;
    scratch_put(p->project, "sub/big", text);
    make(p);
    assert_int_equal(fs_mkdirs(p->run, 0755, &e), 0);
    if (!scratch_small_disk(p->run, 512 * 1024))
        skip();
    scratch_put(p->copy, "older", "one");
    assert_int_equal(project_snapshot_copy(p->snapshot, p->copy, &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
    check_text(p->copy, "older", "one");
    auto_free char *other = fs_join(p->run, "job/project");
    assert_int_equal(project_snapshot_make(p->project, other, &size, &e), -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
    assert_int_equal(count_entries(p->run), 1);
    umount2(p->run, MNT_DETACH);
}

static void a_project_over_the_limit_is_refused(void **state)
{
    struct place *p = *state;
    auto_free char *path = scratch_write(p->project, "sparse", "");

    if (truncate(path, (off_t)LIMIT_SNAPSHOT_BYTES + 1) < 0) {
        fprintf(stderr, "SKIPPED: the file system has no files of a TiB\n");
        skip();
    }
    refused(p, ERR_LIMIT, "1024 GiB");
    scratch_put(p->project, ".gitignore", "sparse\n");
    make(p);
}

static void a_state_in_the_project_must_be_left_out(void **state)
{
    struct place *p = *state;

    scratch_put(p->project, "a", "one");
    free(p->state);
    free(p->snapshot);
    p->state = fs_join(p->project, "state");
    p->snapshot = fs_join(p->state, "jobs/1/project");
    struct project_snapshot_size size;
    struct err e;
    assert_int_equal(project_snapshot_make(p->project, p->snapshot, &size, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "\"state/jobs/1\""));
    scratch_put(p->project, ".segueignore", "/state\n");
    make(p);
    check_text(p->snapshot, "a", "one");
    assert_false(is_there(p->snapshot, "state"));
}

static void what_is_missing_is_told(void **state)
{
    struct place *p = *state;
    struct err e;

    assert_int_equal(rmdir(p->project), 0);
    refused(p, ERR_NOT_FOUND, p->project);
    assert_int_equal(project_snapshot_copy(p->snapshot, p->copy, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(count_entries(p->run), 0);
    assert_int_equal(project_snapshot_remove(p->snapshot, &e), 0);
    assert_int_equal(project_snapshot_clean(p->state, &e), 0);
}

static void a_bad_ignore_file_is_told(void **state)
{
    struct place *p = *state;
    auto_free char *path = scratch_write(p->project, "sub/.gitignore", "");

    assert_int_equal(truncate(path, (off_t)LIMIT_CONFIG_BYTES + 1), 0);
    refused(p, ERR_LIMIT, "sub/.gitignore");
}

/* --- cleaning up, other users --- */

static void a_makers_leftovers_are_removed(void **state)
{
    struct place *p = *state;
    struct err e;

    scratch_put(p->project, "sub/a", "one");
    make(p);
    scratch_put(p->state, ".making-0123456789abcdef/sub/a", "half");
    scratch_put(p->state, "other", "x");
    assert_int_equal(project_snapshot_clean(p->state, &e), 0);
    assert_int_equal(count_entries(p->state), 2);
    check_text(p->snapshot, "sub/a", "one");
    assert_int_equal(project_snapshot_remove(p->snapshot, &e), 0);
    assert_int_equal(count_entries(p->state), 1);
}

/* In a child, whose exit status says where it failed. */
static int use_as_user(const struct place *p)
{
    struct project_snapshot_size size;
    struct stat st;
    struct err e;

    if (geteuid() == 0 &&
        (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
        return 1;
    if (project_snapshot_make(p->project, p->snapshot, &size, &e) < 0 ||
        project_snapshot_make(p->project, p->snapshot, &size, &e) < 0)
        return 2;
    if (project_snapshot_copy(p->snapshot, p->copy, &e) < 0)
        return 3;
    auto_free char *in_snapshot = fs_join(p->snapshot, "sub/new");
    auto_free char *in_copy = fs_join(p->copy, "sub/deep/new");
    auto_close int denied = open(in_snapshot, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    auto_close int made = open(in_copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (denied >= 0 || made < 0)
        return 4;
    auto_free char *leftover = fs_join(p->state, ".making-0123456789abcdef");
    if (rename(p->snapshot, leftover) < 0 || project_snapshot_clean(p->state, &e) < 0 ||
        lstat(leftover, &st) == 0)
        return 5;
    auto_free char *sub = fs_join(p->copy, "sub");
    if (chmod(sub, 0) < 0 || project_snapshot_remove(p->copy, &e) < 0 || lstat(p->copy, &st) == 0)
        return 6;
    return 0;
}

static void an_ordinary_user_can_do_it_all(void **state)
{
    struct place *p = *state;
    int status;

    scratch_put(p->project, "sub/deep/a", "one");
    scratch_put(p->project, "b", "two");
    assert_int_equal(chmod(p->root, 0777), 0);
    settle();
    pid_t child = fork();
    if (child == 0)
        _exit(use_as_user(p));
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void kill_after(pid_t child, long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Killed anywhere: what has the name is whole, and cleaning leaves nothing else. */
static void a_kill_leaves_all_or_nothing(void **state)
{
    enum { KILLS = 40, FILES = 300, STEP_US = 997 };
    struct place *p = *state;
    struct project_snapshot_size size;
    struct err e;

    put_many(p, FILES);
    for (int i = 0; i < KILLS; i++) {
        pid_t child = fork();
        if (child == 0) {
            while (project_snapshot_make(p->project, p->snapshot, &size, &e) == 0 &&
                   project_snapshot_copy(p->snapshot, p->copy, &e) == 0)
                ;
            _exit(1);
        }
        kill_after(child, 100 + i * STEP_US);
        assert_int_equal(project_snapshot_clean(p->state, &e), 0);
        assert_int_equal(project_snapshot_clean(p->run, &e), 0);
        assert_int_equal(count_entries(p->state), is_there(p->state, "project"));
        assert_int_equal(count_entries(p->run), is_there(p->run, "project"));
        if (is_there(p->state, "project"))
            assert_int_equal(count_entries(p->snapshot), FILES);
        if (is_there(p->run, "project"))
            check_same(p->project, p->copy);
    }
}

static void ten_thousand_files(void **state)
{
    enum { DIRS = 100, FILES = 100, SIZE = 1000 };
    struct place *p = *state;
    char text[SIZE + 1], name[32];

    memset(text, 'x', SIZE);
    text[SIZE] = 0;
    for (int i = 0; i < DIRS * FILES; i++) {
        snprintf(name, sizeof name, "dir %d/file %d", i / FILES, i % FILES);
        scratch_put(p->project, name, text);
    }
    settle();
    msec begun = clock_mono();
    struct project_snapshot_size size = make(p);
    msec made = clock_mono();
    copy(p);
    msec copied = clock_mono();
    assert_int_equal(size.files, DIRS * FILES);
    assert_int_equal(size.bytes, DIRS * FILES * SIZE);
    check_text(p->copy, "dir 99/file 99", text);
    assert_int_equal(count_entries(p->copy), DIRS);
    printf("10,000 files: snapshot %lld ms, copy %lld ms\n", (long long)(made - begun),
           (long long)(copied - made));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_ignore_files_name_is_left_out),
        TEST(environments_stay_in),
        TEST(links_in_the_project_stay_links),
        TEST(links_that_lead_out_are_refused),
        TEST(sockets_and_pipes_are_left_out),
        TEST(huge_names_are_copied),
        TEST(an_empty_project_is_one_too),
        TEST(each_has_files_of_its_own),
        TEST(nobody_may_write_in_it_and_the_owner_in_copies),
        TEST(owners_and_times_are_kept),
        TEST(what_is_there_is_replaced),
        TEST(a_change_meanwhile_is_in_it),
        TEST(a_project_that_keeps_changing_is_refused),
        TEST(what_changed_just_now_is_looked_at_again),
        TEST(a_full_disk_leaves_nothing),
        TEST(a_project_over_the_limit_is_refused),
        TEST(a_state_in_the_project_must_be_left_out),
        TEST(what_is_missing_is_told),
        TEST(a_bad_ignore_file_is_told),
        TEST(a_makers_leftovers_are_removed),
        TEST(an_ordinary_user_can_do_it_all),
        TEST(a_kill_leaves_all_or_nothing),
        TEST(ten_thousand_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
