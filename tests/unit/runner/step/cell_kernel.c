/* A kernel for tests of steps: an honest process with honest sockets, to which a cell is a list of
 * orders, one a line:
 *
 *   raise NAME     ends the cell with this error
 *   abort          ends it as aborted, with nothing else said
 *   hang           waits for SIGINT, then raises KeyboardInterrupt
 *   stall          waits for ever, whatever signal comes
 *   await          waits until another request is there, behind this one
 *   ask            asks for input and waits as hang does
 *   prompt         asks for input and prints what it gets
 *   spoil          raises Spoilt, and the request behind it is aborted
 *   flood N        N outputs of 64 KiB
 *   mutter TEXT    past the channels, on its stderr
 *   die            ends the process with exit status 7
 *   lose-idle, lose-reply   leaves one of them out at the end of the cell
 *
 * Every other line is printed to stdout as it is. Included by the test that is started again as the
 * kernel. */
#include "tests/unit/kernel-gateway/fake_peer.c"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

struct cell_kernel {
    struct peer peer;
    unsigned count;
    bool is_spoilt; /* the next request is aborted */
};

struct cell_answer {
    struct cell_kernel *kernel;
    const struct message *request;
    char *ename; /* NULL: none yet */
    bool is_aborted, loses_idle, loses_reply;
};

static inline void cell_publish(const struct cell_answer *answer, const char *type,
                                const char *content)
{
    must(peer_publish(&answer->kernel->peer, type, message_raw(answer->request, WIRE_HEADER),
                      str_of(content)));
}

static inline void cell_print(const struct cell_answer *answer, struct str text)
{
    auto_buf struct buf content = {0};

    buf_puts(&content, "{\"name\":\"stdout\",\"text\":");
    json_put_str(&content, text);
    buf_putc(&content, '}');
    cell_publish(answer, "stream", content.data);
}

/* SIGINT is blocked from the start: one that comes earlier is not lost. */
static inline void cell_wait_for_interrupt(struct cell_answer *answer)
{
    sigset_t interrupt;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    must(sigwaitinfo(&interrupt, NULL) == SIGINT);
    answer->ename = mem_strdup("KeyboardInterrupt");
}

static inline void cell_ask(struct cell_answer *answer)
{
    /* Refused until the other side's socket is connected. */
    while (!peer_reply(&answer->kernel->peer, CHANNEL_STDIN, answer->request, "input_request",
                       STR("{\"prompt\":\"?\",\"password\":false}")))
        sched_yield();
    cell_wait_for_interrupt(answer);
}

static inline void cell_await_request(const struct cell_answer *answer)
{
    zmq_pollitem_t item = {.socket = answer->kernel->peer.sockets[CHANNEL_SHELL],
                           .events = ZMQ_POLLIN};

    must(zmq_poll(&item, 1, -1) > 0);
}

static inline void cell_prompt(struct cell_answer *answer)
{
    struct peer *peer = &answer->kernel->peer;
    auto_message struct message reply = {0};
    auto_buf struct buf line = {0};

    while (!peer_reply(peer, CHANNEL_STDIN, answer->request, "input_request",
                       STR("{\"prompt\":\"?\",\"password\":false}")))
        sched_yield();
    peer_receive(peer, CHANNEL_STDIN, &reply);
    const struct json *content = message_content(&reply);
    json_string(content, json_get(content, 0, "value"), &line);
    buf_putc(&line, '\n');
    cell_print(answer, (struct str){line.data, line.len});
}

static inline void cell_flood(const struct cell_answer *answer, int count)
{
    static char text[65536];

    memset(text, 'x', sizeof text);
    for (int i = 0; i < count; i++) {
        text[sizeof text - 1] = '\n';
        cell_print(answer, (struct str){text, sizeof text});
    }
}

static inline void cell_obey(struct cell_answer *answer, const char *order)
{
    int count;

    if (strncmp(order, "raise ", 6) == 0)
        answer->ename = mem_strdup(order + 6);
    else if (strcmp(order, "abort") == 0)
        answer->is_aborted = true;
    else if (strcmp(order, "hang") == 0)
        cell_wait_for_interrupt(answer);
    else if (strcmp(order, "stall") == 0)
        for (;;)
            pause();
    else if (strcmp(order, "ask") == 0)
        cell_ask(answer);
    else if (strcmp(order, "await") == 0)
        cell_await_request(answer);
    else if (strcmp(order, "prompt") == 0)
        cell_prompt(answer);
    else if (strcmp(order, "spoil") == 0) {
        answer->ename = mem_strdup("Spoilt");
        answer->kernel->is_spoilt = true;
    } else if (sscanf(order, "flood %d", &count) == 1)
        cell_flood(answer, count);
    else if (strncmp(order, "mutter ", 7) == 0)
        must(dprintf(STDERR_FILENO, "%s\n", order + 7) > 0);
    else if (strcmp(order, "die") == 0) {
        peer_close(&answer->kernel->peer, PEER_TIMEOUT_MS);
        _exit(7);
    } else if (strcmp(order, "lose-idle") == 0)
        answer->loses_idle = true;
    else if (strcmp(order, "lose-reply") == 0)
        answer->loses_reply = true;
    else {
        auto_free char *line = mem_printf("%s\n", order);
        cell_print(answer, str_of(line));
    }
}

