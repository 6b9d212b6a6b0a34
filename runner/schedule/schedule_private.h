/* schedule_private: what a schedule is made of, for the files that implement it. */
#ifndef SEGUE_RUNNER_SCHEDULE_PRIVATE_H
#define SEGUE_RUNNER_SCHEDULE_PRIVATE_H

#include "runner/schedule/cron.h"
#include "runner/schedule/schedule.h"
#include "runner/schedule/zone.h"

struct schedule {
    enum schedule_kind kind;
    enum schedule_catch_up catch_up;
    enum schedule_overlap overlap;
    uint32_t catch_up_limit;
    uint32_t jitter_s;
    int64_t at_us; /* SCHEDULE_AT */
    char *line;    /* SCHEDULE_CRON: as it was written */
    struct cron cron;
    struct zone *zone;
};

#endif
