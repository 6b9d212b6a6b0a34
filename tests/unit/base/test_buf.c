#include "base/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

static void starts_empty(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    assert_string_equal(buf_text(&b), "");
    buf_reset(&b);
    buf_consume(&b, 0);
    buf_put(&b, NULL, 0);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(b.len, 0);
}

static void appends_and_terminates(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    buf_puts(&b, "ab");
    buf_putc(&b, 'c');
    buf_put(&b, "\0d", 2);
    buf_printf(&b, "%d", 7);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "abc\0d7", 7);
}

/* Texts around the size of what is reserved, into empty and into part-filled memory. */
static void prints_any_length(void **state)
{
    (void)state;
    for (int before = 0; before < 70; before += 23) {
        for (int len = 0; len < 300; len++) {
            auto_buf struct buf b = {0};
            if (before)
                buf_printf(&b, "%*s", before, "");
            buf_printf(&b, "%*s", len, "");
            assert_int_equal(b.len, before + len);
            assert_int_equal(strlen(buf_text(&b)), before + len);
        }
    }
}

static void grows_byte_by_byte(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    for (int i = 0; i < 10000; i++) {
        buf_putc(&b, (char)(i % 251));
        assert_true(b.len < b.cap);
        assert_int_equal(b.data[b.len], 0);
    }
    for (int i = 0; i < 10000; i++)
        assert_int_equal((unsigned char)b.data[i], i % 251);
}

static void reserves_so_that_nothing_moves(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    buf_puts(&b, "x");
    buf_reserve(&b, 5000);
    const char *data = b.data;
    for (int i = 0; i < 5000; i++)
        buf_putc(&b, 'y');
    assert_ptr_equal(b.data, data);
    assert_int_equal(b.len, 5001);
}

static void consumes_from_the_front(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    buf_puts(&b, "hello");
    buf_consume(&b, 2);
    assert_string_equal(buf_text(&b), "llo");
    buf_consume(&b, 3);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(b.len, 0);
}

static void takes_the_text(void **state)
{
    (void)state;
    struct buf b = {0};
    auto_free char *nothing = buf_take(&b);
    assert_string_equal(nothing, "");
    buf_puts(&b, "text");
    auto_free char *text = buf_take(&b);
    assert_string_equal(text, "text");
    assert_null(b.data);
    assert_int_equal(b.len + b.cap, 0);
}

static void resets_and_keeps_memory(void **state)
{
    (void)state;
    auto_buf struct buf b = {0};
    buf_puts(&b, "text");
    const char *data = b.data;
    buf_reset(&b);
    assert_string_equal(buf_text(&b), "");
    assert_ptr_equal(b.data, data);
}

/* --- mem --- */

static void mem_gives_memory_for_nothing(void **state)
{
    (void)state;
    auto_free void *a = mem_alloc(0), *b = mem_array(0, 8), *c = mem_resize(NULL, 0, 8);
    assert_true(a && b && c);
}

static void mem_copies_text(void **state)
{
    (void)state;
    assert_null(mem_strdup(NULL));
    auto_free char *a = mem_strdup("text"), *b = mem_strndup("text", 2),
                   *c = mem_printf("%s-%d", "a", 1), *d = mem_strndup("", 0);
    assert_string_equal(a, "text");
    assert_string_equal(b, "te");
    assert_string_equal(c, "a-1");
    assert_string_equal(d, "");
}

static void mem_grows_arrays(void **state)
{
    (void)state;
    int *numbers = NULL;
    size_t count = 0, capacity = 0;
    for (int i = 0; i < 1000; i++) {
        mem_grow(numbers, count, capacity);
        numbers[count++] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    free(numbers);
}

static void mem_hands_over(void **state)
{
    (void)state;
    char *text = mem_strdup("x");
    auto_free char *taken = take_ptr(&text);
    assert_null(text);
    assert_string_equal(taken, "x");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = fd;
    {
        auto_close int owner = take_fd(&fd);
        assert_int_equal(fd, -1);
        assert_int_equal(owner, copy);
        assert_int_not_equal(fcntl(copy, F_GETFD), -1);
    }
    assert_int_equal(fcntl(copy, F_GETFD), -1);
}

static void overflow_array(void)
{
    mem_array(SIZE_MAX / 2, 4);
}

static void overflow_resize(void)
{
    mem_resize(NULL, SIZE_MAX / 2, 4);
}

static void overflow_reserve(void)
{
    struct buf b = {0};
    buf_puts(&b, "x");
    buf_reserve(&b, SIZE_MAX - 1);
}

static int signal_that_ends(void (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void mem_aborts_on_overflow(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* The sanitizer's own allocator ends the process before ours can. */
    void (*const checked_before[])(void) = {overflow_array, overflow_resize};
#else
    void (*const checked_before[])(void) = {overflow_array, overflow_resize, overflow_reserve};
#endif
    (void)overflow_reserve;
    for (size_t i = 0; i < sizeof checked_before / sizeof *checked_before; i++)
        assert_int_equal(signal_that_ends(checked_before[i]), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(appends_and_terminates),
        cmocka_unit_test(prints_any_length),
        cmocka_unit_test(grows_byte_by_byte),
        cmocka_unit_test(reserves_so_that_nothing_moves),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(takes_the_text),
        cmocka_unit_test(resets_and_keeps_memory),
        cmocka_unit_test(mem_gives_memory_for_nothing),
        cmocka_unit_test(mem_copies_text),
        cmocka_unit_test(mem_grows_arrays),
        cmocka_unit_test(mem_hands_over),
        cmocka_unit_test(mem_aborts_on_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
