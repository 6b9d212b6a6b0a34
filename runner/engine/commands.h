/* commands: what other threads ask of the engine: the one place where they meet it.
 *
 * A bounded queue with a descriptor that becomes readable when there is something in it. Who takes
 * commands answers each once. Owns the commands that were not taken.
 */
#ifndef SEGUE_RUNNER_COMMANDS_H
#define SEGUE_RUNNER_COMMANDS_H

#include "base/err.h"
#include "base/id.h"
#include "runner/engine/reply.h"
#include "runner/engine/submission.h"

enum command_kind {
    COMMAND_SUBMIT,
    COMMAND_CANCEL,
    COMMAND_DELETE,
    COMMAND_REMOVED, /* the files of a deleted run are gone; nobody waits for an answer */
};

struct command {
    enum command_kind kind;
    struct submission *submission; /* SUBMIT; owned until the engine takes it */
    struct request_key key;        /* SUBMIT; key.key is owned; NULL: none */
    struct uuid run_uuid;          /* CANCEL, DELETE; of the answer */
    int64_t run;                   /* REMOVED */
    engine_done_fn *done;          /* NULL: nobody waits */
    void *user;
    bool is_refused; /* with `refusal` */
    bool is_repeated;
    struct err refusal;
    struct command *next;
};

struct command_queue;

struct command_queue *command_queue_new(void);
void command_queue_free(struct command_queue *queue); /* nothing may be in it; NULL is allowed */

int command_queue_fd(const struct command_queue *queue);

/* ERR_LIMIT, ERR_UNAVAILABLE (closed): then the command is freed. */
int command_queue_put(struct command_queue *queue, struct command *take_command, struct err *e);

/* All there are, oldest first; at most `limit`. */
struct command *command_queue_take(struct command_queue *queue, uint32_t limit);

/* From here on nothing more is taken in. */
void command_queue_close(struct command_queue *queue);

/* Calls `done`, and frees it. */
void command_answer(struct command *take_command);

#endif
