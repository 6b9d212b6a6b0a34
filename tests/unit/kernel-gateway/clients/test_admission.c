#include "kernel-gateway/clients/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel-gateway/keeper/packet.h"
#include "tests/unit/base/scratch.c"

#include <sys/socket.h>
#include <sys/un.h>

static struct str text_of(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

static struct admission made(const char *session, size_t read_ahead)
{
    struct admission admission = {
        .form = {.protocol = CLIENT_LEGACY, .is_text_only = true, .message_cap = 10485760},
        .is_behind_proxy = true,
    };

    strcpy(admission.session, session);
    for (size_t i = 0; i < read_ahead; i++)
        buf_putc(&admission.read_ahead, (char)i);
    return admission;
}

static void check_same(const struct admission *a, const struct admission *b)
{
    assert_string_equal(a->session, b->session);
    assert_int_equal(a->form.protocol, b->form.protocol);
    assert_int_equal(a->form.is_text_only, b->form.is_text_only);
    assert_int_equal(a->form.message_cap, b->form.message_cap);
    assert_int_equal(a->is_behind_proxy, b->is_behind_proxy);
    assert_true(str_eq(text_of(&a->read_ahead), text_of(&b->read_ahead)));
}

static void everything_comes_back(void **state)
{
    static const size_t read_ahead[] = {0, 1, 256, ADMISSION_READ_AHEAD_MAX};
    char longest[129];
    (void)state;

    memset(longest, '"', 128); /* escaped, it is as long as can be */
    longest[128] = 0;
    for (size_t i = 0; i < sizeof read_ahead / sizeof *read_ahead; i++) {
        auto_admission struct admission sent = made(i % 2 ? longest : "", read_ahead[i]);
        auto_admission struct admission got = {0};
        auto_buf struct buf command = {0};
        struct err e;
        admission_encode(&sent, &command);
        assert_int_equal(admission_parse(&got, text_of(&command), &e), 0);
        check_same(&got, &sent);
    }
    auto_admission struct admission plain = {.form = {.protocol = CLIENT_V1}}, got = {0};
    auto_buf struct buf command = {0};
    struct err e;
    admission_encode(&plain, &command);
    assert_int_equal(admission_parse(&got, text_of(&command), &e), 0);
    check_same(&got, &plain);
}

static void refuses_what_is_none(void **state)
{
    static const char *const rows[] = {
        "",
        "admit",
        "admit ",
        "admit x",
        "stop cancelled",
        "admit {}",
        "admit []",
        "admit {\"session\":7,\"message_cap\":0,\"read_ahead\":\"\"}",
        "admit {\"session\":\"a\\u0000b\",\"message_cap\":0,\"read_ahead\":\"\"}",
        "admit {\"session\":\"\",\"message_cap\":-1,\"read_ahead\":\"\"}",
        "admit {\"session\":\"\",\"message_cap\":0,\"read_ahead\":\"0\"}",
        "admit {\"session\":\"\",\"message_cap\":0,\"read_ahead\":\"0g\"}",
        "admit {\"session\":\"\",\"message_cap\":0,\"read_ahead\":\"AB\"}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_admission struct admission got = {0};
        struct err e;
        if (admission_parse(&got, str_of(rows[i]), &e) == 0)
            fail_msg("taken: %s", rows[i]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_int_equal(got.read_ahead.len, 0);
    }
}

static void refuses_what_is_too_long(void **state)
{
    auto_buf struct buf session = {0}, ahead = {0};
    auto_admission struct admission got = {0};
    struct err e;
    (void)state;

    buf_puts(&session, "admit {\"message_cap\":0,\"read_ahead\":\"\",\"session\":\"");
    for (int i = 0; i < 129; i++)
        buf_putc(&session, 'x');
    buf_puts(&session, "\"}");
    assert_int_equal(admission_parse(&got, text_of(&session), &e), -1);
    buf_puts(&ahead, "admit {\"message_cap\":0,\"session\":\"\",\"read_ahead\":\"");
    for (int i = 0; i <= ADMISSION_READ_AHEAD_MAX; i++)
        buf_puts(&ahead, "00");
    buf_puts(&ahead, "\"}");
    assert_int_equal(admission_parse(&got, text_of(&ahead), &e), -1);
}

/* --- to a keeper --- */

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* That the descriptor was taken is seen by its end: the other side of it reads the end. */
static void is_closed(int peer)
{
    char byte;

    assert_int_equal(recv(peer, &byte, 1, 0), 0);
    close(peer);
}

static void gives_the_client_away(void **state)
{
    auto_admission struct admission sent = made("s", 8192), got = {0};
    char *directory = scratch_new();
    auto_free char *path = fs_join(directory, "keeper");
    char command[32 * 1024];
    int pair[2], fds[PACKET_FDS_MAX];
    size_t fd_count;
    struct err e;
    (void)state;

    auto_close int listener = listen_at(path, 4);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(admission_send(&sent, path, pair[0], &e), 0);

    auto_close int client = accept(listener, NULL, NULL);
    ssize_t len = packet_receive(client, command, sizeof command, fds, &fd_count, 0);
    assert_true(len > 0);
    assert_int_equal(fd_count, 1);
    assert_int_equal(admission_parse(&got, (struct str){command, (size_t)len}, &e), 0);
    check_same(&got, &sent);
    assert_int_equal(write(fds[0], "x", 1), 1);
    assert_int_equal(read(pair[1], command, 1), 1);
    close(fds[0]); /* ours was the last one */
    is_closed(pair[1]);
    scratch_free(directory);
}

static void nobody_is_there(void **state)
{
    auto_admission struct admission admission = made("s", 0);
    char *directory = scratch_new();
    auto_free char *path = fs_join(directory, "keeper");
    int pair[2];
    struct err e;
    (void)state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(admission_send(&admission, path, pair[0], &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    is_closed(pair[1]);

    close(listen_at(path, 1)); /* a socket whose keeper is gone */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(admission_send(&admission, path, pair[0], &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    is_closed(pair[1]);
    scratch_free(directory);
}

static void it_lets_nobody_in(void **state)
{
    auto_admission struct admission admission = made("s", 0);
    char *directory = scratch_new();
    auto_free char *path = fs_join(directory, "keeper");
    int pair[2];
    struct err e = {0};
    (void)state;

    auto_close int listener = listen_at(path, 0);
    do { /* until those who wait are too many */
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        e.code = ERR_NONE;
        if (admission_send(&admission, path, pair[0], &e) == 0)
            close(pair[1]);
    } while (e.code == ERR_NONE);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    is_closed(pair[1]);
    scratch_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),    cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(refuses_what_is_too_long), cmocka_unit_test(gives_the_client_away),
        cmocka_unit_test(nobody_is_there),          cmocka_unit_test(it_lets_nobody_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
