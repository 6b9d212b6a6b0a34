#include "kernel-gateway/interactive/interactive_task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/base/scratch.c"

static struct str text_of(const struct buf *b)
{
    return (struct str){b->data, b->len};
}

/* Each member with a value of its own, so that a mix-up shows. */
static void fill(struct interactive_task *task)
{
    static const char *const env[] = {"A=1", "B=with \"quotes\"\nand lines", "C=", NULL};
    int64_t number = 1;

    *task = (struct interactive_task){0};
#define X(name) task->name = mem_strdup("the " #name);
    INTERACTIVE_TEXTS(X)
#undef X
#define X(name) task->name = number++;
    INTERACTIVE_NUMBERS(X)
#undef X
    free(task->launcher);
    task->launcher = mem_strdup("docker");
    task->env = mem_copy_texts((char *const *)env);
    for (size_t i = 0; i < INTERACTIVE_MOUNTS_MAX; i++)
        task->mounts[task->mount_count++] = (struct interactive_mount){
            mem_printf("/host/%zu", i), mem_printf("/inside/%zu", i), i % 2};
}

static void everything_comes_back(void **state)
{
    auto_interactive_task struct interactive_task task, read = {0};
    auto_buf struct buf text = {0};
    struct err e;
    (void)state;

    fill(&task);
    interactive_task_encode(&task, &text);
    assert_int_equal(interactive_task_parse(&read, text_of(&text), &e), 0);
#define X(name) assert_string_equal(read.name, task.name);
    INTERACTIVE_TEXTS(X)
#undef X
#define X(name) assert_int_equal(read.name, task.name);
    INTERACTIVE_NUMBERS(X)
#undef X
    for (size_t i = 0; i < 4; i++) {
        if (task.env[i])
            assert_string_equal(read.env[i], task.env[i]);
        else
            assert_null(read.env[i]);
    }
    assert_int_equal(read.mount_count, INTERACTIVE_MOUNTS_MAX);
    for (size_t i = 0; i < read.mount_count; i++) {
        assert_string_equal(read.mounts[i].host, task.mounts[i].host);
        assert_string_equal(read.mounts[i].inside, task.mounts[i].inside);
        assert_int_equal(read.mounts[i].read_only, task.mounts[i].read_only);
    }
}

static void what_may_be_missing_is_null_or_zero(void **state)
{
    auto_interactive_task struct interactive_task task, read = {0};
    auto_buf struct buf text = {0};
    struct err e;
    (void)state;

    fill(&task);
#define X(name)                                                                                    \
    free(task.name);                                                                               \
    task.name = NULL;
    INTERACTIVE_OTHER_TEXTS(X)
#undef X
    mem_free_texts(take_ptr(&task.env));
    interactive_task_encode(&task, &text);
    assert_int_equal(interactive_task_parse(&read, text_of(&text), &e), 0);
#define X(name) assert_null(read.name);
    INTERACTIVE_OTHER_TEXTS(X)
#undef X
    assert_true(!read.env || !read.env[0]);
}

static void refuses(struct interactive_task *task, const char *part)
{
    auto_interactive_task struct interactive_task read = {0};
    auto_buf struct buf text = {0};
    struct err e;

    interactive_task_encode(task, &text);
    assert_int_equal(interactive_task_parse(&read, text_of(&text), &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    if (!strstr(e.text, part))
        fail_msg("\"%s\" is not in: %s", part, e.text);
    assert_null(read.kernel_id);
    assert_int_equal(read.mount_count, 0);
    interactive_task_clear(task);
}

static void refuses_what_is_no_task(void **state)
{
    static const char *const rows[] = {"", "{", "[]", "\"x\"", "{}"};
    struct interactive_task task;
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        assert_int_equal(interactive_task_parse(&task, str_of(rows[i]), &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
    }
#define X(name)                                                                                    \
    fill(&task);                                                                                   \
    free(task.name);                                                                               \
    task.name = NULL;                                                                              \
    refuses(&task, #name);
    INTERACTIVE_NEEDED_TEXTS(X)
#undef X
    fill(&task);
    free(task.launcher);
    task.launcher = mem_strdup("rocket");
    refuses(&task, "rocket");
    fill(&task);
    free(task.mounts[3].inside);
    task.mounts[3].inside = NULL;
    refuses(&task, "mount");
}

static void refuses_too_many_mounts(void **state)
{
    auto_interactive_task struct interactive_task task, read = {0};
    auto_buf struct buf text = {0};
    struct err e;
    (void)state;

    fill(&task);
    interactive_task_encode(&task, &text);
    char *mounts = strstr(text.data, "\"mounts\":[");
    assert_non_null(mounts);
    text.len = (size_t)(strrchr(mounts, ']') - text.data);
    buf_puts(&text, ",{\"host\":\"/a\",\"inside\":\"/b\",\"read_only\":0}]}");
    assert_int_equal(interactive_task_parse(&read, text_of(&text), &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

static void reads_its_file(void **state)
{
    auto_interactive_task struct interactive_task task, read = {0};
    auto_buf struct buf text = {0};
    char *directory = scratch_new();
    struct err e;
    (void)state;

    assert_int_equal(interactive_task_read(&read, directory, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    fill(&task);
    interactive_task_encode(&task, &text);
    scratch_put(directory, INTERACTIVE_TASK_FILE, text.data);
    assert_int_equal(interactive_task_read(&read, directory, &e), 0);
    assert_string_equal(read.kernel_id, "the kernel_id");
    scratch_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(what_may_be_missing_is_null_or_zero),
        cmocka_unit_test(refuses_what_is_no_task),
        cmocka_unit_test(refuses_too_many_mounts),
        cmocka_unit_test(reads_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
