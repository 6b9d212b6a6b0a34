#include "kernel-gateway/clients/audience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "kernel-gateway/clients/sessions.h"
#include "kernel-gateway/clients/unread.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/kernel-gateway/clients/guest.c"

#include <limits.h>
#include <malloc.h>

struct world {
    char *directory;
    struct loop *loop;
    struct audience *audience;
    struct buf asked;  /* "shell m1 execute_request;" for each request */
    unsigned refusals; /* so many requests meet a kernel that takes nothing; UINT_MAX: all */
    unsigned refused;
    unsigned changes;
};

static int on_request(void *user, enum channel channel, const struct outgoing *message,
                      struct err *e)
{
    struct world *world = user;
    auto_json struct json header = {0};

    if (world->refused < world->refusals) {
        world->refused++;
        return err_set(e, ERR_LIMIT, "the kernel leaves it unread");
    }
    assert_int_equal(json_parse(&header, message->header, JSON_TOLERANT, NULL, e), 0);
    auto_free char *id = json_strdup(&header, json_get(&header, 0, "msg_id"));
    auto_free char *type = json_strdup(&header, json_get(&header, 0, "msg_type"));
    buf_printf(&world->asked, "%s %s %s;", channel_name(channel), id, type);
    return 0;
}

static void on_changed(void *user)
{
    struct world *world = user;

    world->changes++;
}

static int set_up(void **state)
{
    static const struct audience_events events = {.request = on_request, .changed = on_changed};
    struct world *world = mem_zalloc(sizeof *world);

    world->directory = scratch_new();
    world->loop = loop_new();
    world->audience = audience_new(world->loop, world->directory, &events, world);
    *state = world;
    alarm(120); /* a hang fails */
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    audience_free(world->audience);
    loop_free(world->loop);
    buf_clear(&world->asked);
    scratch_free(world->directory);
    free(world);
    return 0;
}

static void turn(struct world *world)
{
    loop_dispatch(world->loop, 1);
}

/* --- what the kernel says --- */

static void put_frame(zmq_msg_t *frame, struct str data)
{
    zmq_msg_init_size(frame, data.len);
    memcpy(zmq_msg_data(frame), data.text, data.len);
}

/* `parent`: the msg_id of what it answers, or NULL. */
static void tell(struct world *world, enum channel channel, const char *type, const char *parent,
                 const char *content)
{
    auto_free char *header = mem_printf("{\"msg_id\":\"k\",\"msg_type\":\"%s\"}", type);
    auto_free char *above =
        parent ? mem_printf("{\"msg_id\":\"%s\",\"msg_type\":\"execute_request\"}", parent)
               : mem_strdup("{}");
    const struct str parts[] = {WIRE_DELIMITER, STR(""),   str_of(header),
                                str_of(above),  STR("{}"), str_of(content)};
    zmq_msg_t *frames = mem_array(6, sizeof *frames);
    auto_message struct message message = {0};
    struct wire_key *key = wire_key_new("");

    for (size_t i = 0; i < 6; i++)
        put_frame(&frames[i], parts[i]);
    assert_int_equal(message_take_frames(&message, frames, 6, key), WIRE_OK);
    audience_tell(world->audience, channel, &message);
    wire_key_free(key);
}

static void publish(struct world *world, int first, int last)
{
    for (int i = first; i <= last; i++) {
        auto_free char *content = mem_printf("%d", i);
        tell(world, CHANNEL_IOPUB, "stream", NULL, content);
    }
}

/* --- guests --- */

static struct guest admit_as(struct world *world, struct admission *admission, const char *session)
{
    int theirs;
    struct guest guest = guest_connect(&theirs);

    snprintf(admission->session, sizeof admission->session, "%s", session);
    audience_admit(world->audience, admission, theirs);
    return guest;
}

static struct guest come(struct world *world, const char *session)
{
    auto_admission struct admission admission = {.form = {.protocol = CLIENT_V1}};

    return admit_as(world, &admission, session);
}

static struct guest come_by_proxy(struct world *world, const char *session)
{
    auto_admission struct admission admission = {.form = {.protocol = CLIENT_V1},
                                                 .is_behind_proxy = true};

