/* made_plan: a plan made by hand from a list of edges, for tests of what works on plans. Included
 * by them. */
#include "base/mem.h"
#include "runner/plan/plan.h"

#include <assert.h>

struct edge {
    uint32_t parent; /* the lower index */
    uint32_t child;
};

struct made_plan {
    struct plan plan;
    struct pipeline pipeline;
    struct pipeline_step *definitions; /* the pipeline's steps, to be changed at will */
    struct plan_step *steps;
    uint32_t *lists;
};

static struct made_plan made_plan_of(uint32_t count, const struct edge *edges, uint32_t edge_count)
{
    struct made_plan m = {.definitions = mem_array(count, sizeof *m.definitions),
                          .steps = mem_array(count, sizeof *m.steps),
                          .lists = mem_array(2 * (size_t)edge_count + count, sizeof *m.lists)};
    for (uint32_t i = 0; i < edge_count; i++) {
        assert(edges[i].parent < edges[i].child && edges[i].child < count);
        m.steps[edges[i].child].incoming.count++;
        m.steps[edges[i].parent].outgoing.count++;
    }
    uint32_t *at = m.lists;
    for (uint32_t i = 0; i < count; i++) {
        m.steps[i].step = i;
        m.steps[i].incoming.at = at;
        at += m.steps[i].incoming.count;
        m.steps[i].outgoing.at = at;
        at += m.steps[i].outgoing.count;
        m.steps[i].incoming.count = m.steps[i].outgoing.count = 0;
    }
    for (uint32_t i = 0; i < edge_count; i++) {
        struct step_list *in = &m.steps[edges[i].child].incoming;
        struct step_list *out = &m.steps[edges[i].parent].outgoing;
        ((uint32_t *)in->at)[in->count++] = edges[i].parent;
        ((uint32_t *)out->at)[out->count++] = edges[i].child;
    }
    m.plan = (struct plan){.steps = m.steps, .count = count, .sentinel = {.at = at}};
    for (uint32_t i = 0; i < count; i++)
        if (m.steps[i].outgoing.count == 0)
            at[m.plan.sentinel.count++] = i;
    m.pipeline = (struct pipeline){.steps = m.definitions, .step_count = count};
    return m;
}

static void made_plan_clear(struct made_plan *m)
{
    free(m->definitions);
    free(m->steps);
    free(m->lists);
}
