#include "api/jupyter/client_env.h"

#include "base/limits.h"
#include "base/mem.h"

#include <ctype.h>
#include <string.h>

/* Linux takes 128 KiB for one entry (MAX_ARG_STRLEN), NUL included. */
#define ENTRY_MAX (128 * KiB - 1)

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return *name != 0 && !isdigit((unsigned char)*name);
}

static bool is_dangerous(const char *name)
{
    return strcmp(name, "PATH") == 0 || starts_with(name, "LD_") || starts_with(name, "PYTHON") ||
           starts_with(name, "SEGUE_");
}

static bool is_named_by(const char *name, const char *pattern)
{
    size_t len = strlen(pattern);

    if (len == 0 || pattern[len - 1] != '*')
        return strcmp(name, pattern) == 0;
    if (len == 1)
        return !is_dangerous(name);
    return strncmp(name, pattern, len - 1) == 0;
}

bool client_env_is_allowed(const char *name, const char *const *allowed)
{
    if (!is_name(name))
        return false;
    if (starts_with(name, "KERNEL_"))
        return true;
    for (; allowed && *allowed; allowed++)
        if (is_named_by(name, *allowed))
            return true;
    return false;
}

/* The place of `name`'s entry, or of the next new one. */
static size_t place_of(const struct client_env *env, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->entries[i], name, len) == 0 && env->entries[i][len] == '=')
            return i;
    return env->count;
}

static int take(struct client_env *env, const char *name, const char *value, struct err *e)
{
    size_t at = place_of(env, name);

    if (at == CLIENT_ENV_MAX)
        return err_set(e, ERR_INVALID, "env has more than %d variables for the kernel",
                       CLIENT_ENV_MAX);
    if (strlen(name) + 1 + strlen(value) > ENTRY_MAX)
        return err_set(e, ERR_INVALID, "the variable %s of env is longer than %lu bytes", name,
                       ENTRY_MAX);
    free(env->entries[at]);
    env->entries[at] = mem_printf("%s=%s", name, value);
    if (at == env->count)
        env->count++;
    return 0;
}

/* A text with a NUL in it cannot be a variable. */
static int read_member(struct client_env *env, const struct json *body, json_at key,
                       const char *const *allowed, struct err *e)
{
    if (json_kind(body, json_value(key)) != JSON_STRING)
        return err_set(e, ERR_INVALID, "env must be an object of texts");
    auto_free char *name = json_strdup(body, key);
    if (!name || !client_env_is_allowed(name, allowed))
        return 0;
    auto_free char *value = json_strdup(body, json_value(key));
    return value ? take(env, name, value, e) : 0;
}

int client_env_read(struct client_env *env, const struct json *body, json_at at,
                    const char *const *allowed, struct err *e)
{
    *env = (struct client_env){.entries = mem_array(CLIENT_ENV_MAX + 1, sizeof *env->entries)};
    if (at == JSON_NONE || json_kind(body, at) == JSON_NULL)
        return 0;
    if (json_kind(body, at) != JSON_OBJECT) {
        client_env_clear(env);
        return err_set(e, ERR_INVALID, "env must be an object of texts");
    }
    json_each (body, at, key) {
        if (read_member(env, body, key, allowed, e) < 0) {
            client_env_clear(env);
            return -1;
        }
    }
    return 0;
}

void client_env_clear(struct client_env *env)
{
    mem_free_texts(env->entries);
    *env = (struct client_env){0};
}

const char *client_env_get(const struct client_env *env, const char *name)
{
    size_t at = place_of(env, name);

    if (at == env->count)
        return NULL;
    const char *value = env->entries[at] + strlen(name) + 1;
    return *value ? value : NULL;
}
