/* Submissions of definitions in the test's text, in a project on disk. Included by tests. */
#include "base/mem.h"
#include "runner/engine/submission.h"

/* As submission_make; ' for " in the definition. `wish` says what else the request has; its
 * project's pipeline lies in `pipeline_dir` of `dir`. */
static inline int submission_try(const char *dir, const char *pipeline_dir, const char *definition,
                                 struct request wish, struct submission **ret_submission,
                                 struct err *e)
{
    auto_problems struct problems problems = {0};
    auto_free char *text = mem_strdup(definition);
    auto_free char *path = mem_printf("%s/p.orchest", pipeline_dir);
    struct project project = {(char *)dir, path, (char *)pipeline_dir};

    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    wish.project = &project;
    wish.definition = str_of(text);
    return submission_make(&wish, ret_submission, &problems, e);
}

static inline struct submission *submission_of(const char *dir, const char *definition,
                                               struct request wish)
{
    struct submission *submission = NULL;
    struct err e;

    if (submission_try(dir, ".", definition, wish, &submission, &e) < 0)
        fail_msg("%s", e.text);
    return submission;
}
