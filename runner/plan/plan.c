#include "runner/plan/plan.h"

#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>

/* The steps that are left, as a graph of their own: node i is step `steps[i]` of the pipeline; in
 * the order of the file. */
struct kept {
    uint32_t count;
    uint32_t *steps;
    struct graph incoming;
    struct graph outgoing;
};

struct plan_memory {
    struct plan plan;
    struct plan_step *steps;
    struct graph incoming; /* in the order of the plan */
    struct graph outgoing;
    uint32_t *sentinel;
};

static void kept_clear(struct kept *kept)
{
    free(kept->steps);
    graph_clear(&kept->incoming);
    graph_clear(&kept->outgoing);
}

const char *run_type_name(enum run_type type)
{
    static const char *const NAMES[] = {
#define X(type, name) [type] = name,
        RUN_TYPES(X)
#undef X
    };
    return NAMES[type];
}

int run_type_parse(const char *name, enum run_type *ret_type, struct err *e)
{
#define X(type, text)                                                                              \
    if (strcmp(name, text) == 0) {                                                                 \
        *ret_type = type;                                                                          \
        return 0;                                                                                  \
    }
    RUN_TYPES(X)
#undef X
    return err_set(e, ERR_INVALID,
                   "unknown run type \"%s\"; known are full, selection, incoming, upto and from",
                   name);
}

/* --- which steps --- */

/* Marks what the run type makes of the selected steps, which are marked. */
static void mark_kept(const struct pipeline *pipeline, enum run_type type, const uint32_t *selected,
                      uint32_t selected_count, uint8_t *marks)
{
    switch (type) {
    case RUN_FULL:
        memset(marks, 1, pipeline->step_count);
        return;
    case RUN_SELECTION:
        return;
    case RUN_UPTO:
        graph_reach(&pipeline->incoming, marks);
        return;
    case RUN_INCOMING:
        graph_reach(&pipeline->incoming, marks);
        for (uint32_t i = 0; i < selected_count; i++)
            marks[selected[i]] = 0; /* also one that is an ancestor of another */
        return;
    case RUN_FROM: {
        auto_graph struct graph outgoing = graph_inverse(&pipeline->incoming);
        graph_reach(&outgoing, marks);
        return;
    }
    }
}

/* --- the induced subgraph --- */

#define NOT_KEPT UINT32_MAX

/* Numbers the marked steps; *ret_node_of gives a step's number, or NOT_KEPT. */
static void number_steps(struct kept *kept, const uint8_t *marks, uint32_t step_count,
                         uint32_t **ret_node_of)
{
    uint32_t *node_of = mem_array(step_count, sizeof *node_of);
    kept->steps = mem_array(step_count, sizeof *kept->steps);
    for (uint32_t step = 0; step < step_count; step++) {
        node_of[step] = marks[step] ? kept->count : NOT_KEPT;
        if (marks[step])
            kept->steps[kept->count++] = step;
    }
    *ret_node_of = node_of;
}

/* A connection stays when both its ends do. */
static void induce(struct kept *kept, const struct pipeline *pipeline, const uint32_t *node_of)
{
    struct graph *graph = &kept->incoming;
    uint32_t edges = 0;
    for (uint32_t node = 0; node < kept->count; node++)
        edges += pipeline->steps[kept->steps[node]].incoming.count;
    graph->count = kept->count;
    graph->starts = mem_array(kept->count + 1ul, sizeof *graph->starts);
    graph->edges = mem_array(edges, sizeof *graph->edges);
    edges = 0;
    for (uint32_t node = 0; node < kept->count; node++) {
        struct step_list all = pipeline->steps[kept->steps[node]].incoming;
        graph->starts[node] = edges;
        for (uint32_t i = 0; i < all.count; i++) {
            if (node_of[all.at[i]] != NOT_KEPT)
                graph->edges[edges++] = node_of[all.at[i]];
        }
    }
    graph->starts[kept->count] = edges;
    kept->outgoing = graph_inverse(graph);
}

static void find_kept(struct kept *kept, const struct pipeline *pipeline, const uint8_t *marks)
{
    uint32_t *node_of;
    number_steps(kept, marks, pipeline->step_count, &node_of);
    induce(kept, pipeline, node_of);
    free(node_of);
}

/* --- the order --- */

/* Nodes by rank, those of one rank as they are: order[position] = node. */
static uint32_t sort_by_rank(const uint32_t *ranks, uint32_t count, uint32_t *order)
{
    uint32_t rank_count = 0;
    for (uint32_t node = 0; node < count; node++)
        rank_count = ranks[node] >= rank_count ? ranks[node] + 1 : rank_count;
    auto_free uint32_t *starts = mem_array(rank_count + 1ul, sizeof *starts);
    for (uint32_t node = 0; node < count; node++)
        starts[ranks[node] + 1]++;
    for (uint32_t rank = 0; rank < rank_count; rank++)
        starts[rank + 1] += starts[rank];
    for (uint32_t node = 0; node < count; node++)
        order[starts[ranks[node]]++] = node;
    return rank_count;
}