    return admit_as(world, &admission, session);
}

/* The next frame, running the loop until it is there; 0: the connection has ended. */
static int next_frame(struct world *world, struct guest *guest, struct buf *payload)
{
    int opcode;

    while ((opcode = guest_take_frame(guest, payload)) == 0) {
        size_t before = guest->in.len;
        guest_read(guest, SIZE_MAX);
        if (guest->is_at_end && guest->in.len == before)
            return 0;
        turn(world);
    }
    return opcode;
}

static void hears(struct world *world, struct guest *guest, const char *expected)
{
    auto_buf struct buf payload = {0}, text = {0};

    assert_int_equal(next_frame(world, guest, &payload), GUEST_BINARY);
    guest_describe(&text, &payload);
    assert_string_equal(text.data, expected);
}

static void hears_numbers(struct world *world, struct guest *guest, int first, int last)
{
    for (int i = first; i <= last; i++) {
        auto_free char *text = mem_printf("iopub stream %d", i);
        hears(world, guest, text);
    }
}

static void hears_end(struct world *world, struct guest *guest, int code, const char *reason)
{
    auto_buf struct buf payload = {0};

    assert_int_equal(next_frame(world, guest, &payload), GUEST_CLOSE);
    assert_int_equal((unsigned char)payload.data[0] << 8 | (unsigned char)payload.data[1], code);
    if (!strstr(payload.data + 2, reason))
        fail_msg("\"%s\" is not in: %s", reason, payload.data + 2);
}

static void leaves(struct world *world, struct guest *guest)
{
    size_t before = audience_connections(world->audience);

    guest_leave(guest);
    while (audience_connections(world->audience) == before)
        turn(world);
}

static void until_asked(struct world *world, const char *asked)
{
    while (!strstr(buf_text(&world->asked), asked))
        turn(world);
}

/* --- who hears what --- */

static void everybody_hears_what_is_published(void **state)
{
    struct world *world = *state;
    auto_admission struct admission legacy = {.form = {.protocol = CLIENT_LEGACY}};
    auto_buf struct buf payload = {0};
    struct guest a = come(world, "a"), b = come(world, ""), c = admit_as(world, &legacy, "c");

    assert_int_equal(audience_connections(world->audience), 3);
    assert_int_equal(world->changes, 3);
    publish(world, 1, 3);
    hears_numbers(world, &a, 1, 3);
    hears_numbers(world, &b, 1, 3);
    assert_int_equal(next_frame(world, &c, &payload), GUEST_TEXT);
    assert_non_null(strstr(payload.data, "\"channel\":"));
    audience_say(world->audience, "status", STR("{\"msg_id\":\"p\"}"), STR("{\"x\":1}"));
    hears(world, &a, "iopub status {\"x\":1}");
    hears(world, &b, "iopub status {\"x\":1}");
    leaves(world, &a);
    assert_int_equal(audience_connections(world->audience), 2);
    assert_int_equal(world->changes, 4);
    guest_leave(&b);
    guest_leave(&c);
}

static void answers_go_to_who_asked(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a"), b = come(world, "b");

    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    guest_ask(&b, CHANNEL_CONTROL, "m2", "debug_request", "{}");
    until_asked(world, "shell m1 execute_request;");
    until_asked(world, "control m2 debug_request;");
    tell(world, CHANNEL_SHELL, "execute_reply", "m1", "1");
    tell(world, CHANNEL_STDIN, "input_request", "m1", "2");
    tell(world, CHANNEL_CONTROL, "debug_reply", "m2", "3");
    tell(world, CHANNEL_SHELL, "some_reply", "m3", "4"); /* nobody knows whose */
    tell(world, CHANNEL_IOPUB, "stream", "m1", "5");
    hears(world, &a, "shell execute_reply 1");
    hears(world, &a, "stdin input_request 2");
    hears(world, &b, "control debug_reply 3");
    struct guest *both[] = {&a, &b};
    for (int i = 0; i < 2; i++) {
        hears(world, both[i], "shell some_reply 4");
        hears(world, both[i], "iopub stream 5");
        guest_leave(both[i]);
    }
}

