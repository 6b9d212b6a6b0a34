#include "kernel-gateway/clients/outbox.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

struct pair {
    int fds[2]; /* [0]: the outbox's */
    struct outbox outbox;
};

static void pair_open(struct pair *pair)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair->fds),
                     0);
    outbox_init(&pair->outbox, pair->fds[0]);
}

static void pair_close(struct pair *pair)
{
    outbox_clear(&pair->outbox);
    mem_auto_close(&pair->fds[0]);
    mem_auto_close(&pair->fds[1]);
}

/* Reads all that is there. */
static void take(struct pair *pair, struct buf *out)
{
    char data[65536];
    for (ssize_t got; (got = recv(pair->fds[1], data, sizeof data, 0)) > 0;)
        buf_put(out, data, (size_t)got);
}

static void expect(struct pair *pair, const char *text)
{
    auto_buf struct buf got = {0};
    take(pair, &got);
    assert_string_equal(buf_text(&got), text);
}

/* `count` bytes of a kind that shows when some are missing or out of place. */
static void put_numbers(struct buf *out, size_t count)
{
    uint32_t number = 0;
    for (size_t begin = out->len; out->len - begin < count; number++)
        buf_put(out, &number, sizeof number);
}

static void small_ones_go_together(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    outbox_put(&pair.outbox, STR("a"));
    outbox_put(&pair.outbox, STR("bc"));
    outbox_put(&pair.outbox, STR(""));
    assert_int_equal(outbox_waiting(&pair.outbox), 3);
    assert_int_equal(pair.outbox.queued, 3);
    assert_int_equal(outbox_acknowledged(&pair.outbox), 0);
    expect(&pair, "");
    outbox_flush(&pair.outbox);
    assert_int_equal(outbox_waiting(&pair.outbox), 0);
    assert_int_equal(outbox_acknowledged(&pair.outbox), 3);
    expect(&pair, "abc");
    outbox_flush(&pair.outbox); /* nothing */
    expect(&pair, "");
    pair_close(&pair);
}

static void a_large_one_is_not_copied(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0}, got = {0};
    put_numbers(&large, 40000);
    pair_open(&pair);
    outbox_put(&pair.outbox, STR("its header"));
    outbox_put(&pair.outbox, (struct str){large.data, large.len});
    assert_int_equal(outbox_waiting(&pair.outbox), 0);
    assert_true(pair.outbox.bytes.cap < 1000);
    take(&pair, &got);
    assert_int_equal(got.len, 40010);
    assert_memory_equal(got.data, "its header", 10);
    assert_memory_equal(got.data + 10, large.data, large.len);
    pair_close(&pair);
}

static void behind_something_large_it_waits(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0};
    char small[1000] = {0};
    put_numbers(&large, 40000);
    pair_open(&pair);
    outbox_put(&pair.outbox, (struct str){small, sizeof small});
    outbox_put(&pair.outbox, (struct str){large.data, large.len});
    assert_int_equal(outbox_waiting(&pair.outbox), 41000);
    pair_close(&pair);
}

/* Parts of them are written again and again, between others that are put. */
static void order_is_kept_whatever_is_taken(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf all = {0}, got = {0};
    put_numbers(&all, 20 * MiB);
    pair_open(&pair);
    size_t at = 0;
    for (size_t step = 1; got.len < all.len; step = step * 7 % 1000003) {
        size_t len = step < all.len - at ? step : all.len - at;
        outbox_put(&pair.outbox, (struct str){all.data + at, len});
        at += len;
        outbox_flush(&pair.outbox);
        char data[100000];
        ssize_t taken = recv(pair.fds[1], data, 1 + step % sizeof data, 0);
        if (taken > 0)
            buf_put(&got, data, (size_t)taken);
        assert_int_equal(pair.outbox.queued, at);
        assert_int_equal(pair.outbox.queued - pair.outbox.written, outbox_waiting(&pair.outbox));
    }
    assert_memory_equal(got.data, all.data, all.len);
    pair_close(&pair);
}

static void memory_is_given_back(void **state)
{
    (void)state;
    struct pair pair;
    auto_buf struct buf large = {0}, got = {0};
    put_numbers(&large, 4 * MiB);
    pair_open(&pair);
    outbox_put(&pair.outbox, (struct str){large.data, large.len});
    assert_true(pair.outbox.bytes.cap > 3 * MiB);
    while (outbox_waiting(&pair.outbox) > 0) {
        take(&pair, &got);
        outbox_flush(&pair.outbox);
    }
    assert_int_equal(pair.outbox.bytes.cap, 0);
    pair_close(&pair);
}

static void a_broken_one_takes_nothing(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    outbox_put(&pair.outbox, STR("got"));
    outbox_flush(&pair.outbox);
    close(take_fd(&pair.fds[1]));
    outbox_put(&pair.outbox, STR("lost"));
    assert_false(pair.outbox.is_broken);
    outbox_flush(&pair.outbox); /* a SIGPIPE would end us */
    assert_true(pair.outbox.is_broken);
    assert_int_equal(outbox_waiting(&pair.outbox), 0);
    outbox_put(&pair.outbox, STR("nowhere"));
    outbox_flush(&pair.outbox);
    assert_int_equal(outbox_waiting(&pair.outbox), 0);
    assert_int_equal(pair.outbox.queued, 7);
    assert_int_equal(outbox_acknowledged(&pair.outbox), 3);
    pair_close(&pair);
}

static void shut_the_peer_sees_the_end(void **state)
{
    (void)state;
    struct pair pair;
    char byte;
    pair_open(&pair);
    outbox_put(&pair.outbox, STR("bye"));
    outbox_flush(&pair.outbox);
    outbox_shut(&pair.outbox);
    outbox_shut(&pair.outbox);
    expect(&pair, "bye");
    assert_int_equal(recv(pair.fds[1], &byte, 1, 0), 0);
    pair_close(&pair);
}

static void make_tcp_pair(int fds[2])
{
    auto_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fds[0] >= 0);
}

static void our_end_is_not_a_byte(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[3];
    make_tcp_pair(pair.fds);
    outbox_init(&pair.outbox, pair.fds[0]);
    outbox_put(&pair.outbox, STR("bye"));
    outbox_flush(&pair.outbox);
    assert_int_equal(recv(pair.fds[1], bytes, sizeof bytes, MSG_WAITALL), 3);
    while (outbox_acknowledged(&pair.outbox) < 3)
        continue;
    outbox_shut(&pair.outbox);
    for (int i = 0; i < 1000; i++) /* while the end is on its way, and afterwards */
        assert_int_equal(outbox_acknowledged(&pair.outbox), 3);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones_go_together),
        cmocka_unit_test(a_large_one_is_not_copied),
        cmocka_unit_test(behind_something_large_it_waits),
        cmocka_unit_test(order_is_kept_whatever_is_taken),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(a_broken_one_takes_nothing),
        cmocka_unit_test(shut_the_peer_sees_the_end),
        cmocka_unit_test(our_end_is_not_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