/* The same graph with every node renamed to its position in `order`. */
static struct graph renamed(const struct graph *graph, const uint32_t *order)
{
    uint32_t count = graph->count, edges = 0;
    struct graph result = {
        .count = count,
        .starts = mem_array(count + 1ul, sizeof(uint32_t)),
        .edges = mem_array(graph->starts[count], sizeof(uint32_t)),
    };
    auto_free uint32_t *position = mem_array(count, sizeof *position);
    for (uint32_t i = 0; i < count; i++)
        position[order[i]] = i;
    for (uint32_t i = 0; i < count; i++) {
        struct step_list list = graph_list(graph, order[i]);
        result.starts[i] = edges;
        for (uint32_t j = 0; j < list.count; j++)
            result.edges[edges++] = position[list.at[j]];
    }
    result.starts[count] = edges;
    return result;
}

static void fill_steps(struct plan_memory *memory, const struct kept *kept, const uint32_t *order,
                       const uint32_t *ranks)
{
    struct plan *plan = &memory->plan;
    uint32_t leaves = 0;
    memory->steps = mem_array(kept->count, sizeof *memory->steps);
    memory->sentinel = mem_array(kept->count, sizeof *memory->sentinel);
    for (uint32_t i = 0; i < kept->count; i++) {
        memory->steps[i] = (struct plan_step){
            .step = kept->steps[order[i]],
            .rank = ranks[order[i]],
            .incoming = graph_list(&memory->incoming, i),
            .outgoing = graph_list(&memory->outgoing, i),
        };
        if (memory->steps[i].outgoing.count == 0)
            memory->sentinel[leaves++] = i;
    }
    plan->steps = memory->steps;
    plan->count = kept->count;
    plan->sentinel = (struct step_list){memory->sentinel, leaves};
}

static void put_in_order(struct plan_memory *memory, const struct kept *kept)
{
    auto_free uint32_t *ranks = mem_array(kept->count, sizeof *ranks);
    auto_free uint32_t *order = mem_array(kept->count, sizeof *order);
    uint32_t ranked = graph_ranks(&kept->incoming, &kept->outgoing, ranks);
    assert(ranked == kept->count); /* a pipeline has no cycle */
    memory->plan.rank_count = sort_by_rank(ranks, kept->count, order);
    memory->incoming = renamed(&kept->incoming, order);
    memory->outgoing = graph_inverse(&memory->incoming);
    fill_steps(memory, kept, order, ranks);
}

int plan_make(const struct pipeline *pipeline, enum run_type type, const uint32_t *selected,
              uint32_t selected_count, struct plan **ret_plan, struct err *e)
{
    auto_free uint8_t *marks = mem_array(pipeline->step_count, sizeof *marks);
    for (uint32_t i = 0; i < selected_count && type != RUN_FULL; i++) {
        assert(selected[i] < pipeline->step_count);
        marks[selected[i]] = 1;
    }
    mark_kept(pipeline, type, selected, selected_count, marks);
    if (!memchr(marks, 1, pipeline->step_count))
        return err_set(e, ERR_INVALID, "nothing to run: no step is left");
    __attribute__((cleanup(kept_clear))) struct kept kept = {0};
    find_kept(&kept, pipeline, marks);
    struct plan_memory *memory = mem_zalloc(sizeof *memory);
    memory->plan.run_type = type;
    put_in_order(memory, &kept);
    *ret_plan = &memory->plan;
    return 0;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    struct plan_memory *memory = (struct plan_memory *)plan; /* its first member */
    free(memory->steps);
    free(memory->sentinel);
    graph_clear(&memory->incoming);
    graph_clear(&memory->outgoing);
    free(memory);
}

/* --- what it is for --- */

int plan_check_files(const struct plan *plan, const struct pipeline *pipeline,
                     const char *project_dir, const char *pipeline_dir, struct problems *problems,
                     struct err *e)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (pipeline_check_step(pipeline, plan->steps[i].step, project_dir, pipeline_dir, problems,
                                e) < 0)
            return -1;
    return 0;
}

/* ["uuid", ...] of positions in the plan. */
static void put_uuids(struct buf *out, const struct plan *plan, const struct pipeline *pipeline,
                      struct step_list list)
{
    buf_putc(out, '[');
    for (uint32_t i = 0; i < list.count; i++) {
        if (i > 0)
            buf_putc(out, ',');
        json_put_text(out, pipeline->steps[plan->steps[list.at[i]].step].uuid);
    }
    buf_putc(out, ']');
}

void plan_to_json(const struct plan *plan, const struct pipeline *pipeline, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member(out, "run_type", run_type_name(plan->run_type));
    json_put_key(out, "steps");
    buf_putc(out, '[');
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct pipeline_step *step = &pipeline->steps[plan->steps[i].step];
        if (i > 0)
            buf_putc(out, ',');
        buf_putc(out, '{');
        json_put_member(out, "step_uuid", step->uuid);
        json_put_member(out, "title", step->title);
        json_put_member(out, "file_path", step->file_path);
        json_put_member_int(out, "rank", plan->steps[i].rank);
        json_put_key(out, "incoming_connections");
        put_uuids(out, plan, pipeline, plan->steps[i].incoming);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
    json_put_key(out, "sentinel");
    buf_putc(out, '{');
    json_put_key(out, "incoming_connections");
    put_uuids(out, plan, pipeline, plan->sentinel);
    buf_puts(out, "}}");
}