static void who_cannot_come_back_leaves_answers_to_all(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "");

    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    until_asked(world, "m1");
    leaves(world, &a);
    struct guest b = come(world, "");
    tell(world, CHANNEL_SHELL, "execute_reply", "m1", "1");
    hears(world, &b, "shell execute_reply 1");
    guest_leave(&b);
}

/* Widgets say much that is not answered: it does not push out who waits for an answer. */
static void chatter_does_not_make_askers_forgotten(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a"), b = come(world, "b");

    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    for (int i = 0; i < 5000; i++) {
        guest_ask(&b, CHANNEL_SHELL, "c", "comm_msg", "{}");
        if (i % 100 == 0)
            turn(world);
    }
    guest_ask(&b, CHANNEL_SHELL, "last", "comm_info_request", "{}");
    until_asked(world, "last");
    tell(world, CHANNEL_SHELL, "execute_reply", "m1", "1");
    publish(world, 2, 2);
    hears(world, &a, "shell execute_reply 1");
    hears_numbers(world, &b, 2, 2);
    guest_leave(&a);
    guest_leave(&b);
}

/* --- away and back --- */

static void reads_on_where_it_was(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a"), b = come(world, "b");

    publish(world, 1, 3);
    hears_numbers(world, &a, 1, 3);
    leaves(world, &a);
    publish(world, 4, 6);
    hears_numbers(world, &b, 1, 6);
    a = come(world, "a");
    publish(world, 7, 7);
    hears_numbers(world, &a, 4, 7);
    leaves(world, &a);
    a = come(world, "a");
    publish(world, 8, 8);
    hears_numbers(world, &a, 8, 8);
    guest_leave(&a);
    guest_leave(&b);
}

static void answers_wait_for_who_is_away(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a"), b = come(world, "b");

    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    until_asked(world, "m1");
    leaves(world, &a);
    tell(world, CHANNEL_SHELL, "execute_reply", "m1", "1");
    publish(world, 2, 2);
    hears_numbers(world, &b, 2, 2);
    a = come(world, "a");
    hears(world, &a, "shell execute_reply 1");
    hears_numbers(world, &a, 2, 2);
    guest_leave(&a);
    guest_leave(&b);
}

/* Number i of `size` bytes: its content is the number in front of blanks. */
static void publish_long(struct world *world, int number, size_t size)
{
    auto_free char *content = mem_alloc(size + 16);

    memset(content, ' ', size);
    content[size] = 0;
    content[snprintf(content, 16, "%d", number)] = ' ';
    tell(world, CHANNEL_IOPUB, "stream", NULL, content);
}

/* The number of a message, or -1: the frame is no message. */
static int number_of(int opcode, const struct buf *payload)
{
    auto_client_message struct client_message message = {0};

    if (opcode != GUEST_BINARY)
        return -1;
    client_split_v1(&message, (struct str){payload->data, payload->len});
    return atoi(message.parts[WIRE_CONTENT].text);
}

/* Takes the frames that are whole; they must be messages that follow `*last`. */
static void take_in_order(struct guest *guest, int *last)
{
    for (;;) {
        auto_buf struct buf payload = {0};
        int opcode = guest_take_frame(guest, &payload);
        if (opcode == 0)
            return;
        assert_int_equal(number_of(opcode, &payload), ++*last);
    }
}

/* Cut off at any byte, again and again: every message once and in order. A client has what its
 * system has taken, so each reads that to its end, which is somewhere in a message. */
static void everything_once_however_often_it_is_cut(void **state)
{
    enum { COUNT = 600, SIZE = 30000 };
    struct world *world = *state;
    int last = 0, cuts = 0;

    for (int i = 1; i <= COUNT; i++)
        publish_long(world, i, SIZE);
    while (last < COUNT) {
        struct guest a = come(world, "a");
        for (int i = 0; i < 20 + cuts; i++)
            turn(world);
        guest_read(&a, SIZE_MAX); /* and what its own system sends on without us */
        take_in_order(&a, &last);
        cuts++;
        leaves(world, &a);
    }
    assert_true(cuts > 2);
    struct guest a = come(world, "a");
    publish(world, COUNT + 1, COUNT + 1);
    hears_numbers(world, &a, COUNT + 1, COUNT + 1);
    guest_leave(&a);
}

