#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/figures.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct route routes[] = {
    {.method = "GET", .path = "/runs/{run}"},
    {.method = "POST", .path = "/quiet"},
};

static void expect_line(const struct buf *text, const char *line)
{
    if (!strstr(text->data, line))
        fail_msg("no %s in %s", line, text->data);
}

static void requests_are_counted_by_route_and_status(void **state)
{
    struct figures *figures = figures_new(routes, COUNT(routes));
    auto_buf struct buf text = {0};

    (void)state;
    figures_count(figures, &routes[0], 200, 50);
    figures_count(figures, &routes[0], 200, 200);
    figures_count(figures, &routes[0], 507, 50);
    figures_count(figures, &routes[0], 418, 50);
    figures_count(figures, NULL, 404, 50);
    figures_put(figures, &text);
#define REQUESTS "segue_http_requests_total{method="
#define DURATION "segue_http_request_duration_seconds"
    expect_line(&text, REQUESTS "\"GET\",route=\"/runs/{run}\",status=\"200\"} 2\n");
    expect_line(&text, REQUESTS "\"GET\",route=\"/runs/{run}\",status=\"507\"} 1\n");
    expect_line(&text, REQUESTS "\"GET\",route=\"/runs/{run}\",status=\"other\"} 1\n");
    expect_line(&text, REQUESTS "\"any\",route=\"none\",status=\"404\"} 1\n");
    expect_line(&text, DURATION "_bucket{method=\"GET\",route=\"/runs/{run}\",le=\"0.0001\"} 3\n");
    expect_line(&text, DURATION "_count{method=\"GET\",route=\"/runs/{run}\"} 4\n");
    expect_line(&text, DURATION "_sum{method=\"GET\",route=\"/runs/{run}\"} 0.000350\n");
    assert_null(strstr(text.data, "/quiet"));
    figures_free(figures);
}

static void refusals_are_counted_by_reason(void **state)
{
    struct figures *figures = figures_new(NULL, 0);
    auto_buf struct buf text = {0};

    (void)state;
    figures_count_refusal(figures, REFUSED_WORKERS_BUSY);
    figures_count_refusal(figures, REFUSED_WORKERS_BUSY);
    figures_count_refusal(figures, REFUSED_LATE_BODY);
    figures_put(figures, &text);
    expect_line(&text, "segue_http_refusals_total{reason=\"workers_busy\"} 2\n");
    expect_line(&text, "segue_http_refusals_total{reason=\"bodies_full\"} 0\n");
    expect_line(&text, "segue_http_refusals_total{reason=\"closing\"} 0\n");
    expect_line(&text, "segue_http_refusals_total{reason=\"late_body\"} 1\n");
    figures_free(figures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_by_route_and_status),
        cmocka_unit_test(refusals_are_counted_by_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
