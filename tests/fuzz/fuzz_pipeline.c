/* Any bytes as a definition: what is refused has problems with places; what is accepted can be
 * planned in every way, and the plan is what it promises to be.
 */
#include "base/limits.h"
#include "runner/plan/plan.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static void check_plan(const struct pipeline *pipeline, enum run_type type, uint32_t selected)
{
    auto_plan struct plan *plan = NULL;
    auto_buf struct buf out = {0};
    auto_json struct json doc = {0};
    struct err e;
    if (plan_make(pipeline, type, &selected, type == RUN_FULL ? 0 : 1, &plan, &e))
        return;
    uint32_t edges = 0, back = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_step *step = &plan->steps[i];
        edges += step->incoming.count;
        back += step->outgoing.count;
        for (uint32_t j = 0; j < step->incoming.count; j++)
            require(plan->steps[step->incoming.at[j]].rank < step->rank, "parents come first");
    }
    require(edges == back, "outgoing is the inverse of incoming");
    plan_to_json(plan, pipeline, &out);
    require(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, &e) == 0,
            "a plan is JSON");
}

static void check_pipeline(const struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->step_count; i++) {
        const struct pipeline_step *step = &pipeline->steps[i];
        uint32_t found;
        struct err e;
        require(pipeline_index(pipeline, str_of(step->uuid)) == i, "a uuid leads to its step");
        require(pipeline_find_step(pipeline, step->uuid, &found, &e) == 0 && found == i,
                "a uuid is what is meant");
        if (pipeline_find_step(pipeline, step->title, &found, &e))
            require(e.text[0] != 0, "a refusal says why");
    }
    check_plan(pipeline, RUN_FULL, 0);
    if (pipeline->step_count == 0)
        return;
    uint32_t middle = pipeline->step_count / 2;
    check_plan(pipeline, RUN_SELECTION, middle);
    check_plan(pipeline, RUN_INCOMING, middle);
    check_plan(pipeline, RUN_UPTO, middle);
    check_plan(pipeline, RUN_FROM, middle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_pipeline struct pipeline *pipeline = NULL;
    auto_problems struct problems problems = {0};
    struct err e;
    if (pipeline_parse((struct str){(const char *)data, size}, "origin", &pipeline, &problems,
                       &e) == 0) {
        require(problems.total == 0, "what is accepted has no problems");
        check_pipeline(pipeline);
        return 0;
    }
    require(problems.count > 0 && problems.count <= LIMIT_PROBLEMS, "a refusal has problems");
    require(problems.items[0].line > 0 && problems.items[0].detail[0], "a problem has a place");
    return 0;
}
