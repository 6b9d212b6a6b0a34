#include "kernel-gateway/connection.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static int make_directory(void **state)
{
    char *directory = mem_strdup("/tmp/segue-test-XXXXXX");
    *state = mkdtemp(directory);
    return *state ? 0 : -1;
}

static int remove_directory(void **state)
{
    struct err e;
    int rc = fs_remove_tree(*state, &e);
    free(*state);
    return rc;
}

static void assert_address(const struct connection *connection, enum channel channel,
                           const char *expected)
{
    auto_free char *address = connection_address(connection, channel);
    assert_string_equal(address, expected);
}

static void ipc_addresses_are_prefix_and_number(void **state)
{
    (void)state;
    struct connection connection;
    struct err e;
    assert_int_equal(connection_make_ipc(&connection, "/run/k/0123456789", NULL, &e), 0);
    assert_address(&connection, CHANNEL_SHELL, "ipc:///run/k/0123456789/s-1");
    assert_address(&connection, CHANNEL_IOPUB, "ipc:///run/k/0123456789/s-2");
    assert_address(&connection, CHANNEL_HEARTBEAT, "ipc:///run/k/0123456789/s-5");
    connection_clear(&connection);
}

static void paths_are_checked(void **state)
{
    (void)state;
    struct connection connection;
    struct err e;
    char path[110];
    memset(path, 'p', sizeof path);
    path[0] = '/';
    path[103] = 0; /* with "/s-1" the 107 bytes that fit */
    assert_int_equal(connection_make_ipc(&connection, path, NULL, &e), 0);
    connection_clear(&connection);
    path[103] = 'p';
    path[104] = 0;
    assert_int_equal(connection_make_ipc(&connection, path, NULL, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(connection_make_ipc(&connection, "/k", path, &e), -1);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(connection_make_ipc(&connection, "k", NULL, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

static void file_tells_the_kernel_its_side(void **state)
{
    (void)state;
    struct connection connection;
    struct err e;
    assert_int_equal(connection_make_ipc(&connection, "/host/k", "/run/k", &e), 0);
    assert_address(&connection, CHANNEL_CONTROL, "ipc:///host/k/s-4");

    auto_buf struct buf text = {0};
    auto_json struct json doc = {0};
    connection_encode(&connection, "python3", &text);
    assert_int_equal(json_parse(&doc, (struct str){text.data, text.len}, JSON_STRICT, NULL, &e), 0);
    static const char *const texts[][2] = {{"transport", "ipc"},
                                           {"ip", "/run/k/s"},
                                           {"signature_scheme", "hmac-sha256"},
                                           {"kernel_name", "python3"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(json_is(&doc, json_get(&doc, 0, texts[i][0]), texts[i][1]));
    assert_true(json_is(&doc, json_get(&doc, 0, "key"), connection.key));
    static const char *const ports[] = {"shell_port", "iopub_port", "stdin_port", "control_port",
                                        "hb_port"};
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        int64_t port = 0;
        assert_true(json_int(&doc, json_get(&doc, 0, ports[i]), &port));
        assert_int_equal(port, i + 1);
    }
    connection_clear(&connection);
}

static void keys_differ(void **state)
{
    (void)state;
    struct connection a, b;
    struct err e;
    assert_int_equal(connection_make_ipc(&a, "/k", NULL, &e), 0);
    assert_int_equal(connection_make_ipc(&b, "/k", NULL, &e), 0);
    assert_int_equal(strlen(a.key), 64);
    assert_int_equal(strspn(a.key, "0123456789abcdef"), 64);
    assert_string_not_equal(a.key, b.key);
    connection_clear(&a);
    connection_clear(&b);
}

static int bind_port(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return rc;
}

static void tcp_ports_are_held_until_released(void **state)
{
    (void)state;
    struct connection connection;
    struct err e;
    assert_int_equal(connection_make_tcp(&connection, &e), 0);
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        assert_int_not_equal(connection.ports[i], 0);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(connection.ports[i], connection.ports[j]);
        assert_int_equal(bind_port(connection.ports[i]), -1);
    }
    auto_free char *expected = mem_printf("tcp://127.0.0.1:%u", connection.ports[CHANNEL_STDIN]);
    assert_address(&connection, CHANNEL_STDIN, expected);
    connection_release_ports(&connection);
    for (int i = 0; i < CHANNEL_COUNT; i++)
        assert_int_equal(bind_port(connection.ports[i]), 0);
    connection_clear(&connection);
}

static void file_is_private_and_new(void **state)
{
    struct connection connection;
    struct err e;
    auto_free char *path = fs_join(*state, "kernel.json");
    assert_int_equal(connection_make_ipc(&connection, *state, NULL, &e), 0);
    mode_t umask_before = umask(0);
    struct connection_owner nobody = {0};
    assert_int_equal(connection_write(&connection, "r", path, nobody, &e), 0);
    umask(umask_before);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);

    auto_buf struct buf written = {0};
    auto_buf struct buf expected = {0};
    assert_int_equal(fs_read(path, LIMIT_CONFIG_BYTES, &written, &e), 0);
    connection_encode(&connection, "r", &expected);
    assert_string_equal(buf_text(&written), buf_text(&expected));

    assert_int_equal(connection_write(&connection, "r", path, nobody, &e), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(connection_write(&connection, "r", path, nobody, &e), -1);
    auto_free char *elsewhere = fs_join(*state, "elsewhere");
    assert_false(fs_exists(elsewhere));
    connection_clear(&connection);
}

static void file_gets_its_owner(void **state)
{
    struct connection connection;
    struct err e;
    auto_free char *path = fs_join(*state, "owned.json");
    assert_int_equal(connection_make_ipc(&connection, *state, NULL, &e), 0);
    struct connection_owner owner = {.change = true, .uid = 12345, .gid = 23456};
    int rc = connection_write(&connection, "r", path, owner, &e);
    struct stat info;
    if (geteuid() == 0) {
        assert_int_equal(rc, 0);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_uid, 12345);
        assert_int_equal(info.st_gid, 23456);
    } else {
        assert_int_equal(rc, -1);
        assert_int_equal(stat(path, &info), -1); /* nothing half done stays */
    }
    connection_clear(&connection);
}

static void clear_removes_what_kernels_leave(void **state)
{
    struct connection connection;
    struct err e;
    assert_int_equal(connection_make_ipc(&connection, *state, NULL, &e), 0);
    auto_free char *left = fs_join(*state, "s-3");
    auto_free char *other = fs_join(*state, "s-6");
    assert_int_equal(fs_write(left, STR(""), 0600, FS_NO_SYNC, &e), 0);
    assert_int_equal(fs_write(other, STR(""), 0600, FS_NO_SYNC, &e), 0);
    connection_clear(&connection);
    assert_false(fs_exists(left));
    assert_true(fs_exists(other));
    connection_clear(&connection); /* an all-zero one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipc_addresses_are_prefix_and_number),
        cmocka_unit_test(paths_are_checked),
        cmocka_unit_test(file_tells_the_kernel_its_side),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(tcp_ports_are_held_until_released),
        cmocka_unit_test_setup_teardown(file_is_private_and_new, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(file_gets_its_owner, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(clear_removes_what_kernels_leave, make_directory,
                                        remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