static void one_that_it_has_in_part_comes_again(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a");
    int last = 0;

    publish_long(world, 1, 20 * MiB);
    turn(world);
    guest_read(&a, MiB);
    leaves(world, &a);
    a = come(world, "a");
    while (last < 1) {
        turn(world);
        guest_read(&a, SIZE_MAX);
        take_in_order(&a, &last);
    }
    guest_leave(&a);
}

static void answers_ping(struct world *world, struct guest *guest)
{
    auto_buf struct buf payload = {0};

    assert_int_equal(next_frame(world, guest, &payload), GUEST_PING);
    guest_send(guest, GUEST_PONG, (struct str){payload.data, payload.len});
}

/* Its TCP says nothing there: what it has got is what it had when it answered. */
static void behind_a_proxy_pongs_count(void **state)
{
    struct world *world = *state;
    struct guest a = come_by_proxy(world, "a");

    publish(world, 1, 1);
    hears_numbers(world, &a, 1, 1);
    answers_ping(world, &a);
    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    until_asked(world, "m1"); /* and so the pong was heard, too */
    publish(world, 2, 3);     /* one ping for both: another is not sent before that is answered */
    hears_numbers(world, &a, 2, 2);
    auto_buf struct buf ping = {0};
    assert_int_equal(next_frame(world, &a, &ping), GUEST_PING);
    hears_numbers(world, &a, 3, 3);
    guest_send(&a, GUEST_PONG, (struct str){ping.data, ping.len});
    auto_buf struct buf second = {0};
    assert_int_equal(next_frame(world, &a, &second), GUEST_PING);
    leaves(world, &a);
    publish(world, 4, 5);
    a = come_by_proxy(world, "a");
    hears_numbers(world, &a, 3, 3); /* rather twice than never */
    hears_numbers(world, &a, 4, 4);
    guest_leave(&a);
}

static void made_up_pongs_are_ignored(void **state)
{
    struct world *world = *state;
    struct guest a = come_by_proxy(world, "a");
    uint64_t mark = htobe64(1000);

    publish(world, 1, 1);
    guest_send(&a, GUEST_PONG, (struct str){(char *)&mark, sizeof mark});
    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    until_asked(world, "m1");
    leaves(world, &a);
    a = come_by_proxy(world, "a");
    hears_numbers(world, &a, 1, 1);
    guest_leave(&a);
}

static struct guest come_by_jupyter_server(struct world *world)
{
    auto_admission struct admission admission = {
        .form = {.protocol = CLIENT_V1, .is_text_only = true}};

    return admit_as(world, &admission, "a");
}

/* jupyter_server connects twice, and reads the second connection only. */
static void who_has_said_nothing_is_sent_nothing_at_first(void **state)
{
    struct world *world = *state;

    publish(world, 1, 3);
    struct guest silent = come_by_jupyter_server(world);
    struct guest a = come_by_jupyter_server(world);
    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    hears_numbers(world, &a, 1, 3);
    hears_end(world, &silent, 1000, "replaced"); /* the first that it hears at all */
    leaves(world, &a);
    publish(world, 4, 4);
    a = come_by_jupyter_server(world); /* by itself, without a page that says something */
    hears_numbers(world, &a, 4, 4);
    guest_leave(&silent);
    guest_leave(&a);
}

/* JupyterLab connects anew whenever it hears that a kernel is being restarted. */
static void what_we_say_of_the_kernel_is_said_once(void **state)
{
    struct world *world = *state;
    struct guest a = come_by_proxy(world, "a");

    audience_say(world->audience, "status", STR("{}"), STR("{\"execution_state\":\"restarting\"}"));
    hears(world, &a, "iopub status {\"execution_state\":\"restarting\"}");
    leaves(world, &a); /* and has answered no ping */
    publish(world, 1, 1);
    a = come_by_proxy(world, "a");
    hears_numbers(world, &a, 1, 1);
    guest_leave(&a);
}

