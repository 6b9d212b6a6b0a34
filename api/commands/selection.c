#include "api/commands/selection.h"

#include "base/mem.h"

static const struct kind {
    enum run_type run_type;
    const char *option;
} KINDS[] = {
    [SELECTION_ONLY - SELECTION_ONLY] = {RUN_SELECTION, "--only"},
    [SELECTION_UPTO - SELECTION_ONLY] = {RUN_UPTO, "--upto"},
    [SELECTION_FROM - SELECTION_ONLY] = {RUN_FROM, "--from"},
    [SELECTION_INCOMING - SELECTION_ONLY] = {RUN_INCOMING, "--incoming"},
};

static const char *option_of(enum run_type run_type)
{
    size_t i = 0;
    while (KINDS[i].run_type != run_type)
        i++;
    return KINDS[i].option;
}

void selection_clear(struct selection *selection)
{
    free(selection->steps);
    *selection = (struct selection){0};
}

int selection_add(struct selection *selection, int option, const char *step, struct err *e)
{
    const struct kind *kind = &KINDS[option - SELECTION_ONLY];
    if (selection->count > 0 && selection->run_type != kind->run_type)
        return err_set(e, ERR_INVALID, "%s and %s cannot be used together",
                       option_of(selection->run_type), kind->option);
    selection->run_type = kind->run_type;
    mem_grow(selection->steps, selection->count, selection->capacity);
    selection->steps[selection->count++] = step;
    return 0;
}

int selection_resolve(const struct selection *selection, const struct pipeline *pipeline,
                      uint32_t **ret_steps, struct err *e)
{
    auto_free uint32_t *steps = mem_array(selection->count, sizeof *steps);
    for (uint32_t i = 0; i < selection->count; i++) {
        if (pipeline_find_step(pipeline, selection->steps[i], &steps[i], e))
            return err_prefix(e, "%s", option_of(selection->run_type));
    }
    *ret_steps = take_ptr(&steps);
    return 0;
}

int selection_plan(const struct selection *selection, const struct pipeline *pipeline,
                   struct plan **ret_plan, struct err *e)
{
    auto_free uint32_t *steps = NULL;
    if (selection_resolve(selection, pipeline, &steps, e))
        return -1;
    return plan_make(pipeline, selection->run_type, steps, selection->count, ret_plan, e);
}
