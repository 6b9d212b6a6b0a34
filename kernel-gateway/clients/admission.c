/* The command is of one packet, hence the bound on what was read ahead, which stands in it as
 * hexadecimal digits. */
#include "kernel-gateway/clients/admission.h"

#include "base/json.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/packet.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND STR("admit ")

/* How long a keeper that has too many waiting is given to let some in. */
#define SEND_TIMEOUT_S 2

static_assert(2 * ADMISSION_READ_AHEAD_MAX + 2048 < KEEPER_COMMAND_MAX, "fits into a packet");

void admission_clear(struct admission *admission)
{
    buf_clear(&admission->read_ahead);
    *admission = (struct admission){0};
}

/* --- text --- */

static void put_hex(struct buf *out, const struct buf *bytes)
{
    static const char digits[] = "0123456789abcdef";

    buf_putc(out, '"');
    for (size_t i = 0; i < bytes->len; i++) {
        unsigned char byte = (unsigned char)bytes->data[i];
        buf_putc(out, digits[byte >> 4]);
        buf_putc(out, digits[byte & 15]);
    }
    buf_putc(out, '"');
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int parse_hex(struct buf *out, struct str text)
{
    if (text.len % 2 != 0 || text.len / 2 > ADMISSION_READ_AHEAD_MAX)
        return -1;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = digit_value(text.text[i]), low = digit_value(text.text[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        buf_putc(out, (char)(high << 4 | low));
    }
    return 0;
}

void admission_encode(const struct admission *admission, struct buf *out)
{
    assert(admission->read_ahead.len <= ADMISSION_READ_AHEAD_MAX);
    buf_put(out, COMMAND.text, COMMAND.len);
    buf_putc(out, '{');
    json_put_member(out, "session", admission->session);
    json_put_member_int(out, "v1", admission->form.protocol == CLIENT_V1);
    json_put_member_int(out, "text_only", admission->form.is_text_only);
    json_put_member_int(out, "message_cap", (int64_t)admission->form.message_cap);
    json_put_member_int(out, "behind_proxy", admission->is_behind_proxy);
    json_put_key(out, "read_ahead");
    put_hex(out, &admission->read_ahead);
    buf_putc(out, '}');
}

static bool read_flag(const struct json *doc, const char *key)
{
    int64_t number = 0;

    return json_int(doc, json_get(doc, 0, key), &number) && number != 0;
}

static int take_members(struct admission *admission, const struct json *doc, struct err *e)
{
    auto_buf struct buf scratch = {0};
    int64_t cap;

    struct str session = json_text(doc, json_get(doc, 0, "session"), &scratch);
    if (!session.text || session.len >= sizeof admission->session ||
        memchr(session.text, 0, session.len))
        return err_set(e, ERR_INVALID, "the session is none");
    memcpy(admission->session, session.text, session.len);
    if (!json_int(doc, json_get(doc, 0, "message_cap"), &cap) || cap < 0)
        return err_set(e, ERR_INVALID, "the cap of messages is none");
    admission->form = (struct client_form){
        .protocol = read_flag(doc, "v1") ? CLIENT_V1 : CLIENT_LEGACY,
        .is_text_only = read_flag(doc, "text_only"),
        .message_cap = (size_t)cap,
    };
    admission->is_behind_proxy = read_flag(doc, "behind_proxy");
    if (parse_hex(&admission->read_ahead,
                  json_text(doc, json_get(doc, 0, "read_ahead"), &scratch)) < 0)
        return err_set(e, ERR_INVALID, "what was read ahead is no hexadecimal text");
    return 0;
}

int admission_parse(struct admission *admission, struct str command, struct err *e)
{
    auto_json struct json doc = {0};

    *admission = (struct admission){0};
    if (command.len < COMMAND.len || memcmp(command.text, COMMAND.text, COMMAND.len) != 0)
        return err_set(e, ERR_INVALID, "this is no admission");
    struct str text = {command.text + COMMAND.len, command.len - COMMAND.len};
    if (json_parse(&doc, text, JSON_STRICT, NULL, e) < 0 || take_members(admission, &doc, e) < 0) {
        admission_clear(admission);
        return err_prefix(e, "cannot read an admission");
    }
    return 0;
}

/* --- on its way --- */

static int connect_to(const char *socket_path, struct err *e)
{
    int fd = packet_connect(socket_path, SEND_TIMEOUT_S);

    if (fd >= 0)
        return fd;
    bool is_gone = errno == ENOENT || errno == ECONNREFUSED || errno == ENAMETOOLONG;
    err_errno(e, errno, "cannot connect to the kernel's keeper");
    e->code = is_gone ? ERR_NOT_FOUND : ERR_UNAVAILABLE;
    return -1;
}

int admission_send(const struct admission *admission, const char *socket_path, int take_fd,
                   struct err *e)
{
    auto_close int client = take_fd;
    auto_close int keeper = connect_to(socket_path, e);
    auto_buf struct buf command = {0};

    if (keeper < 0)
        return -1;
    admission_encode(admission, &command);
    if (packet_send(keeper, command.data, command.len, &client, 1, 0) < 0) {
        err_errno(e, errno, "cannot give a client to the kernel's keeper");
        e->code = ERR_UNAVAILABLE;
        return -1;
    }
    return 0;
}
