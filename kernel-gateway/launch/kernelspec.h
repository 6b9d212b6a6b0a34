/* kernelspec: how a kernel is started: argv, environment, language, how it is interrupted.
 *
 * Source: Jupyter's "Making kernels for Jupyter", section kernel specs. Read from kernel.json on
 * this machine (kernelspec_find) or out of an image (the Docker launcher, kernelspec_parse). Owns
 * its texts; immutable once read.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KERNELSPEC_H
#define SEGUE_KERNEL_GATEWAY_KERNELSPEC_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct kernelspec {
    char *name;         /* the directory's name, lower case: "python3" */
    char *resource_dir; /* where kernel.json lies (inside the image, for a container) */
    char **argv;        /* NULL at the end; {connection_file} and {resource_dir} still in it */
    char **env;         /* "NAME=value", NULL at the end; ${VAR} still in it */
    char *display_name;
    char *language;         /* lower case: "python", "r", "julia", "javascript", "bash", ... */
    bool interrupt_message; /* interrupt_mode is "message", else "signal" */
    bool has_ipc;           /* known to speak over ipc sockets; else TCP on loopback */
    char *text;             /* kernel.json itself: JSON_TOLERANT, an object */
};

void kernelspec_clear(struct kernelspec *spec);

/* Reads the text of a kernel.json. Errors: ERR_INVALID with what is wrong and where. */
int kernelspec_parse(struct kernelspec *spec, struct str text, const char *name,
                     const char *resource_dir, struct err *e);

/* Finds a kernel on this machine where Jupyter finds it: JUPYTER_PATH, the user's data directory
 * (JUPYTER_DATA_DIR, else XDG_DATA_HOME or ~/.local/share, /jupyter), the prefixes of VIRTUAL_ENV,
 * CONDA_PREFIX and of every PATH directory, /usr/local/share, /usr/share. Names are compared
 * without case; "python" means python3. Where `name` is NULL or not there, the first kernel of
 * `language` (may be NULL) is taken. A bare "python" as argv[0] of a kernel installed under a
 * prefix becomes that prefix's interpreter. Errors: ERR_NOT_FOUND with the names that exist. */
int kernelspec_find(struct kernelspec *spec, const char *name, const char *language, struct err *e);

/* Hands over each kernel that kernelspec_find would find by its name. Broken ones are passed over.
 */
void kernelspec_each(void (*found)(void *user, struct kernelspec *take_spec), void *user);

/* argv with {connection_file}, {resource_dir} and {prefix} replaced, other {x} as they are; a
 * kernel run by `-m ipykernel_launcher` also gets --HistoryManager.hist_file=:memory:, since
 * kernels side by side would otherwise wait for each other's history database. free() the array:
 * it and its texts are one block. */
char **kernelspec_command(const struct kernelspec *spec, const char *connection_file);

#endif