static void what_nobody_heard_is_for_who_comes_next(void **state)
{
    struct world *world = *state;

    publish(world, 1, 2);
    struct guest a = come(world, "a");
    hears_numbers(world, &a, 1, 2);
    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    until_asked(world, "m1");
    leaves(world, &a);
    publish(world, 3, 4);
    tell(world, CHANNEL_SHELL, "execute_reply", "m1", "5"); /* a's, who has not come back */
    struct guest b = come(world, "b");
    hears_numbers(world, &b, 3, 4);
    hears(world, &b, "shell execute_reply 5");
    struct guest c = come(world, "c"); /* somebody has heard that */
    publish(world, 6, 6);
    hears_numbers(world, &b, 6, 6);
    hears_numbers(world, &c, 6, 6);
    a = come(world, "a"); /* and it is still there for whose it was */
    hears_numbers(world, &a, 3, 4);
    hears(world, &a, "shell execute_reply 5");
    hears_numbers(world, &a, 6, 6);
    guest_leave(&a);
    guest_leave(&b);
    guest_leave(&c);
}

static void a_session_has_one_connection(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a");

    publish(world, 1, 2);
    hears_numbers(world, &a, 1, 2);
    struct guest again = come(world, "a");
    assert_int_equal(audience_connections(world->audience), 1);
    publish(world, 3, 3);
    hears_numbers(world, &again, 3, 3);
    hears_end(world, &a, 1000, "replaced");
    guest_ask(&a, CHANNEL_SHELL, "old", "execute_request", "{}");
    guest_send(&a, GUEST_CLOSE, STR("\x03\xe8"));
    auto_buf struct buf nothing = {0};
    assert_int_equal(next_frame(world, &a, &nothing), 0);
    guest_leave(&a);
    guest_ask(&again, CHANNEL_SHELL, "new", "execute_request", "{}");
    until_asked(world, "new");
    assert_null(strstr(world->asked.data, "old"));
    assert_int_equal(audience_connections(world->audience), 1);
    guest_leave(&again);
}

/* --- the slow and the many --- */

static void a_slow_client_reads_later(void **state)
{
    enum { COUNT = 400, SIZE = 60000 }; /* 24 MB: more than sockets hold */
    struct world *world = *state;
    struct guest fast = come(world, "fast"), slow = come(world, "slow");
    int fast_last = 0, slow_last = 0;

    for (int i = 1; i <= COUNT; i++) {
        publish_long(world, i, SIZE);
        turn(world);
        guest_read(&fast, SIZE_MAX);
        take_in_order(&fast, &fast_last);
    }
    while (fast_last < COUNT) {
        turn(world);
        guest_read(&fast, SIZE_MAX);
        take_in_order(&fast, &fast_last);
    }
    struct mallinfo2 memory = mallinfo2(); /* what is not read lies on the disk */
    assert_true(memory.uordblks + memory.hblkhd < 12 * MiB);
    while (slow_last < COUNT) {
        guest_read(&slow, 100000);
        take_in_order(&slow, &slow_last);
        turn(world);
    }
    guest_leave(&fast);
    guest_leave(&slow);
}

static void what_was_dropped_is_told(void **state)
{
    enum { COUNT = 300, SIZE = 60000 }; /* 18 MB, of which about 5 fit */
    struct world *world = *state;
    auto_buf struct buf payload = {0}, text = {0};
    unsigned long long missing = 0;

    if (!scratch_small_disk(world->directory, MiB))
        skip();
    for (int i = 1; i <= COUNT; i++)
        publish_long(world, i, SIZE);
    struct guest a = come(world, "a");
    int opcode = next_frame(world, &a, &payload);
    assert_int_equal(opcode, GUEST_BINARY);
    guest_describe(&text, &payload);
    assert_int_equal(
        sscanf(text.data, "iopub stream {\"name\":\"stderr\",\"text\":\"[segue] %llu messages were",
               &missing),
        1);
    assert_in_range(missing, 100, COUNT - 1);
    for (int last = (int)missing; last < COUNT;) {
        guest_read(&a, SIZE_MAX);
        take_in_order(&a, &last);
        turn(world);
    }
    guest_leave(&a);
}

