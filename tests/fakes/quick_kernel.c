/* quick_kernel: a kernel that costs next to nothing, so that hundreds of them fit on a small
 * machine and what is measured is whoever talks to it.
 *
 *     quick_kernel CONNECTION_FILE
 *
 * A cell is one of these commands; anything else prints nothing and succeeds.
 *
 *     display N           N display_data messages, numbered from 0
 *     stream BYTES CHUNK  that much text, in messages of CHUNK bytes
 *     lines FROM TO EACH  the numbers from FROM to TO - 1, a line each, EACH lines in a message
 *     rest MS             nothing for a while; an interrupt ends it with an error
 *     die STATUS          ends the process
 *
 * comm_msg is sent back as it came, buffers included. One thread. A test: what goes wrong ends it.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define DELIMITER  "<IDS|MSG>"
#define FRAMES_MAX 64
#define TEXT_MAX   (64 << 20)

struct kernel {
    void *context, *shell, *control, *stdin_channel, *iopub, *heartbeat;
    char transport[16], ip[200], key[200];
    char session[33];
    unsigned long long messages, count;
    bool is_ending;
    char *text; /* TEXT_MAX, for contents */
};

/* A message that came in. Frames from the delimiter on: signature, header, parent header, metadata,
 * content, buffers. */
struct request {
    void *socket;
    zmq_msg_t frames[FRAMES_MAX];
    int count, delimiter;
    char type[64];
    const char *header;
    int header_size;
};

static volatile sig_atomic_t was_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    was_interrupted = 1;
}

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "quick_kernel: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The value of a name in JSON that is known to be flat enough: text between quotes, or a number. */
static bool find(const char *json, int size, const char *name, char *out, size_t out_size)
{
    char quoted[80];
    int length = snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = memmem(json, (size_t)size, quoted, (size_t)length);
    const char *end = json + size;
    if (!at)
        return false;
    for (at += length; at < end && strchr(": \t\n", *at);)
        at++;
    bool is_text = at < end && *at == '"';
    at += is_text;
    size_t n = 0;
    for (; at < end && n + 1 < out_size && !strchr(is_text ? "\"" : ",} \n", *at); at++)
        out[n++] = *at;
    out[n] = 0;
    return true;
}

static void sign(const struct kernel *kernel, const char *const parts[4], const int sizes[4],
                 char out[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned sum_size;
    size_t size = 0;
    for (int i = 0; i < 4; i++)
        size += (size_t)sizes[i];
    char small[1 << 16];
    char *whole = size <= sizeof small ? small : malloc(size);
    size_t at = 0;
    for (int i = 0; i < 4; at += (size_t)sizes[i++])
        memcpy(whole + at, parts[i], (size_t)sizes[i]);
    HMAC(EVP_sha256(), kernel->key, (int)strlen(kernel->key), (unsigned char *)whole, size, sum,
         &sum_size);
    if (whole != small)
        free(whole);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

static void put(void *socket, const void *data, size_t size, bool more)
{
    while (zmq_send(socket, data, size, more ? ZMQ_SNDMORE : 0) < 0)
        if (errno != EINTR)
            fail("zmq_send");
}

/* Sends on iopub when there is no `to`, else as an answer. `from`: whose buffers go with it. */
static void say(struct kernel *kernel, const struct request *parent, void *to, const char *type,
                const char *content, size_t size, struct request *from)
{
    char header[400], date[40], signature[65];
    struct timespec now;
    struct tm parts_of_day;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts_of_day));
    int header_size = snprintf(
        header, sizeof header,
        "{\"msg_id\": \"%s_%llu\", \"msg_type\": \"%s\", \"username\": \"quick\", "
        "\"session\": \"%s\", \"date\": \"%s.%06ldZ\", \"version\": \"5.3\"}",
        kernel->session, ++kernel->messages, type, kernel->session, date, now.tv_nsec / 1000);
    const char *parts[4] = {header, parent ? parent->header : "{}", "{}", content};
    int sizes[4] = {header_size, parent ? parent->header_size : 2, 2, (int)size};
    sign(kernel, parts, sizes, signature);

    void *socket = to ? to : kernel->iopub;
    if (to)
        for (int i = 0; i < parent->delimiter; i++) {
            zmq_msg_t *identity = (zmq_msg_t *)&parent->frames[i];
            put(socket, zmq_msg_data(identity), zmq_msg_size(identity), true);
        }
    else
        put(socket, type, strlen(type), true);
    put(socket, DELIMITER, sizeof DELIMITER - 1, true);
    put(socket, signature, 64, true);
    int first = from ? from->delimiter + 6 : 0, count = from ? from->count : 0;
    for (int i = 0; i < 4; i++)
        put(socket, parts[i], (size_t)sizes[i], i < 3 || first < count);
    for (int i = first; i < count; i++)
        put(socket, zmq_msg_data(&from->frames[i]), zmq_msg_size(&from->frames[i]), i + 1 < count);
}

