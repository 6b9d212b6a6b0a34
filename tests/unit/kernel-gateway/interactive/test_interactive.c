/* Whole keepers with a kernel in them; the kernel is this very program, started again as
 * `test_interactive ORDER CONNECTION_FILE`, and what it executes are orders to it
 * (cell_kernel.c). */
#include "kernel-gateway/interactive/interactive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "kernel-gateway/clients/admission.h"
#include "kernel-gateway/interactive/interactive_task.h"
#include "kernel-gateway/interactive/kernel_news.h"
#include "kernel-gateway/keeper/keeper.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/kernel-gateway/clients/guest.c"
#include "tests/unit/runner/step/cell_kernel.c"

#include <dirent.h>
#include <poll.h>
#include <sys/un.h>
#include <sys/wait.h>

#define FAKE_KERNEL "fake-kernel"
#define MUTE_KERNEL "mute-kernel" /* starts and never answers */
#define DEAD_KERNEL "dead-kernel" /* says why, and ends */
#define DEAD_WORDS  "no module named kernel"

struct world {
    char *root; /* root/d: its directory; root/k: keeper, attempt, s/ */
    char *directory, *socket_path, *link;
    struct interactive_task task;
    pid_t pid;
    int control;
    struct kernel_news news; /* the newest */
    struct buf answers;      /* that came while iopub was listened to, one a line */
};

/* --- the keeper --- */

static void set(char **field, char *take_text)
{
    free(*field);
    *field = take_text;
}

static void fill_task(struct world *world)
{
    struct interactive_task *task = &world->task;
    char mark[11];

#define X(name) task->name = mem_strdup("the-" #name);
    INTERACTIVE_NEEDED_TEXTS(X)
#undef X
    random_hex(mark, 10);
    set(&task->mark, mem_strdup(mark));
    set(&task->launcher, mem_strdup("process"));
    set(&task->cwd, mem_strdup(world->root));
    set(&task->kernelspec, mem_strdup("fake"));
    set(&task->socket_dir, fs_join(world->root, "k/s"));
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    *state = world;
    world->root = scratch_new();
    world->directory = fs_join(world->root, "d");
    world->socket_path = fs_join(world->root, "k/keeper");
    world->link = fs_join(world->root, "k/attempt");
    world->control = -1;
    fill_task(world);
    must(fs_mkdirs(world->directory, 0700, &e) == 0);
    must(fs_mkdirs(world->task.socket_dir, 0700, &e) == 0);
    must(symlink(world->directory, world->link) == 0);
    alarm(120); /* a hang fails */
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    if (world->pid > 0) { /* the test has failed */
        kill(world->pid, SIGKILL);
        waitpid(world->pid, NULL, 0);
        child_kill_marked("SEGUE_ATTEMPT", world->task.mark);
    }
    if (world->control >= 0)
        close(world->control);
    interactive_task_clear(&world->task);
    buf_clear(&world->answers);
    scratch_free(world->root);
    free(world->directory);
    free(world->socket_path);
    free(world->link);
    free(world);
    return 0;
}

static struct sockaddr_un address_of(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    must(strlen(world->socket_path) < sizeof address.sun_path);
    strcpy(address.sun_path, world->socket_path);
    return address;
}

/* As a gateway does after its start, too. */
static void connect_control(struct world *world)
{
    struct sockaddr_un address = address_of(world);

    world->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    must(connect(world->control, (struct sockaddr *)&address, sizeof address) == 0);
}

/* A keeper is born, whose kernel obeys `order`. */
static void begin(struct world *world, const char *order)
{
    struct sockaddr_un address = address_of(world);
    auto_free char *lock = scratch_write(world->directory, KEEPER_LOCK, "");
    auto_buf struct buf text = {0};
    struct err e;

    cell_kernel_install(world->root, order);
    interactive_task_encode(&world->task, &text);
    scratch_put(world->directory, INTERACTIVE_TASK_FILE, text.data);
    struct keeper_birth birth = {
        .directory = world->directory,
        .lock_fd = fs_lock(lock, &e),
        .listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
        .life_fd = -1,
    };
    must(bind(birth.listen_fd, (struct sockaddr *)&address, sizeof address) == 0 &&
         listen(birth.listen_fd, 4) == 0);
    connect_control(world);
    world->pid = fork();
    if (world->pid == 0) {
        close(world->control);
        _exit(interactive_run(&birth));
    }
    close(birth.lock_fd);
    close(birth.listen_fd);
}

