#include "runner/plan/graph.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Node i's list is lists[i], digits up to the end of the text; "" for none. */
static struct graph graph_of(const char *const *lists)
{
    struct graph graph = {.starts = mem_array(64, sizeof(uint32_t)),
                          .edges = mem_array(64, sizeof(uint32_t))};
    uint32_t edges = 0;
    for (; lists[graph.count]; graph.count++) {
        graph.starts[graph.count] = edges;
        for (const char *p = lists[graph.count]; *p; p++)
            graph.edges[edges++] = (uint32_t)(*p - '0');
    }
    graph.starts[graph.count] = edges;
    return graph;
}

#define GRAPH(...) graph_of((const char *const[]){__VA_ARGS__, NULL})

static void assert_list(const struct graph *graph, uint32_t node, const char *expected)
{
    struct step_list list = graph_list(graph, node);
    assert_int_equal(list.count, strlen(expected));
    for (uint32_t i = 0; i < list.count; i++)
        assert_int_equal(list.at[i], expected[i] - '0');
}

static void the_inverse_has_the_same_edges(void **state)
{
    (void)state;
    auto_graph struct graph graph = GRAPH("", "0", "10", "2", "");
    auto_graph struct graph inverse = graph_inverse(&graph);
    assert_list(&inverse, 0, "12");
    assert_list(&inverse, 1, "2");
    assert_list(&inverse, 2, "3");
    assert_list(&inverse, 3, "");
    assert_list(&inverse, 4, "");
}

static void an_empty_graph_is_a_graph(void **state)
{
    (void)state;
    auto_graph struct graph graph = graph_of((const char *const[]){NULL});
    auto_graph struct graph inverse = graph_inverse(&graph);
    uint32_t rank;
    uint8_t mark;
    assert_int_equal(inverse.count, 0);
    assert_int_equal(graph_ranks(&graph, &inverse, &rank), 0);
    graph_reach(&graph, &mark);
}

static void ranks_are_longest_paths(void **state)
{
    (void)state;
    auto_graph struct graph graph = GRAPH("3", "", "1", "12", "13");
    auto_graph struct graph inverse = graph_inverse(&graph);
    uint32_t ranks[5];
    static const uint32_t EXPECTED[] = {3, 0, 1, 2, 3};
    assert_int_equal(graph_ranks(&graph, &inverse, ranks), 5);
    assert_memory_equal(ranks, EXPECTED, sizeof ranks);
}

static void on_and_behind_a_cycle_is_no_rank(void **state)
{
    (void)state;
    auto_graph struct graph graph = GRAPH("", "02", "1", "2", "0");
    auto_graph struct graph inverse = graph_inverse(&graph);
    uint32_t ranks[5];
    static const uint32_t EXPECTED[] = {0, GRAPH_NO_RANK, GRAPH_NO_RANK, GRAPH_NO_RANK, 1};
    assert_int_equal(graph_ranks(&graph, &inverse, ranks), 2);
    assert_memory_equal(ranks, EXPECTED, sizeof ranks);
}

static void reach_follows_the_lists(void **state)
{
    (void)state;
    auto_graph struct graph graph = GRAPH("", "0", "10", "", "3", "4");
    uint8_t marks[6] = {0, 0, 1, 0, 1, 0};
    static const uint8_t EXPECTED[] = {1, 1, 1, 1, 1, 0};
    graph_reach(&graph, marks);
    assert_memory_equal(marks, EXPECTED, sizeof marks);
}

static void cycles_are_found_one_by_one(void **state)
{
    (void)state;
    /* 2 -> 0 -> 3 -> 2 with 1 behind it; 4 -> 5 -> 4; 6 alone with itself; 7 free */
    auto_graph struct graph graph = GRAPH("2", "70", "3", "0", "15", "4", "6", "");
    auto_graph struct graph inverse = graph_inverse(&graph);
    uint32_t ranks[8];
    assert_int_equal(graph_ranks(&graph, &inverse, ranks), 1);
    struct cycle_search search = cycle_search_start(&graph, ranks);
    assert_int_equal(cycle_search_next(&search), 3);
    static const uint32_t FIRST[] = {0, 3, 2}; /* each waits for the one before */
    assert_memory_equal(search.path, FIRST, sizeof FIRST);
    assert_int_equal(cycle_search_next(&search), 1);
    assert_int_equal(search.path[0], 6);
    assert_int_equal(cycle_search_next(&search), 0);
    assert_int_equal(cycle_search_next(&search), 0);
    cycle_search_clear(&search);
}

static void a_graph_without_cycles_has_none(void **state)
{
    (void)state;
    auto_graph struct graph graph = GRAPH("", "0", "1");
    auto_graph struct graph inverse = graph_inverse(&graph);
    uint32_t ranks[3];
    assert_int_equal(graph_ranks(&graph, &inverse, ranks), 3);
    struct cycle_search search = cycle_search_start(&graph, ranks);
    assert_int_equal(cycle_search_next(&search), 0);
    cycle_search_clear(&search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inverse_has_the_same_edges),
        cmocka_unit_test(an_empty_graph_is_a_graph),
        cmocka_unit_test(ranks_are_longest_paths),
        cmocka_unit_test(on_and_behind_a_cycle_is_no_rank),
        cmocka_unit_test(reach_follows_the_lists),
        cmocka_unit_test(cycles_are_found_one_by_one),
        cmocka_unit_test(a_graph_without_cycles_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
