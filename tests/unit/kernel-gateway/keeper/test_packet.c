#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernel-gateway/keeper/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct pair {
    int a, b;
    size_t open; /* descriptors, as long as none is under way */
};

static size_t open_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int set_up(void **state)
{
    struct pair *pair = mem_zalloc(sizeof *pair);
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    *pair = (struct pair){fds[0], fds[1], open_descriptors()};
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;

    close(pair->a);
    close(pair->b);
    free(pair);
    return 0;
}

static void packets_stay_apart(void **state)
{
    const struct pair *pair = *state;
    char text[100];
    int fds[PACKET_FDS_MAX];
    size_t fd_count = 7;

    assert_int_equal(packet_send(pair->a, "one", 3, NULL, 0, 0), 0);
    assert_int_equal(packet_send(pair->a, "three", 5, NULL, 0, 0), 0);
    assert_int_equal(packet_receive(pair->b, text, sizeof text, fds, &fd_count, 0), 3);
    assert_memory_equal(text, "one", 3);
    assert_int_equal(fd_count, 0);
    assert_int_equal(packet_receive(pair->b, text, 2, fds, &fd_count, 0), 2); /* cut off */
    assert_int_equal(packet_receive(pair->b, text, sizeof text, fds, &fd_count, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void the_end_is_0_and_sending_to_nobody_is_an_error(void **state)
{
    struct pair *pair = *state;
    char text[100];
    int fds[PACKET_FDS_MAX];
    size_t fd_count = 7;

    close(take_fd(&pair->b));
    assert_int_equal(packet_receive(pair->a, text, sizeof text, fds, &fd_count, 0), 0);
    assert_int_equal(fd_count, 0);
    assert_int_equal(packet_send(pair->a, "x", 1, NULL, 0, 0), -1); /* without a signal */
    assert_int_equal(errno, EPIPE);
}

static void a_full_socket_is_told(void **state)
{
    const struct pair *pair = *state;
    char text[1000] = "";
    int sent = 0;

    for (int i = 0; i < 10000 && sent == 0; i++)
        sent = packet_send(pair->a, text, sizeof text, NULL, 0, MSG_DONTWAIT);
    assert_int_equal(sent, -1);
    assert_int_equal(errno, EAGAIN);
}

/* Sends so many descriptors with sendmsg itself: a stranger is not bound by our limit. */
static void send_fds(int socket_fd, const int *these, size_t count)
{
    char space[CMSG_SPACE(16 * sizeof(int))] __attribute__((aligned(8))) = {0};
    struct iovec part = {(void *)"x", 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), these, count * sizeof(int));
    assert_int_equal(sendmsg(socket_fd, &message, 0), 1);
}

static void descriptors_come_with_their_packet(void **state)
{
    const struct pair *pair = *state;
    char text[100];
    int fds[PACKET_FDS_MAX], pipe_fds[2];
    size_t fd_count;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    for (size_t count = 0; count <= PACKET_FDS_MAX; count++) {
        const int sent[PACKET_FDS_MAX] = {pipe_fds[1], pipe_fds[1], pipe_fds[1]};
        assert_int_equal(packet_send(pair->a, "x", 1, sent, count, 0), 0);
        assert_int_equal(packet_receive(pair->b, text, sizeof text, fds, &fd_count, 0), 1);
        assert_int_equal(fd_count, count);
        for (size_t i = 0; i < fd_count; i++) {
            char byte = 0;
            assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
            assert_int_equal(write(fds[i], "!", 1), 1);
            assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
            close(fds[i]);
        }
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(open_descriptors(), pair->open);
}

static void more_descriptors_than_there_may_be_are_closed(void **state)
{
    const struct pair *pair = *state;
    const int stdins[16] = {0};
    char text[100];
    int fds[PACKET_FDS_MAX];
    size_t fd_count;

    for (size_t count = PACKET_FDS_MAX + 1; count <= 16; count++) {
        send_fds(pair->a, stdins, count);
        assert_int_equal(packet_receive(pair->b, text, sizeof text, fds, &fd_count, 0), 1);
        assert_int_equal(fd_count, PACKET_FDS_MAX);
        assert_int_equal(open_descriptors(), pair->open + PACKET_FDS_MAX);
        for (size_t i = 0; i < fd_count; i++)
            close(fds[i]);
    }
}

static void where_there_is_no_room_for_descriptors_the_packet_comes_without(void **state)
{
    const struct pair *pair = *state;
    const int stdins[2] = {0};
    struct rlimit before, none;
    char text[100];
    int fds[PACKET_FDS_MAX], highest = dup(0);
    size_t fd_count;

    send_fds(pair->a, stdins, 2);
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){(rlim_t)highest + 1, before.rlim_max}; /* all below are taken */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ssize_t got = packet_receive(pair->b, text, sizeof text, fds, &fd_count, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    close(highest);
    assert_int_equal(got, 1);
    assert_int_equal(fd_count, 0);
    assert_int_equal(open_descriptors(), pair->open);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packets_stay_apart),
        TEST(the_end_is_0_and_sending_to_nobody_is_an_error),
        TEST(a_full_socket_is_told),
        TEST(descriptors_come_with_their_packet),
        TEST(more_descriptors_than_there_may_be_are_closed),
        TEST(where_there_is_no_room_for_descriptors_the_packet_comes_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
