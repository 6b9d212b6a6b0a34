/* frozen: where the steps of a run have their programs run, as it was found out when the run was
 * accepted: limits, variables, and images by their ids.
 *
 * Later changes of the project's environments, or of what an image's name stands for, do not reach
 * a run that waits or goes on. An environment that cannot be used is kept too, with the reason: it
 * fails only the steps that need it. The list is kept with the run as JSON; its variables may be
 * secrets. Owns its texts.
 */
#ifndef SEGUE_RUNNER_FROZEN_H
#define SEGUE_RUNNER_FROZEN_H

#include "base/buf.h"
#include "kernel-gateway/cause.h"
#include "kernel-gateway/launch/environment.h"

struct frozen_environment {
    char *name;       /* as steps name it; "": local processes without anything special */
    enum cause cause; /* CAUSE_NONE: good; else steps cannot run in it, because: */
    char *message;
    enum launcher_kind launcher;
    char *image;      /* its id; NULL: a local process */
    char *kernelspec; /* NULL: the one that the notebook names */
    char *language;   /* NULL: the notebook's */
    bool network;
    struct environment_resources resources;
    char **env; /* "NAME=value", NULL at the end; never NULL itself */
};

struct frozen_list {
    struct frozen_environment *items;
    uint32_t count, capacity;
};

enum launcher_choice {
    LAUNCHER_CHOICE_ENVIRONMENT, /* each step where its environment says */
    LAUNCHER_CHOICE_PROCESS,     /* everything as local processes */
    LAUNCHER_CHOICE_DOCKER,      /* everything in containers */
};

const char *launcher_choice_name(enum launcher_choice choice);  /* "environment", ... */
enum launcher_choice launcher_choice_of_name(const char *name); /* unknown: _ENVIRONMENT */

/* Adds the environment called `name`, as the project has it now. May ask the Docker engine. */
void frozen_add(struct frozen_list *list, const struct environments *environments, const char *name,
                enum launcher_choice choice);

void frozen_encode(const struct frozen_list *list, struct buf *out);
int frozen_parse(struct frozen_list *list, const char *text, struct err *e);
void frozen_clear(struct frozen_list *list);

#endif
