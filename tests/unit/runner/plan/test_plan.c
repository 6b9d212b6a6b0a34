#include "runner/plan/plan.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DATA         "tests/data/pipelines"

/* "a b:a c:ba" is a, b behind a, c behind b and a; uuids are one letter, in the order of the file.
 */
static struct pipeline *pipeline_of(const char *edges)
{
    struct buf text = {0};
    buf_puts(&text, "{\"steps\":{");
    for (const char *p = edges; *p;) {
        buf_printf(&text, "%s\"%c\":{\"incoming_connections\":[", p == edges ? "" : ",", *p);
        p++;
        for (const char *from = p; *p && *p != ' '; p++) {
            if (*p != ':')
                buf_printf(&text, "%s\"%c\"", p == from + 1 ? "" : ",", *p);
        }
        buf_puts(&text, "]}");
        while (*p == ' ')
            p++;
    }
    buf_puts(&text, "}}");
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    if (pipeline_parse((struct str){text.data, text.len}, "x", &pipeline, &problems, &e))
        fail_msg("%s: %s", edges, e.text);
    buf_clear(&text);
    return pipeline;
}

static char uuid_at(const struct plan *plan, const struct pipeline *pipeline, uint32_t at)
{
    return pipeline->steps[plan->steps[at].step].uuid[0];
}

static uint32_t select_steps(const struct pipeline *pipeline, const char *uuids, uint32_t *out)
{
    uint32_t count = 0;
    for (; *uuids; uuids++)
        out[count++] = pipeline_index(pipeline, (struct str){uuids, 1});
    return count;
}

static struct plan *planned(const struct pipeline *pipeline, enum run_type type, const char *uuids)
{
    uint32_t selected[64], count = select_steps(pipeline, uuids, selected);
    struct plan *plan;
    struct err e;
    if (plan_make(pipeline, type, selected, count, &plan, &e))
        fail_msg("%s", e.text);
    return plan;
}

/* The plan as "RANK UUID:INCOMING ... -> SENTINEL", for example "0a 1b:a 1c:a -> bc". */
static void assert_plan_of(const struct pipeline *pipeline, enum run_type type, const char *uuids,
                           const char *expected)
{
    auto_plan struct plan *plan = planned(pipeline, type, uuids);
    auto_buf struct buf text = {0};
    for (uint32_t i = 0; i < plan->count; i++) {
        struct step_list incoming = plan->steps[i].incoming;
        buf_printf(&text, "%u%c%s", plan->steps[i].rank, uuid_at(plan, pipeline, i),
                   incoming.count ? ":" : "");
        for (uint32_t j = 0; j < incoming.count; j++)
            buf_putc(&text, uuid_at(plan, pipeline, incoming.at[j]));
        buf_putc(&text, ' ');
    }
    buf_puts(&text, "-> ");
    for (uint32_t i = 0; i < plan->sentinel.count; i++)
        buf_putc(&text, uuid_at(plan, pipeline, plan->sentinel.at[i]));
    assert_string_equal(buf_text(&text), expected);
}

static void assert_plan(const char *edges, enum run_type type, const char *uuids,
                        const char *expected)
{
    auto_pipeline struct pipeline *pipeline = pipeline_of(edges);
    assert_plan_of(pipeline, type, uuids, expected);
}

