/* Everything that is said is put into the log once, tagged with the session that it is for, and
 * read from there by each client. An answer whose asker cannot come back (it has no session, or was
 * away for too long) is for everybody: who asked may be here again under another name. */
#include "kernel-gateway/clients/audience.h"

#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/clients/asked.h"
#include "kernel-gateway/clients/listener.h"
#include "kernel-gateway/clients/sessions.h"
#include "kernel-gateway/clients/unread.h"

#include <stdio.h>
#include <unistd.h>

/* Those who are connected, and those whose connection is being closed. */
#define MEMBERS_MAX (2 * SESSIONS_CONNECTED_MAX)

/* What everybody gets to read the rest before it is closed: who does not read has to come back. */
#define DISMISS_MS 2000

/* What is kept of the memory for encoding. */
#define SCRATCH_BYTES (256 * KiB)

struct member {
    struct audience *audience;
    struct listener *listener;
    struct session *session; /* NULL: it was refused or replaced, and is being closed */
};

struct audience {
    struct loop *loop;
    struct message_log *log;
    struct audience_events events;
    void *user;
    struct uuid session; /* of what we say ourselves */
    struct sessions sessions;
    struct asked asked;
    struct unread unread;
    struct member *members[MEMBERS_MAX];
    size_t member_count;
    bool is_held;
    enum websocket_code farewell; /* 0: nobody is dismissed */
    char reason[120];
    struct loop_source *next_turn, *dismissal;
    struct buf scratch;
};

#define TAG_EVERYBODY 0

/* --- down --- */

static bool pump(struct member *member)
{
    bool is_more = listener_pump(member->listener);

    if (member->session)
        sessions_heard(&member->audience->sessions, member->session,
                       listener_got(member->listener));
    return is_more;
}

static void trim(struct audience *audience)
{
    message_log_forget(audience->log, sessions_needed(&audience->sessions, clock_mono()));
}

static void pump_all(void *user)
{
    struct audience *audience = user;
    bool is_more = false;

    for (size_t i = 0; i < audience->member_count; i++)
        is_more |= pump(audience->members[i]);
    trim(audience);
    if (is_more)
        loop_arm_in(audience->next_turn, 0);
}

static void on_progress(void *user)
{
    struct member *member = user;

    if (pump(member))
        loop_arm_in(member->audience->next_turn, 0);
    trim(member->audience);
}

static void put_into_log(struct audience *audience, uint32_t tag, enum channel channel,
                         const struct str parts[WIRE_PART_COUNT], const struct str *buffers,
                         size_t buffer_count)
{
    struct buf *v1 = &audience->scratch;

    client_encode_v1(v1, channel, parts, buffers, buffer_count);
    message_log_add(audience->log, tag, (struct str){v1->data, v1->len});
    if (v1->cap > SCRATCH_BYTES)
        buf_clear(v1);
    else
        buf_reset(v1);
    pump_all(audience);
}

static uint32_t tag_of(struct audience *audience, enum channel channel,
                       const struct message *message)
{
    if (channel == CHANNEL_IOPUB)
        return TAG_EVERYBODY;
    uint32_t asker = asked_find(&audience->asked, message_parent_id(message));
    return sessions_numbered(&audience->sessions, asker) ? asker : TAG_EVERYBODY;
}

void audience_tell(struct audience *audience, enum channel channel, const struct message *message)
{
    size_t count = message_buffer_count(message);

    unread_heard_of(&audience->unread, message_parent_id(message));
    auto_free struct str *buffers = mem_array(count + 1, sizeof *buffers);
    struct str parts[WIRE_PART_COUNT];

    for (int i = 0; i < WIRE_PART_COUNT; i++)
        parts[i] = message_raw(message, (enum wire_part)i);
    for (size_t i = 0; i < count; i++)
        buffers[i] = message_buffer(message, i);
    put_into_log(audience, tag_of(audience, channel, message), channel, parts, buffers, count);
}