static void command(struct world *world, const char *text)
{
    must(send(world->control, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* False: it has ended. */
static bool hear_news(struct world *world)
{
    char packet[4096];
    struct err e;
    ssize_t got = recv(world->control, packet, sizeof packet, 0);

    if (got <= 0)
        return false;
    if (kernel_news_parse(&world->news, (struct str){packet, (size_t)got}, &e) < 0)
        fail_msg("%s", e.text);
    return true;
}

static void until(struct world *world, enum kernel_activity activity, unsigned starts)
{
    while (world->news.activity != activity || world->news.starts != starts)
        if (!hear_news(world))
            fail_msg("it ended");
}

static void start(struct world *world)
{
    begin(world, FAKE_KERNEL);
    command(world, "start");
    until(world, KERNEL_ACTIVITY_IDLE, 1);
}

/* It has ended in order, and left nothing. */
static void until_gone(struct world *world)
{
    int status;

    while (hear_news(world))
        ;
    must(waitpid(world->pid, &status, 0) == world->pid);
    world->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(child_kill_marked("SEGUE_ATTEMPT", world->task.mark), 0);
    assert_int_equal(rmdir(world->task.socket_dir), 0);
    struct stat link;
    assert_int_equal(lstat(world->link, &link), -1);
}

static void shut_down(struct world *world)
{
    command(world, "shutdown");
    until_gone(world);
}

/* --- its guests --- */

static struct guest come(struct world *world, const char *session)
{
    auto_admission struct admission admission = {.form = {.protocol = CLIENT_V1}};
    struct err e;
    int theirs;
    struct guest guest = guest_connect(&theirs);

    strcpy(admission.session, session);
    if (admission_send(&admission, world->socket_path, theirs, &e) < 0)
        fail_msg("%s", e.text);
    return guest;
}

static int next_frame(struct guest *guest, struct buf *payload)
{
    int opcode;

    while ((opcode = guest_take_frame(guest, payload)) == 0 && !guest->is_at_end) {
        struct pollfd readable = {guest->fd, POLLIN, 0};
        poll(&readable, 1, -1);
        guest_read(guest, SIZE_MAX);
    }
    return opcode;
}

/* The next message on iopub. Answers come by other sockets of the kernel, before it or after. */
static void next_published(struct world *world, struct guest *guest, struct buf *text)
{
    for (;;) {
        auto_buf struct buf payload = {0};
        assert_int_equal(next_frame(guest, &payload), GUEST_BINARY);
        buf_reset(text);
        guest_describe(text, &payload);
        if (strncmp(text->data, "iopub ", 6) == 0)
            return;
        buf_puts(&world->answers, text->data);
        buf_putc(&world->answers, '\n');
    }
}

static void hears(struct world *world, struct guest *guest, const char *expected)
{
    auto_buf struct buf text = {0};

    next_published(world, guest, &text);
    assert_string_equal(text.data, expected);
}

/* That it begins so is enough. */
static void hears_a(struct world *world, struct guest *guest, const char *expected)
{
    auto_buf struct buf text = {0};

    next_published(world, guest, &text);
    if (strncmp(text.data, expected, strlen(expected)) != 0)
        fail_msg("instead of %s: %s", expected, text.data);
}

/* Once everything that is published for it was heard. */
static void hears_answer(struct world *world, struct guest *guest, const char *expected)
{
    if (world->answers.len == 0) {
        auto_buf struct buf payload = {0};
        assert_int_equal(next_frame(guest, &payload), GUEST_BINARY);
        guest_describe(&world->answers, &payload);
    }
    if (strncmp(world->answers.data, expected, strlen(expected)) != 0)
        fail_msg("instead of %s: %s", expected, world->answers.data);
    buf_reset(&world->answers);
}

static void hears_end(struct guest *guest, int code)
{
    auto_buf struct buf payload = {0};

    assert_int_equal(next_frame(guest, &payload), GUEST_CLOSE);
    assert_int_equal((unsigned char)payload.data[0] << 8 | (unsigned char)payload.data[1], code);
    guest_leave(guest);
}

static void execute(struct guest *guest, const char *msg_id, const char *code)
{
    auto_buf struct buf content = {0};

    buf_puts(&content, "{\"allow_stdin\":false,\"code\":");
    json_put_text(&content, code);
    buf_putc(&content, '}');
    guest_ask(guest, CHANNEL_SHELL, msg_id, "execute_request", content.data);
}

#define BUSY          "iopub status {\"execution_state\":\"busy\"}"
#define IDLE          "iopub status {\"execution_state\":\"idle\"}"
#define RESTARTING    "iopub status {\"execution_state\":\"restarting\"}"
#define DEAD          "iopub status {\"execution_state\":\"dead\"}"
#define PRINTED(text) "iopub stream {\"name\":\"stdout\",\"text\":\"" text "\\n\"}"

static void runs_a_cell(struct world *world, struct guest *guest, const char *msg_id)
{
    execute(guest, msg_id, "hello");
    hears(world, guest, BUSY);
    hears_a(world, guest, "iopub execute_input ");
    hears(world, guest, PRINTED("hello"));
    hears(world, guest, IDLE);
    hears_answer(world, guest, "shell execute_reply {\"status\":\"ok\"");
}

/* --- its life --- */

static void lives_and_shuts_down(void **state)
{
    struct world *world = *state;

    begin(world, FAKE_KERNEL);
    assert_true(hear_news(world));
    assert_int_equal(world->news.activity, KERNEL_ACTIVITY_STARTING);
    assert_int_equal(world->news.starts, 0);
    command(world, "start");
    until(world, KERNEL_ACTIVITY_IDLE, 1);
    command(world, "start"); /* once is enough */
    struct guest guest = come(world, "a");
    while (world->news.connections != 1)
        assert_true(hear_news(world));
    runs_a_cell(world, &guest, "m1"); /* and of what we ask ourselves nothing is heard */
    runs_a_cell(world, &guest, "m2");
    assert_string_equal(world->news.reason, "");
    command(world, "shutdown");
    hears_end(&guest, 1001);
    until_gone(world);
    assert_int_equal(world->news.starts, 1);
}

static void what_is_sent_early_waits_until_it_is_ready(void **state)
{
    struct world *world = *state;

    begin(world, FAKE_KERNEL);
    struct guest guest = come(world, "a");
    execute(&guest, "m1", "one");
    command(world, "start");
    hears(world, &guest, BUSY);
    hears_a(world, &guest, "iopub execute_input ");
    hears(world, &guest, PRINTED("one"));
    guest_leave(&guest);
    shut_down(world);
}

static void tells_what_it_does(void **state)
{
    struct world *world = *state;

    start(world);
    int64_t before = world->news.last_activity_us;
    struct guest guest = come(world, "a");
    execute(&guest, "m1", "hang");
    until(world, KERNEL_ACTIVITY_BUSY, 1);
    command(world, "interrupt");
    until(world, KERNEL_ACTIVITY_IDLE, 1);
    assert_true(world->news.last_activity_us > before);
    hears(world, &guest, BUSY);
    hears_a(world, &guest, "iopub execute_input ");
    hears_a(world, &guest, "iopub error {\"ename\":\"KeyboardInterrupt\"");
    hears(world, &guest, IDLE);
    hears_answer(world, &guest, "shell execute_reply {\"status\":\"error\"");
    guest_leave(&guest);
    shut_down(world);
}

static void what_pages_ask_in_the_background_is_no_activity(void **state)
{
    struct world *world = *state;

    start(world);
    int64_t before = world->news.last_activity_us;
    struct guest guest = come(world, "a");
    guest_ask(&guest, CHANNEL_SHELL, "m1", "kernel_info_request", "{}");
    hears(world, &guest, BUSY);
    hears(world, &guest, IDLE);
    hears_answer(world, &guest, "shell kernel_info_reply ");
    guest_leave(&guest);
    command(world, "shutdown");
    while (hear_news(world))
        assert_int_not_equal(world->news.activity, KERNEL_ACTIVITY_BUSY);
    until_gone(world);
    assert_true(world->news.last_activity_us >= before);
}

static void goes_on_without_a_gateway(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    runs_a_cell(world, &guest, "m1");
    close(take_fd(&world->control));
    runs_a_cell(world, &guest, "m2");
    guest_leave(&guest);
    connect_control(world);
    assert_true(hear_news(world)); /* what is known, without having to ask */
    assert_int_equal(world->news.starts, 1);
    while (world->news.connections != 0)
        assert_true(hear_news(world));
    guest = come(world, "a");
    runs_a_cell(world, &guest, "m3"); /* nothing is said twice */
    guest_leave(&guest);
    shut_down(world);
}

/* --- death --- */

/* The stderr message that tells of the death, in the cell's output. */
static void hears_of_death(struct guest *guest, const char *msg_id, const char *text)
{
    auto_buf struct buf payload = {0};
    auto_client_message struct client_message message = {0};

    assert_int_equal(next_frame(guest, &payload), GUEST_BINARY);
    client_split_v1(&message, (struct str){payload.data, payload.len});
    auto_free char *parent =
        mem_strndup(message.parts[WIRE_PARENT].text, message.parts[WIRE_PARENT].len);
    auto_free char *content =
        mem_strndup(message.parts[WIRE_CONTENT].text, message.parts[WIRE_CONTENT].len);
    if (!strstr(parent, msg_id))
        fail_msg("not in the cell: %s", parent);
    assert_string_equal(content, text);
}

static void dies_and_is_started_again(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    execute(&guest, "m1", "mutter out of luck\ndie");
    hears(world, &guest, BUSY);
    hears_a(world, &guest, "iopub execute_input ");
    hears_of_death(
        &guest, "m1",
        "{\"name\":\"stderr\",\"text\":\"\\nThe kernel died: exit status 7: out of luck. "
        "It is being restarted.\\n\"}");
    hears(world, &guest, RESTARTING);
    hears(world, &guest, IDLE);
    runs_a_cell(world, &guest, "m2");
    until(world, KERNEL_ACTIVITY_IDLE, 2);
    assert_string_equal(world->news.reason, "the kernel died: exit status 7: out of luck");
    auto_free char *log = scratch_read(world->directory, "kernel.log");
    assert_string_equal(log, "out of luck\n");
    guest_leave(&guest);
    shut_down(world);
}

/* A client may end it too, in its own way: as other gateways, we start it again. */
static void ends_idle_and_is_started_again(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    runs_a_cell(world, &guest, "m1");
    guest_ask(&guest, CHANNEL_CONTROL, "m2", "shutdown_request", "{}");
    hears(world, &guest, RESTARTING); /* no cell was executed: none is told */
    hears(world, &guest, IDLE);
    hears_answer(world, &guest, "control shutdown_reply ");
    runs_a_cell(world, &guest, "m3");
    guest_leave(&guest);
    shut_down(world);
}

static void is_dead_when_it_dies_again_and_again(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    for (int i = 1; i <= 6; i++) {
        execute(&guest, "m", "die");
        hears(world, &guest, BUSY);
        hears_a(world, &guest, "iopub execute_input ");
        hears_a(world, &guest, "iopub stream {\"name\":\"stderr\"");
        if (i < 6) {
            hears(world, &guest, RESTARTING);
            hears(world, &guest, IDLE);
        }
    }
    hears(world, &guest, DEAD);
    until(world, KERNEL_ACTIVITY_DEAD, 6);
    assert_non_null(strstr(world->news.reason, "exit status 7"));
    execute(&guest, "m7", "hello");
    hears(world, &guest, DEAD); /* whoever asks is told */
    command(world, "restart");
    hears(world, &guest, IDLE);
    runs_a_cell(world, &guest, "m8");
    until(world, KERNEL_ACTIVITY_IDLE, 7);
    execute(&guest, "m9", "die"); /* what was before is forgiven */
    until(world, KERNEL_ACTIVITY_IDLE, 8);
    guest_leave(&guest);
    shut_down(world);
}

static void fails_to_start(void **state)
{
    struct world *world = *state;

    begin(world, DEAD_KERNEL);
    command(world, "start");
    until(world, KERNEL_ACTIVITY_DEAD, 0);
    if (!strstr(world->news.reason, DEAD_WORDS))
        fail_msg("%s", world->news.reason);
    assert_non_null(strstr(world->news.reason, "exit status 3"));
    command(world, "start"); /* it was told once that this goes wrong */
    command(world, "restart");
    until(world, KERNEL_ACTIVITY_RESTARTING, 0);
    until(world, KERNEL_ACTIVITY_DEAD, 0);
    auto_free char *log = scratch_read(world->directory, "kernel.log");
    assert_string_equal(log, DEAD_WORDS "\n" DEAD_WORDS "\n"); /* tried as often as asked for */
    shut_down(world);
}

static void has_no_kernelspec(void **state)
{
    struct world *world = *state;

    set(&world->task.kernelspec, mem_strdup("missing"));
    begin(world, FAKE_KERNEL);
    command(world, "start");
    until(world, KERNEL_ACTIVITY_DEAD, 0);
    assert_non_null(strstr(world->news.reason, "missing"));
    shut_down(world);
}

/* --- commands --- */

static void until_published(struct world *world, struct guest *guest, const char *expected)
{
    auto_buf struct buf text = {0};

    do
        next_published(world, guest, &text);
    while (strcmp(text.data, expected) != 0);
}

static void restarts(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    runs_a_cell(world, &guest, "m1");
    command(world, "restart");
    execute(&guest, "m2", "hello"); /* goes to the one kernel or the other, and is answered */
    until(world, KERNEL_ACTIVITY_IDLE, 2);
    until_published(world, &guest, PRINTED("hello"));
    command(world, "restart");
    until(world, KERNEL_ACTIVITY_IDLE, 3);
    assert_string_equal(world->news.reason, "");
    assert_int_equal(world->news.connections, 1);
    guest_leave(&guest);
    shut_down(world);
}

static void restarts_from_the_middle_of_a_cell(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    execute(&guest, "m1", "hang");
    until(world, KERNEL_ACTIVITY_BUSY, 1);
    command(world, "restart");
    hears(world, &guest, BUSY);
    hears_a(world, &guest, "iopub execute_input ");
    hears_a(world, &guest, "iopub error {\"ename\":\"KeyboardInterrupt\"");
    hears(world, &guest, IDLE);
    hears_answer(world, &guest, "shell execute_reply {\"status\":\"error\"");
    hears(world, &guest, IDLE);
    until(world, KERNEL_ACTIVITY_IDLE, 2);
    runs_a_cell(world, &guest, "m2");
    guest_leave(&guest);
    shut_down(world);
}

/* A kernel that hears no interrupt, and does not end when asked. */
static void restarts_from_a_cell_that_hangs(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    execute(&guest, "m1", "stall");
    until(world, KERNEL_ACTIVITY_BUSY, 1);
    command(world, "restart");
    until(world, KERNEL_ACTIVITY_IDLE, 2);
    assert_string_equal(world->news.reason, "");
    guest_leave(&guest);
    shut_down(world);
}

static int sockets_of(const struct world *world)
{
    DIR *directory = opendir(world->task.socket_dir);
    int count = 0;

    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] == 's';
    closedir(directory);
    return count;
}

/* A kernel that binds its sockets and says nothing: it is still starting. */
static void begin_starting(struct world *world)
{
    begin(world, MUTE_KERNEL);
    command(world, "start");
    while (sockets_of(world) < CHANNEL_HEARTBEAT)
        sched_yield();
}

static void is_shut_down_while_it_starts(void **state)
{
    struct world *world = *state;

    begin_starting(world);
    command(world, "interrupt"); /* which does nothing */
    struct guest guest = come(world, "a");
    command(world, "shutdown");
    hears_end(&guest, 1001);
    until_gone(world);
    assert_int_equal(world->news.starts, 0);
}

static void is_restarted_while_it_starts(void **state)
{
    struct world *world = *state;

    begin_starting(world);
    auto_free char *program = fs_join(world->root, "kernels/fake/kernel.json");
    must(unlink(program) == 0); /* the next start is of one that is well */
    auto_free char *xpython = fs_join(world->root, "xpython");
    must(unlink(xpython) == 0);
    cell_kernel_install(world->root, FAKE_KERNEL);
    command(world, "restart");
    until(world, KERNEL_ACTIVITY_IDLE, 1);
    shut_down(world);
}

static void is_shut_down_before_it_was_started(void **state)
{
    struct world *world = *state;

    begin(world, FAKE_KERNEL);
    command(world, "restart"); /* for which it is too early */
    shut_down(world);
    assert_int_equal(world->news.starts, 0);
}

/* Both are there when it looks. */
static void is_started_and_shut_down_at_once(void **state)
{
    struct world *world = *state;

    begin(world, FAKE_KERNEL);
    assert_true(hear_news(world));
    kill(world->pid, SIGSTOP);
    command(world, "start");
    command(world, "shutdown");
    kill(world->pid, SIGCONT);
    until_gone(world);
    assert_int_equal(world->news.starts, 0);
}

static void sigterm_is_a_shutdown(void **state)
{
    struct world *world = *state;

    start(world);
    struct guest guest = come(world, "a");
    runs_a_cell(world, &guest, "m1");
    kill(world->pid, SIGTERM);
    hears_end(&guest, 1001);
    until_gone(world);
}

static void bad_commands_are_ignored(void **state)
{
    static const char *const rows[] = {
        "", "dance", "admit", "admit {}", "admit {\"session\":\"\"}", "startx", "start now"};
    struct world *world = *state;

    begin(world, FAKE_KERNEL);
    for (size_t i = 1; i < sizeof rows / sizeof *rows; i++)
        command(world, rows[i]);
    command(world, "start");
    until(world, KERNEL_ACTIVITY_IDLE, 1);
    assert_int_equal(world->news.connections, 0);
    shut_down(world);
}

static void without_a_task_there_is_no_keeper(void **state)
{
    struct world *world = *state;
    struct keeper_birth birth = {
        .directory = world->directory, .lock_fd = -1, .listen_fd = -1, .life_fd = -1};

    assert_int_not_equal(interactive_run(&birth), 0);
}

/* Binds as a kernel does, and answers nothing. */
static _Noreturn void mute_kernel(const char *connection_file)
{
    struct peer peer;
    struct connection connection = {0};

    peer_read_connection(connection_file, &connection);
    peer_open(&peer, &connection);
    for (;;)
        pause();
}

static int be_a_kernel(const char *order, const char *connection_file)
{
    if (strcmp(order, FAKE_KERNEL) == 0)
        cell_kernel(connection_file);
    if (strcmp(order, MUTE_KERNEL) == 0)
        mute_kernel(connection_file);
    fputs(DEAD_WORDS "\n", stderr);
    return 3;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 3)
        return be_a_kernel(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        TEST(lives_and_shuts_down),
        TEST(what_is_sent_early_waits_until_it_is_ready),
        TEST(tells_what_it_does),
        TEST(what_pages_ask_in_the_background_is_no_activity),
        TEST(goes_on_without_a_gateway),
        TEST(dies_and_is_started_again),
        TEST(ends_idle_and_is_started_again),
        TEST(is_dead_when_it_dies_again_and_again),
        TEST(fails_to_start),
        TEST(has_no_kernelspec),
        TEST(restarts),
        TEST(restarts_from_the_middle_of_a_cell),
        TEST(restarts_from_a_cell_that_hangs),
        TEST(is_shut_down_while_it_starts),
        TEST(is_restarted_while_it_starts),
        TEST(is_shut_down_before_it_was_started),
        TEST(is_started_and_shut_down_at_once),
        TEST(sigterm_is_a_shutdown),
        TEST(bad_commands_are_ignored),
        TEST(without_a_task_there_is_no_keeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