static inline void cell_end(const struct cell_answer *answer)
{
    const struct cell_kernel *kernel = answer->kernel;
    auto_free char *error = mem_printf("\"ename\":\"%s\",\"evalue\":\"on purpose\","
                                       "\"traceback\":[\"in the cell\"]",
                                       answer->ename ? answer->ename : "");
    auto_free char *output = mem_printf("{%s}", error);
    auto_free char *content =
        answer->is_aborted ? mem_strdup("{\"status\":\"aborted\"}")
        : answer->ename
            ? mem_printf("{\"status\":\"error\",\"execution_count\":%u,%s}", kernel->count, error)
            : mem_printf("{\"status\":\"ok\",\"execution_count\":%u}", kernel->count);

    if (answer->ename)
        cell_publish(answer, "error", output);
    if (!answer->loses_reply)
        must(peer_reply(&answer->kernel->peer, CHANNEL_SHELL, answer->request, "execute_reply",
                        str_of(content)));
    if (!answer->loses_idle)
        cell_publish(answer, "status", "{\"execution_state\":\"idle\"}");
}

static inline void cell_execute(struct cell_kernel *kernel, struct message *request)
{
    struct cell_answer answer = {.kernel = kernel, .request = request};
    const struct json *asked = message_content(request);
    auto_free char *code = json_strdup(asked, json_get(asked, 0, "code"));
    auto_free char *input = mem_printf("{\"code\":\"\",\"execution_count\":%u}", ++kernel->count);
    char *rest = code;

    must(json_kind(asked, json_get(asked, 0, "allow_stdin")) == JSON_BOOL);
    cell_publish(&answer, "status", "{\"execution_state\":\"busy\"}");
    if (kernel->is_spoilt) {
        kernel->is_spoilt = false;
        kernel->count--;
        answer.is_aborted = true;
        cell_end(&answer);
        return;
    }
    cell_publish(&answer, "execute_input", input);
    for (char *order; !answer.ename && (order = strtok_r(rest, "\n", &rest));)
        cell_obey(&answer, order);
    cell_end(&answer);
    free(answer.ename);
}

static inline void cell_kernel_handle(struct cell_kernel *kernel, enum channel channel)
{
    auto_message struct message request = {0};

    peer_receive(&kernel->peer, channel, &request);
    struct cell_answer answer = {.kernel = kernel, .request = &request};
    auto_free char *type = json_strdup(&request.header, json_get(&request.header, 0, "msg_type"));
    if (strcmp(type, "execute_request") == 0) {
        cell_execute(kernel, &request);
    } else if (strcmp(type, "kernel_info_request") == 0) {
        cell_publish(&answer, "status", "{\"execution_state\":\"busy\"}");
        must(peer_reply(&kernel->peer, channel, &request, "kernel_info_reply",
                        STR("{\"status\":\"ok\",\"language_info\":{\"name\":\"python\"}}")));
        cell_publish(&answer, "status", "{\"execution_state\":\"idle\"}");
    } else if (strcmp(type, "shutdown_request") == 0) {
        must(peer_reply(&kernel->peer, channel, &request, "shutdown_reply",
                        STR("{\"status\":\"ok\"}")));
        peer_close(&kernel->peer, PEER_TIMEOUT_MS);
        _exit(0);
    }
}

static inline _Noreturn void cell_kernel(const char *connection_file)
{
    struct cell_kernel kernel = {0};
    struct connection connection = {0};
    sigset_t interrupt;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    peer_read_connection(connection_file, &connection);
    peer_open(&kernel.peer, &connection);
    peer_await_subscriber(&kernel.peer);
    zmq_pollitem_t items[] = {
        {.socket = kernel.peer.sockets[CHANNEL_SHELL], .events = ZMQ_POLLIN},
        {.socket = kernel.peer.sockets[CHANNEL_CONTROL], .events = ZMQ_POLLIN},
    };
    for (;;) {
        must(zmq_poll(items, 2, -1) > 0);
        if (items[1].revents)
            cell_kernel_handle(&kernel, CHANNEL_CONTROL);
        if (items[0].revents)
            cell_kernel_handle(&kernel, CHANNEL_SHELL);
    }
}

/* A kernelspec `fake` below `root` for this program, which JUPYTER_PATH then leads to. Under a name
 * of a kernel that speaks ipc the program is taken for one. */
static inline void cell_kernel_install(const char *root, const char *order)
{
    char self[4096] = {0};
    struct err e;
    auto_free char *program = fs_join(root, "xpython");
    auto_free char *directory = fs_join(root, "kernels/fake");
    auto_free char *file = fs_join(directory, "kernel.json");
    auto_free char *text =
        mem_printf("{\"argv\":[\"%s\",\"%s\",\"{connection_file}\"],\"language\":\"python\","
                   "\"display_name\":\"Fake\"}",
                   program, order);

    must(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    must(symlink(self, program) == 0);
    must(fs_mkdirs(directory, 0755, &e) == 0);
    must(fs_write(file, str_of(text), 0644, FS_NO_SYNC, &e) == 0);
    setenv("JUPYTER_PATH", root, 1);
}
