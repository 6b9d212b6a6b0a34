/* client_env: the variables that a client may give its kernel.
 *
 * Clients send more than they should: old ones everything that they have themselves. What is not
 * allowed is dropped without a word, and nothing of it is ever logged. Variables are data: they
 * reach the kernel's environment as they are, and nothing else. Owns its texts. Pure.
 */
#ifndef SEGUE_API_JUPYTER_CLIENT_ENV_H
#define SEGUE_API_JUPYTER_CLIENT_ENV_H

#include "base/err.h"
#include "base/json.h"

#define CLIENT_ENV_MAX 1000

struct client_env {
    char **entries; /* "NAME=value", each name once, NULL at the end; never NULL itself once read */
    size_t count;
};

/* Reads the object `env` of the body (absent or null: none). KERNEL_* is taken, and what `allowed`
 * names ("A*": a prefix; NULL at the end; NULL: nothing more). What changes which programs run or
 * what they load (PATH, LD_*, PYTHON*) and our own SEGUE_* must be named there by more than "*".
 * ERR_INVALID: no object of texts, or more than CLIENT_ENV_MAX or larger ones than can be passed
 * on. */
int client_env_read(struct client_env *env, const struct json *body, json_at at,
                    const char *const *allowed, struct err *e);

void client_env_clear(struct client_env *env); /* all-zero is cleared already */
#define auto_client_env __attribute__((cleanup(client_env_clear)))

/* NULL: not given, or empty. */
const char *client_env_get(const struct client_env *env, const char *name);

bool client_env_is_allowed(const char *name, const char *const *allowed);

#endif
