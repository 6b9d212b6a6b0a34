#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "kernel-gateway/launch/docker_paths.h"

#include "tests/unit/base/scratch.c"
#include "tests/unit/base/scripted_server.c"

#include <stdlib.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- which container --- */

#define ROOT_LINE "642 530 0:54 / / rw,relatime master:227 - overlay overlay rw,lowerdir=/x\n"
#define PROC_LINE "643 642 0:57 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"

static void own_container(void **state)
{
    static const struct {
        const char *name, *table, *id;
    } rows[] = {
        {"nothing mounted", "", NULL},
        {"no container", ROOT_LINE PROC_LINE, NULL},
        {"the engine's default directory",
         ROOT_LINE "658 642 254:0 /var/lib/docker/containers/" ID "/resolv.conf /etc/resolv.conf "
                   "rw,relatime - ext4 /dev/vda rw\n"
                   "659 642 254:0 /var/lib/docker/containers/" ID "/hostname /etc/hostname "
                   "rw,relatime - ext4 /dev/vda rw\n" PROC_LINE,
         ID},
        {"the engine's directory is a file system of its own",
         "659 642 254:0 /containers/" ID "/hosts /etc/hosts rw - ext4 /dev/vdb rw\n", ID},
        {"no end of the line",
         ROOT_LINE "659 642 254:0 /a/containers/" ID "/hosts /etc/hosts rw - ext4 x rw", ID},
        /* What an engine's own machine looks like while a container runs there. */
        {"mounted by the engine for somebody else",
         ROOT_LINE "700 28 0:60 / /var/lib/docker/containers/" ID
                   "/mounts/shm rw,nosuid - tmpfs shm rw,size=65536k\n"
                   "701 28 0:61 /var/lib/docker/containers/" ID
                   "/mounts/x /var/lib/docker/containers/" ID "/mounts/x rw - ext4 /dev/vda rw\n",
         NULL},
        {"too short an id",
         "659 642 254:0 /var/lib/docker/containers/0123456789ab/hostname /etc/hostname rw - x\n",
         NULL},
        {"too long an id",
         "659 642 254:0 /var/lib/docker/containers/" ID "0/hostname /etc/hostname rw - x\n", NULL},
        {"lines that are cut short", "659 642\n\n659 642 254:0 /containers/" ID "/hostname\n",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_free char *id = docker_own_container(rows[i].table);
        if (!rows[i].id && id)
            fail_msg("%s: %s", rows[i].name, id);
        if (rows[i].id && (!id || strcmp(id, rows[i].id) != 0))
            fail_msg("%s: %s", rows[i].name, id ? id : "none");
    }
}

/* --- what is mounted --- */

#define SAME       "{\"Type\":\"bind\",\"Source\":\"/srv/p\",\"Destination\":\"/srv/p\"}"
#define DIFFERENT  "{\"Type\":\"bind\",\"Source\":\"/home/me\",\"Destination\":\"/srv/p\"}"
#define WHOLE_ROOT "{\"Type\":\"bind\",\"Source\":\"/\",\"Destination\":\"/\"}"
#define DEEPER     "{\"Type\":\"bind\",\"Source\":\"/mnt\",\"Destination\":\"/srv/p/data\"}"
#define VOLUME                                                                                     \
    "{\"Type\":\"volume\",\"Name\":\"v\",\"Source\":\"/var/lib/docker/volumes/v/_data\","          \
    "\"Destination\":\"/srv/p\"}"

static void mounts(void **state)
{
    static const struct {
        const char *name, *mounts, *path, *says;
    } rows[] = {
        {"mounted as it is", SAME, "/srv/p", NULL},
        {"below what is mounted", SAME, "/srv/p/a/b", NULL},
        {"all of the machine", WHOLE_ROOT, "/srv/p", NULL},
        {"another is deeper, but elsewhere", SAME "," DEEPER, "/srv/p/database", NULL},
        {"nothing is mounted", "", "/srv/p", "inside of this container"},
        {"only a neighbour is", SAME, "/srv/projects", "inside of this container"},
        {"only what is below it is", DEEPER, "/srv/p", "-v /srv/p:/srv/p"},
        {"called differently", DIFFERENT, "/srv/p/a", "knows as \"/home/me\""},
        {"a volume", VOLUME, "/srv/p", "knows as \"/var/lib/docker/volumes/v/_data\""},
        {"the deepest counts", SAME "," DEEPER, "/srv/p/data/x", "knows as \"/mnt\""},
        {"whatever the order", DEEPER "," SAME, "/srv/p/data/x", "knows as \"/mnt\""},
        {"no source is told", "{\"Destination\":\"/srv/p\"}", "/srv/p", "same path"},
        {"not as the engine says it", "{\"Destination\":7},8,null", "/srv/p", "inside of this"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_free char *text = mem_printf("{\"Id\":\"x\",\"Mounts\":[%s]}", rows[i].mounts);
        auto_json struct json doc = {0};
        struct err e = {0};
        assert_int_equal(json_parse(&doc, str_of(text), JSON_TOLERANT, NULL, &e), 0);
        int result = docker_check_mounts(&doc, rows[i].path, &e);
        if ((result < 0) != (rows[i].says != NULL))
            fail_msg("%s: %d %s", rows[i].name, result, e.text);
        if (rows[i].says && (e.code != ERR_INVALID || !strstr(e.text, rows[i].says)))
            fail_msg("%s: %s", rows[i].name, e.text);
    }
}

/* --- asking --- */

#define VERSION "HTTP/1.1 200 OK\r\n\r\n{\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}"

/* *ret_seen: how often `text` came up in what was asked. */
static int ask(struct rule *rules, size_t count, const char *text, size_t *ret_seen, struct err *e)
{
    struct server server;

    server_start(&server, SERVER_UNIX, rules, count);
    auto_free char *host = mem_printf("unix://%s", server.path);
    setenv("DOCKER_HOST", host, 1);
    int result = docker_check_path("/srv/p", e);
    *ret_seen = server_saw(&server, text);
    server_stop(&server);
    unsetenv("DOCKER_HOST");
    return result;
}

/* This process is in no container that it could ask about. */
static void outside_of_containers_nothing_is_asked(void **state)
{
    struct rule rules[] = {{.request = "GET ", .answer = "HTTP/1.1 500 No\r\n\r\n"}};
    size_t seen;
    struct err e;

    (void)state;
    assert_int_equal(ask(rules, 1, "GET", &seen, &e), 0);
    assert_int_equal(seen, 0);
}

/* Gives this process a /etc/hostname as if it were in the container; false: it may not. */
static bool enter_container(const char *scratch)
{
    auto_free char *source = scratch_write(scratch, "containers/" ID "/hostname", "x");

    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount(source, "/etc/hostname", NULL, MS_BIND, NULL) == 0)
        return true;
    fprintf(stderr, "SKIPPED: standing in a container needs the right to mount (root)\n");
    return false;
}

static void inside_of_one_the_engine_is_asked(void **state)
{
    struct rule rules[] = {
        {.request = "GET /version", .answer = VERSION},
        {.request = "GET /v1.41/containers/" ID "/json ",
         .answer = "HTTP/1.1 200 OK\r\n\r\n{\"Mounts\":[" DIFFERENT "]}"},
    };
    struct rule of_another[] = {
        {.request = "GET /version", .answer = VERSION},
        {.request = "GET /v1.41/containers/",
         .answer = "HTTP/1.1 404 Not Found\r\n\r\n{\"message\":\"No such container\"}"},
    };
    char *scratch = scratch_new();
    size_t seen;
    struct err e;

    (void)state;
    if (!enter_container(scratch)) {
        scratch_free(scratch);
        skip();
    }
    assert_int_equal(ask(rules, 2, ID, &seen, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "\"/home/me\""));
    assert_int_equal(seen, 1);
    /* An engine inside of an engine's container knows nothing of that. */
    assert_int_equal(ask(of_another, 2, ID, &seen, &e), 0);
    assert_int_equal(seen, 1);
    umount2("/etc/hostname", MNT_DETACH);
    scratch_free(scratch);
}

static void without_an_engine_nothing_matters(void **state)
{
    struct err e;

    (void)state;
    setenv("DOCKER_HOST", "unix:///nonexistent/socket", 1);
    assert_int_equal(docker_check_path("/srv/p", &e), 0);
    unsetenv("DOCKER_HOST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_container),
        cmocka_unit_test(mounts),
        cmocka_unit_test(outside_of_containers_nothing_is_asked),
        cmocka_unit_test(without_an_engine_nothing_matters),
        cmocka_unit_test(inside_of_one_the_engine_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
