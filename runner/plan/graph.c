#include "runner/plan/graph.h"

#include "base/mem.h"

#include <stddef.h>
#include <string.h>

void graph_clear(struct graph *graph)
{
    free(graph->starts);
    free(graph->edges);
    *graph = (struct graph){0};
}

struct step_list graph_list(const struct graph *graph, uint32_t node)
{
    uint32_t start = graph->starts[node];
    return (struct step_list){graph->edges + start, graph->starts[node + 1] - start};
}

struct graph graph_inverse(const struct graph *graph)
{
    uint32_t count = graph->count, edge_count = graph->starts[count];
    struct graph inverse = {
        .count = count,
        .starts = mem_array(count + 2ul, sizeof(uint32_t)),
        .edges = mem_array(edge_count + 1ul, sizeof(uint32_t)),
    };
    /* One place further than where they end up: filling the lists moves each start by its list. */
    uint32_t *starts = inverse.starts + 1;
    for (uint32_t i = 0; i < edge_count; i++)
        starts[graph->edges[i] + 1]++;
    for (uint32_t i = 0; i < count; i++)
        starts[i + 1] += starts[i];
    for (uint32_t node = 0; node < count; node++) {
        struct step_list list = graph_list(graph, node);
        for (uint32_t i = 0; i < list.count; i++)
            inverse.edges[starts[list.at[i]]++] = node;
    }
    return inverse;
}

uint32_t graph_ranks(const struct graph *incoming, const struct graph *outgoing, uint32_t *ranks)
{
    uint32_t count = incoming->count, head = 0, tail = 0;
    auto_free uint32_t *missing = mem_array(count, sizeof *missing); /* parents without a rank */
    auto_free uint32_t *queue = mem_array(count, sizeof *queue);
    for (uint32_t node = 0; node < count; node++) {
        missing[node] = graph_list(incoming, node).count;
        ranks[node] = missing[node] ? GRAPH_NO_RANK : 0;
        if (missing[node] == 0)
            queue[tail++] = node;
    }
    /* The queue is ordered by rank, so the last parent that arrives is one of the highest. */
    while (head < tail) {
        uint32_t parent = queue[head++];
        struct step_list children = graph_list(outgoing, parent);
        for (uint32_t i = 0; i < children.count; i++) {
            uint32_t child = children.at[i];
            if (--missing[child] == 0) {
                ranks[child] = ranks[parent] + 1;
                queue[tail++] = child;
            }
        }
    }
    return tail;
}

void graph_reach(const struct graph *graph, uint8_t *marks)
{
    uint32_t count = 0;
    auto_free uint32_t *stack = mem_array(graph->count, sizeof *stack);
    for (uint32_t node = 0; node < graph->count; node++) {
        if (marks[node])
            stack[count++] = node;
    }
    while (count > 0) {
        struct step_list list = graph_list(graph, stack[--count]);
        for (uint32_t i = 0; i < list.count; i++) {
            if (marks[list.at[i]])
                continue;
            marks[list.at[i]] = 1;
            stack[count++] = list.at[i];
        }
    }
}

struct cycle_search cycle_search_start(const struct graph *incoming, const uint32_t *ranks)
{
    return (struct cycle_search){
        .incoming = incoming,
        .ranks = ranks,
        .walks = mem_array(incoming->count, sizeof(uint32_t)),
        .path = mem_array(incoming->count, sizeof(uint32_t)),
    };
}

/* A node without a rank has at least one parent without one. */
static uint32_t parent_without_rank(const struct cycle_search *search, uint32_t node)
{
    struct step_list parents = graph_list(search->incoming, node);
    uint32_t i = 0;
    while (search->ranks[parents.at[i]] != GRAPH_NO_RANK)
        i++;
    return parents.at[i];
}

/* The cycle through `node`, found by going from child to parent, written from parent to child and
 * from its lowest node on. */
static uint32_t collect_cycle(struct cycle_search *search, uint32_t node)
{
    uint32_t lowest = node, length = 0;
    for (uint32_t at = parent_without_rank(search, node); at != node;
         at = parent_without_rank(search, at))
        lowest = at < lowest ? at : lowest;
    uint32_t at = lowest;
    do {
        search->path[length++] = at;
        at = parent_without_rank(search, at);
    } while (at != lowest);
    for (uint32_t i = 1, j = length - 1; i < j; i++, j--) {
        uint32_t swapped = search->path[i];
        search->path[i] = search->path[j];
        search->path[j] = swapped;
    }
    return length;
}

uint32_t cycle_search_next(struct cycle_search *search)
{
    while (search->node < search->incoming->count) {
        uint32_t walk = ++search->node, node = walk - 1;
        if (search->ranks[node] != GRAPH_NO_RANK || search->walks[node])
            continue;
        while (!search->walks[node]) {
            search->walks[node] = walk;
            node = parent_without_rank(search, node);
        }
        if (search->walks[node] == walk) /* else it ran into a cycle found before */
            return collect_cycle(search, node);
    }
    return 0;
}

void cycle_search_clear(struct cycle_search *search)
{
    free(search->walks);
    free(search->path);
    *search = (struct cycle_search){0};
}
