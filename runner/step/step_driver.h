/* step_driver: what a step has in hand while it runs, and what each kind of step does with it.
 *
 * Shared by step.c and the drivers beside it, by nobody else. One thread.
 */
#ifndef SEGUE_RUNNER_STEP_DRIVER_H
#define SEGUE_RUNNER_STEP_DRIVER_H

#include "base/loop.h"
#include "kernel-gateway/keeper/journal.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/kernel.h"
#include "runner/status.h"
#include "runner/step/step_news.h"
#include "runner/step/step_place.h"
#include "runner/step/task.h"

/* Why a step failed, as it stands in the journal. */
struct step_failure {
    enum cause cause;
    int64_t cell_index; /* -1: no cell */
    char message[600];
    struct buf ename, evalue; /* of the error that a cell raised; empty: none */
};

struct step;

struct step_driver {
    /* Starts the work; the driver's own state goes into step->work. Errors end the step. */
    int (*start)(struct step *step, struct err *e, enum cause *ret_cause);
    /* Ends the work early but in order (interrupt, then an end); step_fail was called before. Must
     * lead to step_finish; when it takes too long the step is ended all the same. */
    void (*stop)(struct step *step);
    /* A command but "stop", see keeper_events.command. NULL: there are none. Only between start and
     * close, but also while start waits. */
    void (*command)(struct step *step, const char *command, int *fd);
    /* Fills in what there is to tell beside the journal. NULL: nothing. As `command`. */
    void (*news)(const struct step *step, struct step_news *news);
    /* Kills what runs, saves what there is, frees step->work. Called once, also after an error. */
    void (*close)(struct step *step);
};

extern const struct step_driver step_notebook_driver, step_script_driver;

struct step {
    const char *directory; /* of the attempt */
    struct task task;
    struct keeper *keeper;
    struct journal *journal;
    uint64_t journal_size; /* what an engine is told: bytes of whole lines */
    struct loop *loop;
    struct step_place place;
    const struct step_driver *driver;
    void *work;
    struct kernel *kernel; /* of a notebook, while there is one: the loop has to poll its sockets */
    bool is_started;       /* start() has returned */
    bool is_stopping;      /* stop() was called */
    bool is_finished;      /* step_finish() was called: the loop is about to end */
    bool is_reported;      /* the journal has its last line */
    struct step_failure failure; /* the first one; cause CAUSE_NONE: none so far */
    struct loop_source *stop_deadline;
};

/* Notes why the step fails. Only the first failure counts: what follows from it is not news. */
void step_fail(struct step *step, enum cause cause, int64_t cell_index, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Notes a failure from a library call, with the cause that fits. */
void step_fail_err(struct step *step, enum cause cause, const struct err *e);

/* The work is over: the loop ends, and the journal gets its last line, unless it has it already. */
void step_finish(struct step *step);

/* The step has ended, and the journal gets its last line, but the driver stays for up to `kept_s`
 * seconds. Nothing more may be committed. -1: it could not be written, all is as before. */
int step_report(struct step *step, int64_t kept_s);

/* Commits the line that was begun in the journal, and has the engine told soon. When that is
 * impossible (disk full) the step is failed and stopped; -1 then. */
int step_commit(struct step *step, struct str *ret_line);

/* After a start that failed: whether it was given up only because an engine came or went, which
 * looks like a command from afar (launch_place.cancel_fd), and is to be tried again. */
bool step_may_start_again(struct step *step, const struct err *e);

/* The cause behind an error of launch_* and kernel_start. */
enum cause step_start_cause(const struct err *e);

#endif