static void too_many_are_told_to_come_later(void **state)
{
    struct world *world = *state;
    struct guest guests[SESSIONS_CONNECTED_MAX];

    for (int i = 0; i < SESSIONS_CONNECTED_MAX; i++) {
        auto_free char *session = mem_printf("s%d", i);
        guests[i] = come(world, i % 2 ? "" : session);
    }
    struct guest more = come(world, "more");
    hears_end(world, &more, 1013, "too many");
    assert_int_equal(audience_connections(world->audience), SESSIONS_CONNECTED_MAX);
    guest_leave(&more);
    struct guest again = come(world, "s4"); /* takes its own place */
    publish(world, 1, 1);
    hears_numbers(world, &again, 1, 1);
    guest_leave(&again);
    leaves(world, &guests[1]);
    more = come(world, "more");
    publish(world, 2, 2);
    hears_numbers(world, &more, 2, 2);
    guest_leave(&more);
    for (int i = 0; i < SESSIONS_CONNECTED_MAX; i++)
        guest_leave(&guests[i]);
}

/* Those who come and are refused faster than they can be told: it does not grow. */
static void a_crowd_is_bounded(void **state)
{
    enum { CROWD = 300 };
    struct world *world = *state;
    struct guest guests[CROWD];

    for (int i = 0; i < CROWD; i++)
        guests[i] = come(world, "");
    assert_int_equal(audience_connections(world->audience), SESSIONS_CONNECTED_MAX);
    auto_buf struct buf payload = {0};
    assert_int_equal(next_frame(world, &guests[CROWD - 1], &payload), 0); /* without a word */
    publish(world, 1, 1);
    hears_numbers(world, &guests[0], 1, 1);
    for (int i = 0; i < CROWD; i++)
        guest_leave(&guests[i]);
}

/* --- what clients send --- */

static void held_clients_are_not_read(void **state)
{
    struct world *world = *state;

    audience_hold(world->audience, true);
    struct guest a = come(world, "a");
    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    publish(world, 1, 1);
    hears_numbers(world, &a, 1, 1);
    for (int i = 0; i < 20; i++)
        turn(world);
    assert_string_equal(buf_text(&world->asked), "");
    audience_hold(world->audience, false);
    until_asked(world, "m1");
    audience_hold(world->audience, true);
    guest_ask(&a, CHANNEL_SHELL, "m2", "execute_request", "{}");
    for (int i = 0; i < 20; i++)
        turn(world);
    assert_null(strstr(world->asked.data, "m2"));
    audience_hold(world->audience, false);
    until_asked(world, "m2");
    guest_leave(&a);
}

/* JupyterLab connects anew whenever it hears that a kernel is being restarted: while clients are
 * held. Were that told again to the new connection, it would never end. */
static void who_is_held_is_heard_to_have_heard(void **state)
{
    struct world *world = *state;
    struct guest a = come_by_proxy(world, "a");

    audience_hold(world->audience, true);
    publish(world, 1, 1);
    hears_numbers(world, &a, 1, 1);
    guest_ask(&a, CHANNEL_SHELL, "m1", "kernel_info_request", "{}");
    answers_ping(world, &a);
    leaves(world, &a); /* which is seen at once, too */
    publish(world, 2, 2);
    a = come_by_proxy(world, "a");
    hears_numbers(world, &a, 2, 2);
    guest_leave(&a);
}

