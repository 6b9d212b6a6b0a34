/* environment: what a project says about where its steps run: a local process or an image, and
 * with which limits.
 *
 * Read from PROJECT/.segue/environments.json and from Orchest's PROJECT/.orchest/environments/; the
 * former wins where both use a name. Owns its texts and is immutable once read, so any thread may
 * look at it. It only reads files: whether an image exists is the launcher's business.
 */
#ifndef SEGUE_KERNEL_GATEWAY_ENVIRONMENT_H
#define SEGUE_KERNEL_GATEWAY_ENVIRONMENT_H

#include "base/err.h"
#include "base/problems.h"
#include "base/str.h"
#include "kernel-gateway/launch/launch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct environment_resources {
    double cpus;           /* 0: no limit */
    uint64_t memory_bytes; /* 0: no limit */
    uint32_t gpus;         /* 0: none */
};

struct environment {
    char *name; /* "" of the one that stands for none */
    char *uuid; /* Orchest's, by which its pipelines name it; else NULL */
    enum launcher_kind launcher;
    char *image;      /* NULL for a local process */
    char *kernelspec; /* NULL: the one that the notebook names */
    char *language;   /* lower case, when there is no such kernelspec; NULL: the notebook's */
    bool network;
    struct environment_resources resources;
    char **env;       /* "NAME=value", NULL at the end, never NULL itself; nothing is expanded */
    char *base_image; /* what Orchest's image is built FROM; else NULL */
    char *build_dir;  /* where its setup_script.sh lies, when that does something; else NULL */
};

struct environments {
    struct environment *items; /* in the order of the files, Orchest's behind the others by name */
    size_t count;
};

/* Reads what the project has; a project without any gives an empty list. On failure the list is
 * empty, `e` names the file, and `problems` (may be NULL) gets everything that is wrong in the
 * first file that is wrong. Errors: ERR_INVALID, ERR_LIMIT, ERR_IO. */
int environments_read(struct environments *list, const char *project_dir, struct problems *problems,
                      struct err *e);

/* The same from the text of an environments.json, for those who have it already. */
int environments_parse(struct environments *list, struct str text, struct problems *problems,
                       struct err *e);

void environments_clear(struct environments *list); /* an all-zero list is an empty one */
#define auto_environments __attribute__((cleanup(environments_clear)))

/* By name, else by Orchest's uuid. No name ("" or NULL) is a local process without anything
 * special. NULL with ERR_NOT_FOUND and the names that exist. */
const struct environment *environment_find(const struct environments *list, const char *name,
                                           struct err *e);

/* A command that makes the missing image, as text for a person; to be free()d. */
char *environment_build_hint(const struct environment *environment);

/* "2GB" (10^9), "512 MiB" (2^20), "1.5GiB", "4096" or "4096B"; false: none of these, or not above
 * zero, or over 2^62. */
bool environment_parse_size(struct str text, uint64_t *ret_bytes);

#endif