void audience_say(struct audience *audience, const char *msg_type, struct str parent,
                  struct str content)
{
    auto_buf struct buf header = {0};
    struct uuid id;
    /* JupyterLab connects anew when it hears that a kernel is being restarted. Were that told again
     * to the new connection, it would do so for ever. */
    uint32_t tag = TAG_EVERYBODY | (strcmp(msg_type, "status") == 0 ? LISTENER_ONCE : 0);

    message_put_header(&header, msg_type, &audience->session, &id);
    const struct str parts[WIRE_PART_COUNT] = {
        [WIRE_HEADER] = {header.data, header.len},
        [WIRE_PARENT] = parent.text ? parent : STR("{}"),
        [WIRE_METADATA] = STR("{}"),
        [WIRE_CONTENT] = content,
    };
    put_into_log(audience, tag, CHANNEL_IOPUB, parts, NULL, 0);
}

/* --- up --- */

/* What a widget says is not answered, and there may be very much of it. */
static bool is_answered(const struct listener_request *request)
{
    return strncmp(request->msg_type, "comm_", 5) != 0 ||
           strcmp(request->msg_type, "comm_info_request") == 0;
}

static size_t size_of(const struct outgoing *message)
{
    size_t size =
        message->header.len + message->parent.len + message->metadata.len + message->content.len;

    for (size_t i = 0; i < message->buffer_count; i++)
        size += message->buffers[i].len;
    return size;
}

static int on_request(void *user, const struct listener_request *request, struct err *e)
{
    struct member *member = user;
    struct audience *audience = member->audience;
    size_t size = size_of(&request->message);

    if (!unread_has_room(&audience->unread, request->channel, size))
        return err_set(e, ERR_LIMIT, "the kernel leaves its messages unread");
    if (audience->events.request(audience->user, request->channel, &request->message, e) < 0)
        return -1;
    if (request->channel != CHANNEL_STDIN)
        unread_add(&audience->unread, request->channel, request->msg_id, size);
    if (member->session && is_answered(request) && request->channel != CHANNEL_STDIN)
        asked_note(&audience->asked, request->msg_id, member->session->number);
    return 0;
}

void audience_hold(struct audience *audience, bool is_held)
{
    audience->is_held = is_held;
    if (is_held) /* the kernel is gone or about to be: another one comes */
        unread_clear(&audience->unread);
    for (size_t i = 0; i < audience->member_count; i++)
        listener_hold(audience->members[i]->listener, is_held);
}

/* --- coming and going --- */

static void look(struct member *member)
{
    if (member->session)
        sessions_heard(&member->audience->sessions, member->session,
                       listener_look(member->listener));
}

/* Its session may come back. */
static void note_sent(struct member *member)
{
    uint64_t sent = listener_sent(member->listener);

    if (sent > member->session->sent)
        member->session->sent = sent;
}

static void remove_member(struct member *member)
{
    struct audience *audience = member->audience;

    for (size_t i = 0; i < audience->member_count; i++)
        if (audience->members[i] == member)
            audience->members[i] = audience->members[--audience->member_count];
    listener_free(member->listener);
    free(member);
}

static void leave(struct member *member)
{
    note_sent(member);
    sessions_leave(&member->audience->sessions, member->session, clock_mono());
}

static void on_closed(void *user)
{
    struct member *member = user;
    struct audience *audience = member->audience;
    bool was_here = member->session != NULL;

    look(member);
    if (was_here)
        leave(member);
    remove_member(member);
    trim(audience);
    if (was_here)
        audience->events.changed(audience->user);
}