static void publish(struct kernel *kernel, const struct request *parent, const char *type,
                    const char *content)
{
    say(kernel, parent, NULL, type, content, strlen(content), NULL);
}

static void reply(struct kernel *kernel, const struct request *request, const char *type,
                  const char *content)
{
    say(kernel, request, request->socket, type, content, strlen(content), NULL);
}

static void status(struct kernel *kernel, const struct request *parent, const char *state)
{
    char content[80];
    snprintf(content, sizeof content, "{\"execution_state\": \"%s\"}", state);
    publish(kernel, parent, "status", content);
}

/* ---------------------------------------------------------------------------------- cells */

static void do_display(struct kernel *kernel, const struct request *request, long long count)
{
    char content[200];
    for (long long i = 0; i < count; i++) {
        snprintf(content, sizeof content,
                 "{\"data\": {\"text/plain\": \"%lld\"}, \"metadata\": {}, \"transient\": {}}", i);
        publish(kernel, request, "display_data", content);
    }
}

static void do_stream(struct kernel *kernel, const struct request *request, long long bytes,
                      long long chunk)
{
    static const char before[] = "{\"name\": \"stdout\", \"text\": \"", after[] = "\\n\"}";
    size_t before_size = sizeof before - 1;
    for (; bytes > 0; bytes -= chunk) {
        size_t size = (size_t)(bytes < chunk ? bytes : chunk);
        memcpy(kernel->text, before, before_size);
        memset(kernel->text + before_size, 'x', size - 1);
        memcpy(kernel->text + before_size + size - 1, after, sizeof after - 1);
        say(kernel, request, NULL, "stream", kernel->text,
            before_size + size - 1 + sizeof after - 1, NULL);
    }
}

static void do_lines(struct kernel *kernel, const struct request *request, long long from,
                     long long to, long long each)
{
    while (from < to) {
        char *at = kernel->text + sprintf(kernel->text, "{\"name\": \"stdout\", \"text\": \"");
        for (long long i = 0; i < each && from < to; i++)
            at += sprintf(at, "%lld\\n", from++);
        at += sprintf(at, "\"}");
        say(kernel, request, NULL, "stream", kernel->text, (size_t)(at - kernel->text), NULL);
    }
}

/* false: interrupted. */
static bool do_rest(long long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    return nanosleep(&left, &left) == 0;
}

