/* step_news: what the keeper of a step tells whoever listens (keeper.h): how long its journal is by
 * now, and of a notebook how its kernel does. As JSON, one packet:
 *
 *     {"journal": 4711}
 *     {"journal": 4711, "kernel": {"name": "python3", "is_kept": false, "news": kernel_news.h}}
 *
 * A value.
 */
#ifndef SEGUE_RUNNER_STEP_NEWS_H
#define SEGUE_RUNNER_STEP_NEWS_H

#include "kernel-gateway/interactive/kernel_news.h"

#include <stdbool.h>

struct step_news {
    uint64_t journal_size; /* bytes of whole lines */
    bool has_kernel;
    char kernel_name[100]; /* of the kernelspec; "": not known yet */
    bool is_kept;          /* the step has failed, and its kernel was kept to be looked at */
    struct kernel_news kernel;
};

void step_news_encode(const struct step_news *news, struct buf *out);
int step_news_parse(struct step_news *news, struct str text, struct err *e); /* ERR_INVALID */

#endif