static void open_listener(struct member *member, const struct admission *admission, int take_fd)
{
    static const struct listener_events events = {
        .request = on_request, .progress = on_progress, .closed = on_closed};
    struct audience *audience = member->audience;
    const struct session *session = member->session;
    struct listener_share share = {.from = message_log_next(audience->log)};

    if (session)
        share = (struct listener_share){
            .session = session->number,
            .all_before = session->since,
            .from = session->got + 1,
            .sent = session->sent,
        };
    member->listener =
        listener_open(audience->loop, audience->log, admission, take_fd, &share, &events, member);
    audience->members[audience->member_count++] = member;
}

/* NULL: the session is not connected. */
static struct member *member_of(struct audience *audience, const struct session *session)
{
    for (size_t i = 0; session && i < audience->member_count; i++)
        if (audience->members[i]->session == session)
            return audience->members[i];
    return NULL;
}

/* The session that an admitted client gets; NULL: there is no room for it. */
static struct session *enter(struct audience *audience, const char *id)
{
    struct session *session = sessions_find(&audience->sessions, id);
    struct member *before = member_of(audience, session);

    for (size_t i = 0; i < audience->member_count; i++) /* where a new session begins */
        look(audience->members[i]);
    if (before) {
        note_sent(before);
        before->session = NULL;
        listener_close(before->listener, WEBSOCKET_NORMAL, "replaced by another connection");
        return session;
    }
    if (audience->sessions.connected == SESSIONS_CONNECTED_MAX)
        return NULL;
    session =
        sessions_enter(&audience->sessions, id, message_log_next(audience->log), clock_mono());
    audience->events.changed(audience->user);
    return session;
}

void audience_admit(struct audience *audience, const struct admission *admission, int take_fd)
{
    if (audience->member_count == MEMBERS_MAX) {
        close(take_fd);
        return;
    }
    struct member *member = mem_zalloc(sizeof *member);
    *member = (struct member){.audience = audience};
    if (audience->farewell == 0)
        member->session = enter(audience, admission->session);
    open_listener(member, admission, take_fd);
    if (audience->farewell != 0)
        listener_close(member->listener, audience->farewell, audience->reason);
    else if (!member->session)
        listener_close(member->listener, WEBSOCKET_TRY_LATER,
                       "this kernel has too many connections");
    else
        listener_hold(member->listener, audience->is_held);
    on_progress(member);
}

/* --- the end --- */

static void dismiss_the_slow(void *user)
{
    struct audience *audience = user;

    for (size_t i = 0; i < audience->member_count; i++)
        listener_close(audience->members[i]->listener, audience->farewell, audience->reason);
}

void audience_dismiss(struct audience *audience, enum websocket_code code, const char *reason)
{
    audience->farewell = code;
    snprintf(audience->reason, sizeof audience->reason, "%s", reason);
    for (size_t i = 0; i < audience->member_count; i++)
        listener_dismiss(audience->members[i]->listener, code, reason);
    loop_arm_in(audience->dismissal, DISMISS_MS);
    pump_all(audience);
}

bool audience_is_empty(const struct audience *audience)
{
    return audience->member_count == 0;
}

size_t audience_connections(const struct audience *audience)
{
    return audience->sessions.connected;
}

/* --- life --- */

struct audience *audience_new(struct loop *loop, const char *log_directory,
                              const struct audience_events *events, void *user)
{
    struct audience *audience = mem_zalloc(sizeof *audience);

    audience->loop = loop;
    audience->log = message_log_new(&(struct message_log_options){.directory = log_directory});
    audience->events = *events;
    audience->user = user;
    audience->session = uuid_random();
    audience->next_turn = loop_add_timer(loop, pump_all, audience);
    audience->dismissal = loop_add_timer(loop, dismiss_the_slow, audience);
    return audience;
}

void audience_free(struct audience *audience)
{
    if (!audience)
        return;
    while (audience->member_count > 0)
        remove_member(audience->members[0]);
    loop_remove(audience->next_turn);
    loop_remove(audience->dismissal);
    message_log_free(audience->log);
    asked_clear(&audience->asked);
    unread_clear(&audience->unread);
    buf_clear(&audience->scratch);
    free(audience);
}
