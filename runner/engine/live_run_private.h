/* live_run_private: what the files of a live run share.
 *
 *   live_run.c          opening and closing, and the one door for events (live_record)
 *   live_run_read.c     what the journals say becomes events
 *   live_run_act.c      what follows is decided, and done
 */
#ifndef SEGUE_RUNNER_LIVE_RUN_PRIVATE_H
#define SEGUE_RUNNER_LIVE_RUN_PRIVATE_H

#include "runner/engine/executed.h"
#include "runner/engine/live_run.h"
#include "runner/engine/run_dir.h"

/* An attempt that was started, and whose keeper is neither known to be gone nor let go of. */
struct live_attempt {
    struct live_run *live;
    struct attempt *attempt;
    uint32_t step, number;
    char mark[11];
    char *directory;
    enum launcher_kind launcher;
    bool has_news;
    bool has_ended; /* the journal's last line was read */
    bool is_kept;   /* and says that the keeper stays with the kernel: nobody waits for that */
    struct live_attempt *next;
};

/* What the store's row of a step needs beside the run's state. */
struct live_step {
    uint32_t cells_total, cells_done;
    msec started, finished;
    char *failure; /* JSON or NULL */
};

/* An attempt that could not even be started; becomes an event at the next turn. */
struct failed_start {
    uint32_t step;
    enum cause cause;
    char *message;
    bool is_final; /* it was found out when the run was frozen: no other attempt does better */
    struct failed_start *next;
};

struct live_run {
    const struct live_world *world;
    struct submission *submission;
    struct run *run;
    int64_t id; /* in the store */
    struct run_dir dir;
    struct executed *executed;
    struct live_step *steps;
    struct live_attempt *attempts;
    struct failed_start *failed;
    int turn_fd;      /* see live_run_take_turn */
    bool is_prepared; /* its directory is there */
    msec queued, started, finished;
    /* Decided and not yet done. */
    struct live_attempt **to_start;
    uint32_t start_count, start_capacity;
    struct run_event *to_stop;
    uint32_t stop_count, stop_capacity;
};

const char *live_step_uuid(const struct live_run *live, uint32_t step); /* NULL: STEP_NONE */
struct notice_subject live_subject(const struct live_run *live, uint32_t step);

/* The one door for what changes the run: into its state, into the store, into the notices.
 * `failure` is a JSON object or none. */
int live_record(struct live_run *live, const struct run_event *event, struct str failure,
                struct err *e);

/* The row of the notebooks that are written in place is brought up to date. */
int live_save_sources(struct live_run *live, struct err *e);

/* An attempt that is to be started, or was; `number` is that of the step's state. */
struct live_attempt *live_attempt_new(struct live_run *live, uint32_t step, const char *mark);
void live_add_start(struct live_run *live, struct live_attempt *take_attempt);

/* A failure as events carry it. */
void live_put_failure(struct buf *out, enum cause cause, const char *message);

void live_attempt_free(struct live_attempt *attempt);

#endif