/* More than sockets hold: the loop has to run meanwhile. */
static void sends_large(struct world *world, struct guest *guest, const char *id,
                        const char *content)
{
    auto_buf struct buf v1 = {0}, frame = {0};

    guest_put_request(&v1, CHANNEL_SHELL, id, "execute_request", content);
    guest_put_frame(&frame, GUEST_BINARY, (struct str){v1.data, v1.len});
    for (size_t at = 0; at < frame.len;) {
        ssize_t n = send(guest->fd, frame.data + at, frame.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        at += n > 0 ? (size_t)n : 0;
        turn(world);
    }
}

static void no_more_is_sent_than_a_kernel_reads(void **state)
{
    enum { SIZE = UNREAD_BYTES_MAX / 4 };
    struct world *world = *state;
    struct guest a = come(world, "a"), b = come(world, "b");
    auto_free char *content = mem_alloc(SIZE + 1);

    memset(content, ' ', SIZE);
    content[SIZE] = 0;
    for (int i = 1; i <= 3; i++) {
        auto_free char *id = mem_printf("m%d;", i);
        sends_large(world, &a, id, content);
        until_asked(world, id);
    }
    sends_large(world, &a, "m4;", content);
    guest_ask(&b, CHANNEL_SHELL, "small", "execute_request", "{}"); /* there is room for that */
    until_asked(world, "small");
    assert_null(strstr(world->asked.data, "m4"));
    tell(world, CHANNEL_IOPUB, "status", "m1;", "{\"execution_state\":\"busy\"}");
    until_asked(world, "m4");
    guest_leave(&a);
    guest_leave(&b);
}

static void a_kernel_that_takes_nothing_is_asked_again(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a");

    world->refusals = 3;
    for (int i = 1; i <= 3; i++) {
        auto_free char *id = mem_printf("m%d", i);
        guest_ask(&a, CHANNEL_SHELL, id, "execute_request", "{}");
    }
    until_asked(world, "m3");
    assert_int_equal(world->refused, 3);
    assert_string_equal(world->asked.data, "shell m1 execute_request;shell m2 execute_request;"
                                           "shell m3 execute_request;");
    /* And while it is held, not even that. */
    world->refusals = 4;
    guest_ask(&a, CHANNEL_SHELL, "m4", "execute_request", "{}");
    while (world->refused < 4)
        turn(world);
    audience_hold(world->audience, true);
    for (int i = 0; i < 100; i++)
        turn(world);
    assert_null(strstr(world->asked.data, "m4"));
    audience_hold(world->audience, false);
    until_asked(world, "m4");
    guest_leave(&a);
}

static void a_flood_of_requests_is_bounded(void **state)
{
    enum { CHUNK = 65536, ENOUGH = 200 };
    struct world *world = *state;
    struct guest a = come(world, "a"), b = come(world, "b");
    auto_free char *text = mem_alloc(CHUNK);
    auto_buf struct buf v1 = {0}, frame = {0};
    size_t sent = 0, at = 0;

    memset(text, ' ', CHUNK - 1);
    text[CHUNK - 1] = 0;
    guest_put_request(&v1, CHANNEL_SHELL, "m", "execute_request", text);
    guest_put_frame(&frame, GUEST_BINARY, (struct str){v1.data, v1.len});
    world->refusals = UINT_MAX;
    for (int idle = 0; idle < ENOUGH;) {
        ssize_t n = send(a.fd, frame.data + at, frame.len - at, MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0 ? (size_t)n : 0;
        at = (at + (n > 0 ? (size_t)n : 0)) % frame.len;
        turn(world);
    }
    assert_in_range(sent, CHUNK, 32 * MiB); /* what sockets hold, and a little */
    publish(world, 1, 1);
    hears_numbers(world, &b, 1, 1); /* others go on */
    guest_leave(&a);
    guest_leave(&b);
}

static void messages_that_are_none_end_the_connection(void **state)
{
    static const char *const headers[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"msg_id\":\"x\"}",
        "{\"msg_type\":\"execute_request\"}",
        "{\"msg_id\":7,\"msg_type\":\"execute_request\"}",
        "{\"msg_id\":\"x\\u0000\",\"msg_type\":\"execute_request\"}",
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        auto_buf struct buf v1 = {0};
        const struct str parts[WIRE_PART_COUNT] = {str_of(headers[i]), STR("{}"), STR("{}"),
                                                   STR("{}")};
        struct guest a = come(world, "a");
        client_encode_v1(&v1, CHANNEL_SHELL, parts, NULL, 0);
        guest_send(&a, GUEST_BINARY, (struct str){v1.data, v1.len});
        hears_end(world, &a, 1007, "header");
        leaves(world, &a);
    }
    struct guest a = come(world, "a");
    guest_send(&a, GUEST_BINARY, STR("no message at all \xff"));
    hears_end(world, &a, 1007, "no message");
    leaves(world, &a);
    assert_string_equal(buf_text(&world->asked), "");
}

static void channels_that_nobody_reads_are_ignored(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a");

    guest_ask(&a, CHANNEL_IOPUB, "m1", "stream", "{}");
    guest_ask(&a, CHANNEL_SHELL, "m2", "execute_request", "{}");
    until_asked(world, "m2");
    assert_string_equal(world->asked.data, "shell m2 execute_request;");
    guest_leave(&a);
}

/* --- the end --- */

static void the_dismissed_hear_everything_first(void **state)
{
    enum { COUNT = 300, SIZE = 60000 };
    struct world *world = *state;
    struct guest a = come(world, "a");
    int last = 0;

    for (int i = 1; i <= COUNT; i++)
        publish_long(world, i, SIZE);
    audience_dismiss(world->audience, WEBSOCKET_GOING_AWAY, "the kernel was shut down");
    assert_false(audience_is_empty(world->audience));
    guest_ask(&a, CHANNEL_SHELL, "m1", "execute_request", "{}");
    while (last < COUNT) {
        auto_buf struct buf payload = {0};
        assert_int_equal(number_of(next_frame(world, &a, &payload), &payload), ++last);
    }
    hears_end(world, &a, 1001, "shut down");
    struct guest b = come(world, "b");
    hears_end(world, &b, 1001, "shut down");
    guest_leave(&a);
    guest_leave(&b);
    while (!audience_is_empty(world->audience))
        turn(world);
    assert_int_equal(audience_connections(world->audience), 0);
    assert_string_equal(buf_text(&world->asked), "");
}

static void nobody_has_to_be_dismissed(void **state)
{
    struct world *world = *state;

    audience_dismiss(world->audience, WEBSOCKET_GOING_AWAY, "the kernel was shut down");
    assert_true(audience_is_empty(world->audience));
}

/* One that does not read is not waited for. */
static void the_slow_are_dismissed_too(void **state)
{
    struct world *world = *state;
    struct guest a = come(world, "a");

    for (int i = 1; i <= 400; i++)
        publish_long(world, i, 60000);
    audience_dismiss(world->audience, WEBSOCKET_GOING_AWAY, "the kernel was shut down");
    while (!audience_is_empty(world->audience))
        turn(world);
    guest_leave(&a);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_hears_what_is_published),
        TEST(answers_go_to_who_asked),
        TEST(who_cannot_come_back_leaves_answers_to_all),
        TEST(chatter_does_not_make_askers_forgotten),
        TEST(reads_on_where_it_was),
        TEST(answers_wait_for_who_is_away),
        TEST(everything_once_however_often_it_is_cut),
        TEST(one_that_it_has_in_part_comes_again),
        TEST(behind_a_proxy_pongs_count),
        TEST(made_up_pongs_are_ignored),
        TEST(who_has_said_nothing_is_sent_nothing_at_first),
        TEST(what_we_say_of_the_kernel_is_said_once),
        TEST(what_nobody_heard_is_for_who_comes_next),
        TEST(a_session_has_one_connection),
        TEST(a_slow_client_reads_later),
        TEST(what_was_dropped_is_told),
        TEST(too_many_are_told_to_come_later),
        TEST(a_crowd_is_bounded),
        TEST(held_clients_are_not_read),
        TEST(who_is_held_is_heard_to_have_heard),
        TEST(no_more_is_sent_than_a_kernel_reads),
        TEST(a_kernel_that_takes_nothing_is_asked_again),
        TEST(a_flood_of_requests_is_bounded),
        TEST(messages_that_are_none_end_the_connection),
        TEST(channels_that_nobody_reads_are_ignored),
        TEST(the_dismissed_hear_everything_first),
        TEST(nobody_has_to_be_dismissed),
        TEST(the_slow_are_dismissed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
