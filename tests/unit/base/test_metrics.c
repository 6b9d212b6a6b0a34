#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/metrics.h"

#include <pthread.h>

static void values_are_written(void **state)
{
    auto_buf struct buf text = {0};

    (void)state;
    metrics_put_head(&text, "runs_total", "counter", "Runs.");
    metrics_put_value(&text, "runs_total", "", 7);
    metrics_put_value(&text, "runs_total", "class=\"background\"", -1);
    assert_string_equal(text.data, "# HELP runs_total Runs.\n# TYPE runs_total counter\n"
                                   "runs_total 7\nruns_total{class=\"background\"} -1\n");
}

static void labels_are_escaped(void **state)
{
    auto_buf struct buf labels = {0};

    (void)state;
    metrics_put_label(&labels, "a", "plain");
    metrics_put_label(&labels, "b", "\"\\\n\xc3\xbc");
    metrics_put_label(&labels, "c", "");
    assert_string_equal(labels.data, "a=\"plain\",b=\"\\\"\\\\\\n\xc3\xbc\",c=\"\"");
}

static void expect_line(const struct buf *text, const char *line)
{
    if (!strstr(text->data, line))
        fail_msg("no %s in %s", line, text->data);
}

static void a_duration_falls_into_its_bucket(void **state)
{
    struct histogram histogram = {0};
    auto_buf struct buf text = {0};

    (void)state;
    histogram_add(&histogram, -5); /* a clock that was set back: nothing */
    histogram_add(&histogram, 100);
    histogram_add(&histogram, 101);
    histogram_add(&histogram, 1000000);
    histogram_add(&histogram, 60000000);
    histogram_add(&histogram, 60000001);
    metrics_put_histogram(&text, "d_seconds", "route=\"/x\"", &histogram);
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"0.0001\"} 2\n");
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"0.00025\"} 3\n");
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"0.5\"} 3\n");
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"1\"} 4\n");
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"30\"} 4\n");
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"60\"} 5\n");
    expect_line(&text, "d_seconds_bucket{route=\"/x\",le=\"+Inf\"} 6\n");
    expect_line(&text, "d_seconds_sum{route=\"/x\"} 121.000202\n");
    expect_line(&text, "d_seconds_count{route=\"/x\"} 6\n");
}

static void an_empty_one_is_written_without_labels(void **state)
{
    struct histogram histogram = {0};
    auto_buf struct buf text = {0};

    (void)state;
    metrics_put_histogram(&text, "d_seconds", "", &histogram);
    expect_line(&text, "d_seconds_bucket{le=\"0.0001\"} 0\n");
    expect_line(&text, "d_seconds_sum 0.000000\nd_seconds_count 0\n");
}

static void *add_many(void *user)
{
    for (int i = 0; i < 10000; i++)
        histogram_add(user, 200);
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    struct histogram histogram = {0};
    auto_buf struct buf text = {0};
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, add_many, &histogram);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    metrics_put_histogram(&text, "d_seconds", "", &histogram);
    expect_line(&text, "d_seconds_bucket{le=\"0.0001\"} 0\n");
    expect_line(&text, "d_seconds_sum 8.000000\nd_seconds_count 40000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(a_duration_falls_into_its_bucket),
        cmocka_unit_test(an_empty_one_is_written_without_labels),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