static void execute(struct kernel *kernel, struct request *request)
{
    const zmq_msg_t *content = &request->frames[request->delimiter + 5];
    char code[1000] = "", ran[1200], command[20] = "";
    long long n[3] = {0};
    find(zmq_msg_data((zmq_msg_t *)content), (int)zmq_msg_size(content), "code", code, sizeof code);
    sscanf(code, "%19s %lld %lld %lld", command, &n[0], &n[1], &n[2]);
    was_interrupted = 0;
    status(kernel, request, "busy");
    snprintf(ran, sizeof ran, "{\"code\": \"%s\", \"execution_count\": %llu}", code,
             ++kernel->count);
    publish(kernel, request, "execute_input", ran);
    bool is_ok = true;
    if (strcmp(command, "display") == 0)
        do_display(kernel, request, n[0]);
    else if (strcmp(command, "stream") == 0)
        do_stream(kernel, request, n[0], n[1]);
    else if (strcmp(command, "lines") == 0)
        do_lines(kernel, request, n[0], n[1], n[2] ? n[2] : 1);
    else if (strcmp(command, "rest") == 0)
        is_ok = do_rest(n[0]);
    else if (strcmp(command, "die") == 0)
        _exit((int)n[0]);
    static const char error[] =
        "\"ename\": \"KeyboardInterrupt\", \"evalue\": \"\", \"traceback\": [\"interrupted\"]";
    if (!is_ok) {
        snprintf(ran, sizeof ran, "{%s}", error);
        publish(kernel, request, "error", ran);
    }
    snprintf(ran, sizeof ran, "{\"status\": \"%s\", \"execution_count\": %llu, %s}",
             is_ok ? "ok" : "error", kernel->count,
             is_ok ? "\"payload\": [], \"user_expressions\": {}" : error);
    reply(kernel, request, "execute_reply", ran);
    status(kernel, request, "idle");
}

static void handle(struct kernel *kernel, struct request *request)
{
    static const char info[] =
        "{\"status\": \"ok\", \"protocol_version\": \"5.3\", \"implementation\": \"quick\", "
        "\"implementation_version\": \"1\", \"language_info\": {\"name\": \"quick\", \"version\": "
        "\"1\", \"mimetype\": \"text/plain\", \"file_extension\": \".txt\"}, \"banner\": "
        "\"quick\", "
        "\"help_links\": []}";
    if (strcmp(request->type, "execute_request") == 0) {
        execute(kernel, request);
    } else if (strcmp(request->type, "kernel_info_request") == 0) {
        status(kernel, request, "busy");
        reply(kernel, request, "kernel_info_reply", info);
        status(kernel, request, "idle");
    } else if (strcmp(request->type, "shutdown_request") == 0) {
        reply(kernel, request, "shutdown_reply", "{\"status\": \"ok\", \"restart\": false}");
        kernel->is_ending = true;
    } else if (strcmp(request->type, "comm_info_request") == 0) {
        status(kernel, request, "busy");
        reply(kernel, request, "comm_info_reply", "{\"status\": \"ok\", \"comms\": {}}");
        status(kernel, request, "idle");
    } else if (strcmp(request->type, "comm_msg") == 0) {
        zmq_msg_t *content = &request->frames[request->delimiter + 5];
        status(kernel, request, "busy");
        say(kernel, request, NULL, "comm_msg", zmq_msg_data(content), zmq_msg_size(content),
            request);
        status(kernel, request, "idle");
    }
}

/* --------------------------------------------------------------------------------- messages */

static void receive(struct kernel *kernel, void *socket)
{
    static struct request request;
    request.socket = socket;
    request.count = 0;
    request.delimiter = -1;
    int more = 1;
    while (more) {
        if (request.count == FRAMES_MAX)
            fail("too many frames");
        zmq_msg_t *frame = &request.frames[request.count];
        zmq_msg_init(frame);
        while (zmq_msg_recv(frame, socket, 0) < 0)
            if (errno != EINTR)
                fail("zmq_msg_recv");
        if (request.delimiter < 0 && zmq_msg_size(frame) == sizeof DELIMITER - 1 &&
            memcmp(zmq_msg_data(frame), DELIMITER, sizeof DELIMITER - 1) == 0)
            request.delimiter = request.count;
        request.count++;
        more = zmq_msg_more(frame);
    }
    if (request.delimiter < 0 || request.count < request.delimiter + 6)
        fail("not a message");
    const char *parts[4];
    int sizes[4];
    for (int i = 0; i < 4; i++) {
        zmq_msg_t *frame = &request.frames[request.delimiter + 2 + i];
        parts[i] = zmq_msg_data(frame);
        sizes[i] = (int)zmq_msg_size(frame);
    }
    char signature[65];
    sign(kernel, parts, sizes, signature);
    if (memcmp(signature, zmq_msg_data(&request.frames[request.delimiter + 1]), 64) != 0)
        fail("a wrong signature");
    request.header = parts[0];
    request.header_size = sizes[0];
    if (find(parts[0], sizes[0], "msg_type", request.type, sizeof request.type))
        handle(kernel, &request);
    for (int i = 0; i < request.count; i++)
        zmq_msg_close(&request.frames[i]);
}

