/* graph: nodes that are numbers, and for each the list of those that it is connected to.
 *
 * What pipelines and plans have in common: turning connections around, ranks, closures, cycles.
 * Each function is linear in nodes and edges, and none recurses. A graph owns its two arrays and is
 * not changed once it was built; any thread may read it. It knows nothing of steps.
 */
#ifndef SEGUE_RUNNER_GRAPH_H
#define SEGUE_RUNNER_GRAPH_H

#include <stdint.h>

struct graph {
    uint32_t count;   /* nodes */
    uint32_t *starts; /* count + 1: the list of node i is edges[starts[i]] to edges[starts[i+1]] */
    uint32_t *edges;
};

/* Indices, borrowed from what they are found in. */
struct step_list {
    const uint32_t *at;
    uint32_t count;
};

void graph_clear(struct graph *graph); /* an all-zero graph is cleared already */
#define auto_graph __attribute__((cleanup(graph_clear)))

struct step_list graph_list(const struct graph *graph, uint32_t node);

/* The same edges seen from their other ends; every list ascending. Free with graph_clear. */
struct graph graph_inverse(const struct graph *graph);

/* The longest path that leads to each node, in edges; `outgoing` is the inverse of `incoming`.
 * Gives how many nodes got a rank: fewer than all when there is a cycle, and GRAPH_NO_RANK for
 * those on one or behind one. */
#define GRAPH_NO_RANK UINT32_MAX
uint32_t graph_ranks(const struct graph *incoming, const struct graph *outgoing, uint32_t *ranks);

/* Marks (1) the nodes with mark 1 and all that can be reached from them. */
void graph_reach(const struct graph *graph, uint8_t *marks);

/* A search for cycles among the nodes without a rank; finds one per call, each disjoint from those
 * before. At least one if there is any, not always all. */
struct cycle_search {
    const struct graph *incoming;
    const uint32_t *ranks;
    uint32_t *walks; /* which walk has visited a node; 0: none has */
    uint32_t
        *path;     /* the cycle found last: each waits for the one before, the first for the last */
    uint32_t node; /* where the next walk starts */
};

struct cycle_search cycle_search_start(const struct graph *incoming, const uint32_t *ranks);
uint32_t cycle_search_next(struct cycle_search *search); /* length of `path`; 0: no more */
void cycle_search_clear(struct cycle_search *search);

#endif
