/* launch: starts one program in its place (a local process, a container), watches it, signals it,
 * stops it, and leaves nothing of it behind.
 *
 * Kernels and scripts are both programs. A place says where and with whose rights; it is the same
 * for every launcher. Launchers are tables of functions behind this header (launch_process.c,
 * launch_docker.c), so that another kind of place is a file beside them.
 *
 * Everything here belongs to the thread of the loop. Starting may block for as long as the Docker
 * engine takes; it gives up with ERR_CANCELLED as soon as `cancel_fd` becomes readable.
 */
#ifndef SEGUE_KERNEL_GATEWAY_LAUNCH_H
#define SEGUE_KERNEL_GATEWAY_LAUNCH_H

#include "base/err.h"
#include "base/loop.h"
#include "kernel-gateway/launch/kernelspec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum launcher_kind { LAUNCHER_PROCESS, LAUNCHER_DOCKER };

const char *launcher_name(enum launcher_kind kind);                    /* "process", "docker" */
bool launcher_of_name(const char *name, enum launcher_kind *ret_kind); /* false: no such */

struct launch_mount {
    const char *host;
    const char *inside; /* absolute path in the container; a process sees `host` */
    bool read_only;
};

/* Where a step's programs run. Borrowed by each call; nothing in it is kept. */
struct launch_place {
    enum launcher_kind launcher;
    const char *attempt;  /* every process carries SEGUE_ATTEMPT=<this>, every container the label
                             segue.attempt=<this> */
    const char *state_id; /* the container's label segue.state: whose it is */
    int cancel_fd;        /* -1, or what becomes readable when starting shall be given up */

    /* both launchers */
    bool change_user; /* run as uid:gid instead of our own (a container: always as uid:gid) */
    uid_t uid;
    gid_t gid;
    int nice; /* above 0: what people wait for goes before it; added to our own niceness, which a
                 process inherits; a container gets a quarter of what others get */

    /* containers only */
    const char *image; /* id or name */
    const struct launch_mount *mounts;
    size_t mount_count;
    bool network;
    double cpus;           /* 0: no limit */
    uint64_t memory_bytes; /* 0: no limit */
    uint32_t gpus;         /* 0: none */
};

struct launch_program {
    const char *const *argv;
    const char *const *env; /* what is added: a process also gets a copy of our own environment, a
                               container also the image's */
    const char *cwd;        /* as the program sees it */
};

struct launch_end {
    bool started;   /* false: the engine could not run it at all (no such file, ...) */
    bool by_signal; /* else it exited */
    int code;       /* exit status or signal number */
    bool out_of_memory;
    bool lost;      /* the engine stopped answering: what became of it is not known */
    char text[200]; /* for a message: "exit status 3", "killed by SIGKILL, out of memory" */
};

struct launch_events {
    /* What the program wrote to descriptor 1 or 2, as it comes. */
    void (*output)(void *user, int fd, const char *data, size_t len);
    /* Once, when it has ended and its output was handed over. The launch is still to be freed. */
    void (*ended)(void *user, const struct launch_end *end);
};

struct launch;

/* The kernelspec as the place has it: on this machine or in the image. `name` and `language` as
 * in kernelspec_find. */
int launch_find_kernelspec(const struct launch_place *place, const char *name, const char *language,
                           struct kernelspec *ret_spec, struct err *e);

/* Starts the program. Errors: ERR_NOT_FOUND (no such program or image), ERR_INVALID (the engine
 * refuses a limit or a mount), ERR_UNAVAILABLE (it does not answer), ERR_CONFLICT (the attempt has
 * a container already), ERR_CANCELLED, ERR_IO; after one nothing was left running. Events come from
 * the loop only. */
int launch_start(struct launch **ret_launch, struct loop *loop, const struct launch_place *place,
                 const struct launch_program *program, const struct launch_events *events,
                 void *user, struct err *e);

/* Sends SIGINT (and the like) to the program and its children; to a container's first process. */
void launch_signal(struct launch *launch, int signal_number);

/* The process id on this machine; 0 for a container. It is reaped by launch_free and by nobody
 * else: until then its number is nobody else's. */
pid_t launch_pid(const struct launch *launch);

/* Kills what still runs, removes container and children that left their group; no event comes any
 * more. NULL is allowed. */
void launch_free(struct launch *launch);

/* Removes whatever an earlier life of ours left running: all processes marked with the attempt
 * and all containers labelled with it. Safe when there is nothing. Errors: ERR_UNAVAILABLE when
 * the place is a container and the engine does not answer. */
int launch_clean(enum launcher_kind kind, const char *attempt, struct err *e);

/* The id of an image, for freezing it ("sha256:..."); to be free()d. Errors: ERR_NOT_FOUND: not
 * there; ERR_UNAVAILABLE: the engine does not answer. */
char *launch_image_id(const char *image, struct err *e);

#endif