static void *open_socket(struct kernel *kernel, const char *json, int size, int type,
                         const char *port_name)
{
    char port[20], address[300];
    int unlimited = 0, few = 10, linger = 1000;
    if (!find(json, size, port_name, port, sizeof port))
        fail(port_name);
    snprintf(address, sizeof address, "%s://%s%c%s", kernel->transport, kernel->ip,
             strcmp(kernel->transport, "ipc") == 0 ? '-' : ':', port);
    void *socket = zmq_socket(kernel->context, type);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &few, sizeof few);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(socket, address) != 0)
        fail(address);
    return socket;
}

static void open_kernel(struct kernel *kernel, const char *path)
{
    char json[4096];
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path);
    int size = (int)fread(json, 1, sizeof json, file);
    fclose(file);
    find(json, size, "transport", kernel->transport, sizeof kernel->transport);
    find(json, size, "ip", kernel->ip, sizeof kernel->ip);
    find(json, size, "key", kernel->key, sizeof kernel->key);
    snprintf(kernel->session, sizeof kernel->session, "%08x%08lx", (unsigned)getpid(),
             (unsigned long)time(NULL));
    kernel->context = zmq_ctx_new();
    kernel->shell = open_socket(kernel, json, size, ZMQ_ROUTER, "shell_port");
    kernel->control = open_socket(kernel, json, size, ZMQ_ROUTER, "control_port");
    kernel->stdin_channel = open_socket(kernel, json, size, ZMQ_ROUTER, "stdin_port");
    kernel->heartbeat = open_socket(kernel, json, size, ZMQ_REP, "hb_port");
    kernel->iopub = open_socket(kernel, json, size, ZMQ_PUB, "iopub_port");
}

static void beat(void *heartbeat)
{
    char ping[256];
    int size = zmq_recv(heartbeat, ping, sizeof ping, ZMQ_DONTWAIT);
    if (size >= 0)
        put(heartbeat, ping, (size_t)size, false);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage: quick_kernel CONNECTION_FILE");
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    struct kernel kernel = {.text = malloc(TEXT_MAX)};
    open_kernel(&kernel, argv[1]);
    status(&kernel, NULL, "starting");
    zmq_pollitem_t items[] = {{.socket = kernel.control, .events = ZMQ_POLLIN},
                              {.socket = kernel.shell, .events = ZMQ_POLLIN},
                              {.socket = kernel.heartbeat, .events = ZMQ_POLLIN}};
    while (!kernel.is_ending) {
        if (zmq_poll(items, 3, -1) < 0 && errno != EINTR)
            fail("zmq_poll");
        if (items[2].revents)
            beat(kernel.heartbeat);
        if (items[0].revents)
            receive(&kernel, kernel.control);
        else if (items[1].revents)
            receive(&kernel, kernel.shell);
        for (int i = 0; i < 3; i++)
            items[i].revents = 0;
    }
    void *sockets[] = {kernel.shell, kernel.control, kernel.stdin_channel, kernel.heartbeat,
                       kernel.iopub};
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        zmq_close(sockets[i]);
    zmq_ctx_term(kernel.context);
    free(kernel.text);
    return 0;
}