static void assert_nothing_to_run(const char *edges, enum run_type type, const char *uuids)
{
    auto_pipeline struct pipeline *pipeline = pipeline_of(edges);
    uint32_t selected[64], count = select_steps(pipeline, uuids, selected);
    struct plan *plan = NULL;
    struct err e;
    assert_int_equal(plan_make(pipeline, type, selected, count, &plan, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "nothing to run: no step is left");
    assert_null(plan);
}

/* --- the five run types --- */

static void full_runs_everything(void **state)
{
    (void)state;
    assert_plan("a b:a c:a d:bc e", RUN_FULL, "", "0a 0e 1b:a 1c:a 2d:bc -> ed");
    assert_plan("a b:a", RUN_FULL, "b", "0a 1b:a -> b"); /* the selection is not looked at */
}

static void selection_runs_exactly_the_selected(void **state)
{
    (void)state;
    assert_plan("a b:a c:b d:c", RUN_SELECTION, "bd", "0b 0d -> bd");
    assert_plan("a b:a c:b d:c", RUN_SELECTION, "dcb", "0b 1c:b 2d:c -> d");
    assert_plan("a b:a c:b", RUN_SELECTION, "bbb", "0b -> b");
}

static void incoming_runs_proper_ancestors(void **state)
{
    (void)state;
    assert_plan("a b:a c:b d:c e", RUN_INCOMING, "d", "0a 1b:a 2c:b -> c");
    assert_plan("a b:a c:b", RUN_INCOMING, "bc", "0a -> a");
}

static void upto_runs_ancestors_too(void **state)
{
    (void)state;
    assert_plan("a b:a c:b d:b e", RUN_UPTO, "c", "0a 1b:a 2c:b -> c");
    assert_plan("a b:a c:b d:b e", RUN_UPTO, "ae", "0a 0e -> ae");
}

static void from_runs_descendants_too(void **state)
{
    (void)state;
    assert_plan("a b:a c:b d:c x e:xc", RUN_FROM, "b", "0b 1c:b 2d:c 2e:c -> de");
    assert_plan("a b:a c:b", RUN_FROM, "c", "0c -> c");
}

static void nothing_to_run_is_refused(void **state)
{
    (void)state;
    assert_nothing_to_run("", RUN_FULL, "");
    assert_nothing_to_run("a b:a", RUN_SELECTION, "");
    assert_nothing_to_run("a b:a", RUN_UPTO, "");
    assert_nothing_to_run("a b:a", RUN_FROM, "");
    assert_nothing_to_run("a b:a", RUN_INCOMING, "a");
    assert_nothing_to_run("a b:a", RUN_INCOMING, "ab");
}

static void run_types_have_names(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"full", "selection", "incoming", "upto", "from"};
    struct err e;
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        enum run_type type;
        assert_int_equal(run_type_parse(NAMES[i], &type, &e), 0);
        assert_string_equal(run_type_name(type), NAMES[i]);
    }
    enum run_type type = RUN_FROM;
    assert_int_equal(run_type_parse("Full", &type, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(type, RUN_FROM);
}

/* --- order and lists --- */

static void steps_of_a_rank_keep_the_order_of_the_file(void **state)
{
    (void)state;
    assert_plan("d:ab c:a b a", RUN_FULL, "", "0b 0a 1d:ab 1c:a -> dc");
}

static void rank_is_the_longest_path(void **state)
{
    (void)state;
    assert_plan("a b:a c:b d:ac", RUN_FULL, "", "0a 1b:a 2c:b 3d:ac -> d");
    assert_plan("a b:a c:b d:ac", RUN_SELECTION, "acd", "0a 0c 1d:ac -> d");
}

static void the_order_of_connections_is_kept(void **state)
{
    (void)state;
    assert_plan("a b c d:cab", RUN_FULL, "", "0a 0b 0c 1d:cab -> d");
    assert_plan("a b c d:cab", RUN_SELECTION, "dca", "0a 0c 1d:ca -> d");
}

static void outgoing_is_the_inverse(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = pipeline_of("a b:a c:a d:cb");
    auto_plan struct plan *plan = planned(pipeline, RUN_FULL, "");
    assert_int_equal(plan->rank_count, 3);
    assert_int_equal(plan->steps[0].outgoing.count, 2);
    assert_int_equal(plan->steps[0].outgoing.at[0], 1);
    assert_int_equal(plan->steps[0].outgoing.at[1], 2);
    assert_int_equal(plan->steps[1].outgoing.at[0], 3);
    assert_int_equal(plan->steps[2].outgoing.at[0], 3);
    assert_int_equal(plan->steps[3].outgoing.count, 0);
}

/* --- the ancestor's own fixtures --- */

#define SIX "1 2:1 3:2 4:2 5:4 6"

static void ancestor_fixture_of_six_steps(void **state)
{
    (void)state;
    assert_plan(SIX, RUN_FULL, "", "01 06 12:1 23:2 24:2 35:4 -> 635");
    assert_plan(SIX, RUN_SELECTION, "246", "02 06 14:2 -> 64");
    assert_plan(SIX, RUN_INCOMING, "46", "01 12:1 -> 2");
    assert_plan(SIX, RUN_UPTO, "346", "01 06 12:1 23:2 24:2 -> 634");
    assert_plan(SIX, RUN_FROM, "2", "02 13:2 14:2 25:4 -> 35");
}

static void ancestor_fixture_file(void **state)
{
    (void)state;
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    assert_int_equal(pipeline_read(DATA, "six-steps.orchest", &pipeline, &problems, &e), 0);
    uint32_t four;
    assert_int_equal(pipeline_find_step(pipeline, "4", &four, &e), 0);
    struct plan *plan;
    assert_int_equal(plan_make(pipeline, RUN_INCOMING, &four, 1, &plan, &e), 0);
    assert_int_equal(plan->count, 2);
    assert_string_equal(pipeline->steps[plan->steps[0].step].title, "1");
    assert_string_equal(pipeline->steps[plan->steps[1].step].title, "2");
    pipeline_free(pipeline); /* a plan needs it for its words only */
    assert_int_equal(plan->steps[1].incoming.at[0], 0);
    plan_free(plan);
}

static void ancestor_orders(void **state)
{
    (void)state;
    static const struct {
        const char *edges, *plan;
    } ROWS[] = {
        {"a b:a c:a d:a", "0a 1b:a 1c:a 1d:a -> bcd"},
        {"a b:a c:a d:bc", "0a 1b:a 1c:a 2d:bc -> d"},
        {"a b:a c:b d:ac", "0a 1b:a 2c:b 3d:ac -> d"},
        {"a b:a c:b d:c e:c", "0a 1b:a 2c:b 3d:c 3e:c -> de"},
        {"a b:a c:a d:bc e", "0a 0e 1b:a 1c:a 2d:bc -> ed"},
        {"a b c d:ab e:bc f:de", "0a 0b 0c 1d:ab 1e:bc 2f:de -> f"},
        {"a b:a c:a d:bc e:b f:c g:de h:df i:gh",
         "0a 1b:a 1c:a 2d:bc 2e:b 2f:c 3g:de 3h:df 4i:gh -> i"},
        {"a b c:ab d:c e:d", "0a 0b 1c:ab 2d:c 3e:d -> e"},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++)
        assert_plan(ROWS[i].edges, RUN_FULL, "", ROWS[i].plan);
}

/* --- defects of the ancestor --- */

static void ancestor_defect_selection_does_not_run_parents(void **state)
{
    (void)state;
    assert_plan("a b:a c:b", RUN_SELECTION, "bc", "0b 1c:b -> c");
}

static void ancestor_defect_incoming_leaves_no_hole(void **state)
{
    (void)state;
    /* c keeps no connection to b, which was dropped */
    assert_plan("a b:a c:b d:c", RUN_INCOMING, "bd", "0a 0c -> ac");
}

static void ancestor_defect_incoming_keeps_all_children_on_diamonds(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = pipeline_of("a b:a c:a d:bc e:d");
    assert_plan_of(pipeline, RUN_INCOMING, "e", "0a 1b:a 1c:a 2d:bc -> d");
    auto_plan struct plan *plan = planned(pipeline, RUN_INCOMING, "e");
    assert_int_equal(plan->steps[0].outgoing.count, 2);
}

static void ancestor_defect_only_edges_with_both_ends(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = pipeline_of("a b:a c:b d:bc e:d");
    assert_plan_of(pipeline, RUN_SELECTION, "ace", "0a 0c 0e -> ace");
    assert_plan_of(pipeline, RUN_SELECTION, "bde", "0b 1d:b 2e:d -> e");
    auto_plan struct plan *plan = planned(pipeline, RUN_SELECTION, "ac");
    for (uint32_t i = 0; i < plan->count; i++)
        assert_int_equal(plan->steps[i].outgoing.count, 0);
}

static void ancestor_defect_originals_stay_as_they_are(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = pipeline_of("a b:a c:ba");
    const uint32_t *list = pipeline->steps[2].incoming.at;
    auto_plan struct plan *plan = planned(pipeline, RUN_SELECTION, "ac");
    assert_ptr_equal(pipeline->steps[2].incoming.at, list);
    assert_int_equal(pipeline->steps[2].incoming.count, 2);
    assert_int_equal(list[0], 1);
    assert_int_equal(list[1], 0);
    assert_ptr_not_equal(plan->steps[1].incoming.at, list);
    assert_plan_of(pipeline, RUN_FULL, "", "0a 1b:a 2c:ba -> c");
}

static void ancestor_defect_duplicate_edge_is_one_edge(void **state)
{
    (void)state;
    auto_pipeline struct pipeline *pipeline = pipeline_of("a b:aaa");
    assert_plan_of(pipeline, RUN_FULL, "", "0a 1b:a -> b");
    auto_plan struct plan *plan = planned(pipeline, RUN_FULL, "");
    assert_int_equal(plan->steps[0].outgoing.count, 1);
}

/* --- files and JSON --- */

static void only_files_of_planned_steps_are_checked(void **state)
{
    (void)state;
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    static const char TEXT[] = "{\"steps\":{\"a\":{\"file_path\":\"gone.py\"},"
                               "\"b\":{\"file_path\":\"test_plan.c.txt\"},"
                               "\"c\":{\"file_path\":\"pipelines/pipeline-2020\"}}}";
    assert_int_equal(pipeline_parse(str_of(TEXT), "x", &pipeline, &problems, &e), 0);
    auto_plan struct plan *plan = planned(pipeline, RUN_SELECTION, "ac");
    assert_int_equal(plan_check_files(plan, pipeline, "tests", "data", &problems, &e), 0);
    assert_int_equal(problems.total, 2);
    assert_string_equal(problems.items[0].pointer, "/steps/a/file_path");
    assert_string_equal(problems.items[1].pointer, "/steps/c/file_path");
    pipeline_free(pipeline);
}

static void a_plan_as_json(void **state)
{
    (void)state;
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    auto_buf struct buf out = {0};
    struct err e;
    static const char TEXT[] =
        "{\"steps\":{\"b\":{\"title\":\"B \\\"x\\\"\",\"file_path\":\"b.py\","
        "\"incoming_connections\":[\"a\",\"z\"]},\"a\":{},\"z\":{}}}";
    assert_int_equal(pipeline_parse(str_of(TEXT), "x", &pipeline, &problems, &e), 0);
    auto_plan struct plan *plan = planned(pipeline, RUN_SELECTION, "ab");
    plan_to_json(plan, pipeline, &out);
    assert_string_equal(
        out.data,
        "{\"run_type\":\"selection\",\"steps\":["
        "{\"step_uuid\":\"a\",\"title\":\"\",\"file_path\":\"\",\"rank\":0,"
        "\"incoming_connections\":[]},"
        "{\"step_uuid\":\"b\",\"title\":\"B \\\"x\\\"\",\"file_path\":\"b.py\",\"rank\":1,"
        "\"incoming_connections\":[\"a\"]}],\"sentinel\":{\"incoming_connections\":[\"b\"]}}");
    pipeline_free(pipeline);
}

/* --- size --- */

enum { MANY = 100000 };

/* `connections` of step i as the indices that `edge(i, j)` gives, up to a NO_EDGE. */
#define NO_EDGE UINT32_MAX
static struct pipeline *large_pipeline(uint32_t (*edge)(uint32_t step, uint32_t number))
{
    struct buf text = {0};
    buf_puts(&text, "{\"steps\":{");
    for (uint32_t i = 0; i < MANY; i++) {
        buf_printf(&text, "%s\"s%u\":{\"incoming_connections\":[", i ? "," : "", i);
        uint32_t parent;
        for (uint32_t j = 0; (parent = edge(i, j)) != NO_EDGE; j++)
            buf_printf(&text, "%s\"s%u\"", j ? "," : "", parent);
        buf_puts(&text, "]}");
    }
    buf_puts(&text, "}}");
    struct pipeline *pipeline;
    auto_problems struct problems problems = {0};
    struct err e;
    size_t len = text.len;
    if (pipeline_parse_take(buf_take(&text), len, "x", &pipeline, &problems, &e))
        fail_msg("%s", e.text);
    return pipeline;
}

static uint32_t chain(uint32_t step, uint32_t number)
{
    return step + 1 < MANY && number == 0 ? step + 1 : NO_EDGE; /* last in the file comes first */
}

static uint32_t fan(uint32_t step, uint32_t number)
{
    if (step == 0 || (step < MANY - 1 && number > 0))
        return NO_EDGE;
    if (step < MANY - 1)
        return 0;
    return number + 1 < MANY - 1 ? number + 1 : NO_EDGE; /* the last joins all */
}

static uint32_t layers(uint32_t step, uint32_t number)
{
    return step >= 20 && number < 20 ? step / 20 * 20 - 20 + number : NO_EDGE;
}

static void large_pipelines(void **state)
{
    (void)state;
    static const struct {
        uint32_t (*edge)(uint32_t step, uint32_t number);
        uint32_t ranks, leaves, upto_first, from_first;
    } ROWS[] = {
        {chain, MANY, 1, MANY, 1},
        {fan, 3, 1, 1, MANY},
        {layers, MANY / 20, 20, 1, MANY - 19},
    };
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        struct err e;
        const uint32_t first = 0;
        auto_pipeline struct pipeline *pipeline = large_pipeline(ROWS[i].edge);
        auto_plan struct plan *full = NULL, *upto = NULL, *from = NULL;
        assert_int_equal(plan_make(pipeline, RUN_FULL, NULL, 0, &full, &e), 0);
        assert_int_equal(full->count, MANY);
        assert_int_equal(full->rank_count, ROWS[i].ranks);
        assert_int_equal(full->sentinel.count, ROWS[i].leaves);
        assert_int_equal(plan_make(pipeline, RUN_UPTO, &first, 1, &upto, &e), 0);
        assert_int_equal(upto->count, ROWS[i].upto_first);
        assert_int_equal(plan_make(pipeline, RUN_FROM, &first, 1, &from, &e), 0);
        assert_int_equal(from->count, ROWS[i].from_first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_runs_everything),
        cmocka_unit_test(selection_runs_exactly_the_selected),
        cmocka_unit_test(incoming_runs_proper_ancestors),
        cmocka_unit_test(upto_runs_ancestors_too),
        cmocka_unit_test(from_runs_descendants_too),
        cmocka_unit_test(nothing_to_run_is_refused),
        cmocka_unit_test(run_types_have_names),
        cmocka_unit_test(steps_of_a_rank_keep_the_order_of_the_file),
        cmocka_unit_test(rank_is_the_longest_path),
        cmocka_unit_test(the_order_of_connections_is_kept),
        cmocka_unit_test(outgoing_is_the_inverse),
        cmocka_unit_test(ancestor_fixture_of_six_steps),
        cmocka_unit_test(ancestor_fixture_file),
        cmocka_unit_test(ancestor_orders),
        cmocka_unit_test(ancestor_defect_selection_does_not_run_parents),
        cmocka_unit_test(ancestor_defect_incoming_leaves_no_hole),
        cmocka_unit_test(ancestor_defect_incoming_keeps_all_children_on_diamonds),
        cmocka_unit_test(ancestor_defect_only_edges_with_both_ends),
        cmocka_unit_test(ancestor_defect_originals_stay_as_they_are),
        cmocka_unit_test(ancestor_defect_duplicate_edge_is_one_edge),
        cmocka_unit_test(only_files_of_planned_steps_are_checked),
        cmocka_unit_test(a_plan_as_json),
        cmocka_unit_test(large_pipelines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
