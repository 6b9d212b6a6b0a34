#include "api/commands/jobs/job_options.h"

#include "api/commands/duration.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/sets/parameter_sets.h"

#include <string.h>

/* A run of a job may take so long. */
#define TIME_MOST (30 * 86400)

void job_options_clear(struct job_options *options)
{
    params_clear(&options->base);
    params_clear(&options->grid);
}

static void free_words(char ***texts)
{
    mem_free_texts(*texts);
}

static const char *value_of(const struct job_options *options, enum job_option option)
{
    return options->values[option - JOB_NAME];
}

void job_options_take(struct job_options *options, int option, const char *value)
{
    if (option == JOB_GRID)
        params_add(&options->grid, value);
    else if (option == JOB_ZIP)
        options->is_zip = true;
    else
        options->values[option - JOB_NAME] = value;
}

static bool has_any(const struct job_options *options, enum job_option first, enum job_option last)
{
    for (enum job_option i = first; i <= last; i++)
        if (value_of(options, i))
            return true;
    return false;
}

bool job_options_any(const struct job_options *options)
{
    return options->base.count > 0 || options->grid.count > 0 || options->is_zip ||
           has_any(options, JOB_NAME, JOB_OBJECTIVE);
}

bool job_options_name_steps(const struct job_options *options)
{
    return params_name_steps(&options->base) || params_name_steps(&options->grid);
}

/* --- values of a grid --- */

static bool is_json(const char *text)
{
    auto_json struct json doc = {0};
    struct err ignored;

    return json_parse(&doc, str_of(text), JSON_STRICT, NULL, &ignored) == 0;
}

static int put_values(struct buf *out, const char *text, const char *word, struct err *e)
{
    for (char first = '[';; first = ',') {
        size_t len = strcspn(text, ",");
        auto_free char *value = mem_strndup(text, len);
        if (len == 0)
            return err_set(e, ERR_INVALID,
                           "--grid \"%s\" has an empty value; a JSON list may have one", word);
        buf_putc(out, first);
        if (is_json(value))
            buf_puts(out, value);
        else
            json_put_text(out, value);
        if (text[len] == 0)
            break;
        text += len + 1;
    }
    buf_putc(out, ']');
    return 0;
}

/* "1,2,x" as [1,2,"x"]; a range as a text, which the service takes apart; JSON as it is. */
static int put_axis(struct buf *out, const char *text, const char *word, struct err *e)
{
    auto_json struct json doc = {0};
    bool is_range = strspn(text, "+-0123456789.eE:") == strlen(text) &&
                    (strchr(text, ':') || strstr(text, ".."));

    if (is_range) {
        json_put_text(out, text);
    } else if (*text == '[' || *text == '{') {
        if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, e) < 0)
            return err_prefix(e, "--grid \"%s\" is no JSON", word);
        buf_puts(out, text);
    } else {
        return put_values(out, text, word, e);
    }
    return 0;
}

/* The same word with JSON behind the "=". */
static int make_axis(const char *word, struct buf *out, struct err *e)
{
    const char *equals = strchr(word, '=');

    if (!equals || equals == word || equals[-1] == ':')
        return err_set(e, ERR_INVALID, "--grid \"%s\" is not [STEP:]NAME=VALUES", word);
    buf_put(out, word, (size_t)(equals + 1 - word));
    return put_axis(out, equals + 1, word, e);
}

static int put_grid(struct buf *out, const struct params *grid, const struct pipeline *pipeline,
                    struct err *e)
{
    auto_params struct params axes = {0};
    auto_with(free_words) char **words = mem_array(grid->count + 1, sizeof *words);

    if (grid->count == 0)
        return 0;
    for (uint32_t i = 0; i < grid->count; i++) {
        auto_buf struct buf made = {0};
        if (make_axis(grid->words[i], &made, e) < 0)
            return -1;
        words[i] = buf_take(&made);
        params_add(&axes, words[i]);
    }
    json_put_key(out, "grid");
    return params_put_json(&axes, pipeline, out, e);
}

/* --- numbers and times --- */

static int put_number(struct buf *out, const char *key, const char *option, const char *text,
                      struct err *e)
{
    if (*text == 0 || strspn(text, "0123456789") != strlen(text) || strlen(text) > 9)
        return err_set(e, ERR_INVALID, "%s is a whole number, not \"%s\"", option, text);
    json_put_member_int(out, key, atoi(text));
    return 0;
}

static int put_seconds(struct buf *out, const char *key, const char *option, const char *text,
                       struct err *e)
{
    uint32_t seconds;

    if (!duration_parse(text, TIME_MOST, &seconds))
        return err_set(e, ERR_INVALID, "%s is a time such as 600, 10m or 2h, not \"%s\"", option,
                       text);
    json_put_member_int(out, key, seconds);
    return 0;
}

/* --- parameters --- */

static int put_file(struct buf *out, const char *key, const char *path, struct err *e)
{
    auto_buf struct buf text = {0};
    auto_json struct json doc = {0};

    if (fs_read(path, LIMIT_REQUEST_BYTES, &text, e) < 0)
        return -1;
    if (json_parse(&doc, (struct str){buf_text(&text), text.len}, JSON_STRICT, NULL, e) < 0)
        return err_prefix(e, "%s", path);
    json_put_key(out, key);
    json_write(&doc, 0, JSON_COMPACT, 0, out);
    return 0;
}

/* The grid that Orchest keeps beside a pipeline. */
static int put_parameters_file(struct buf *out, const char *path, struct err *e)
{
    auto_buf struct buf text = {0};
    auto_problems struct problems problems = {0};

    json_put_key(out, "grid");
    if (fs_read(path, LIMIT_REQUEST_BYTES, &text, e) < 0)
        return -1;
    if (parameter_sets_of_file((struct str){buf_text(&text), text.len}, out, &problems, e) < 0)
        return err_prefix(e, "%s", path);
    return 0;
}

static int put_exclude(struct buf *out, const char *numbers, struct err *e)
{
    size_t len = 1;

    for (const char *at = numbers; len > 0; at += len + 1) {
        len = strspn(at, "0123456789");
        if (len > 0 && at[len] == 0)
            break;
        if (at[len] != ',')
            len = 0;
    }
    if (len == 0)
        return err_set(e, ERR_INVALID, "--exclude is a list of numbers such as 3,5, not \"%s\"",
                       numbers);
    json_put_key(out, "exclude");
    buf_printf(out, "[%s]", numbers);
    return 0;
}

static int put_params(struct buf *out, const char *key, const struct params *params,
                      const struct pipeline *pipeline, struct err *e)
{
    if (params->count == 0)
        return 0;
    json_put_key(out, key);
    return params_put_json(params, pipeline, out, e);
}

static int put_strategy(const struct job_options *options, struct buf *out, struct err *e)
{
    const char *random = value_of(options, JOB_RANDOM), *seed = value_of(options, JOB_SEED);

    bool has_grid = options->grid.count > 0 || value_of(options, JOB_PARAMETERS_FILE);

    if (random && options->is_zip)
        return err_set(e, ERR_INVALID, "--zip and --random exclude each other");
    if ((random || options->is_zip) && !has_grid)
        return err_set(e, ERR_INVALID, "%s goes with --grid or --parameters-file",
                       random ? "--random" : "--zip");
    if (seed && !random)
        return err_set(e, ERR_INVALID, "--seed goes with --random");
    if (options->is_zip)
        json_put_member(out, "strategy", "zip");
    if (random)
        json_put_member(out, "strategy", "random");
    if (random && put_number(out, "count", "--random", random, e) < 0)
        return -1;
    return seed ? put_number(out, "seed", "--seed", seed, e) : 0;
}

static int put_parameters(const struct job_options *options, const struct pipeline *pipeline,
                          struct buf *out, struct err *e)
{
    const char *sets = value_of(options, JOB_SETS), *file = value_of(options, JOB_PARAMETERS_FILE);
    const char *exclude = value_of(options, JOB_EXCLUDE);

    if ((options->grid.count > 0) + (sets != NULL) + (file != NULL) > 1)
        return err_set(e, ERR_INVALID, "--grid, --sets and --parameters-file exclude each other");
    buf_putc(out, '{');
    if (put_strategy(options, out, e) < 0 ||
        put_params(out, "base", &options->base, pipeline, e) < 0 ||
        put_grid(out, &options->grid, pipeline, e) < 0)
        return -1;
    if ((sets && put_file(out, "sets", sets, e) < 0) ||
        (file && put_parameters_file(out, file, e) < 0) ||
        (exclude && put_exclude(out, exclude, e) < 0))
        return -1;
    buf_putc(out, '}');
    return 0;
}

/* --- schedule --- */

static int put_catch_up(struct buf *out, const char *text, struct err *e)
{
    size_t len = strcspn(text, ":");
    auto_free char *which = mem_strndup(text, len);

    json_put_member(out, "catch_up", which);
    return text[len] ? put_number(out, "catch_up_limit", "--catch-up all:N", text + len + 1, e) : 0;
}

static int put_schedule(const struct job_options *options, struct buf *out, struct err *e)
{
    const char *catch_up = value_of(options, JOB_CATCH_UP), *jitter = value_of(options, JOB_JITTER);

    if (value_of(options, JOB_AT) && value_of(options, JOB_CRON))
        return err_set(e, ERR_INVALID, "--at and --cron exclude each other");
    buf_putc(out, '{');
    json_put_member(out, "at", value_of(options, JOB_AT));
    json_put_member(out, "cron", value_of(options, JOB_CRON));
    json_put_member(out, "timezone", value_of(options, JOB_TIMEZONE));
    json_put_member(out, "overlap", value_of(options, JOB_OVERLAP));
    if ((catch_up && put_catch_up(out, catch_up, e) < 0) ||
        (jitter && put_seconds(out, "jitter", "--jitter", jitter, e) < 0))
        return -1;
    buf_putc(out, '}');
    return 0;
}

/* --- policy --- */

static int put_retries(struct buf *out, const char *text, struct err *e)
{
    size_t len = strcspn(text, ":");
    auto_free char *limit = mem_strndup(text, len);

    json_put_key(out, "retries");
    buf_putc(out, '{');
    if (put_number(out, "limit", "--retries", limit, e) < 0)
        return -1;
    if (text[len] && put_seconds(out, "delay", "--retries N:TIME", text + len + 1, e) < 0)
        return -1;
    buf_putc(out, '}');
    return 0;
}

static int put_failures(struct buf *out, const char *text, struct err *e)
{
    if (!strchr(text, '%'))
        return put_number(out, "stop_after_failures", "--stop-after-failures", text, e);
    json_put_member(out, "stop_after_failures", text);
    return 0;
}

static int put_retention(struct buf *out, const char *runs, const char *days, struct err *e)
{
    json_put_key(out, "retention");
    buf_putc(out, '{');
    if ((runs && put_number(out, "runs", "--keep-runs", runs, e) < 0) ||
        (days && put_number(out, "days", "--keep-days", days, e) < 0))
        return -1;
    buf_putc(out, '}');
    return 0;
}

static void put_objective(struct buf *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    bool has_goal = colon && (strcmp(colon, ":min") == 0 || strcmp(colon, ":max") == 0);
    auto_free char *metric = mem_strndup(text, has_goal ? (size_t)(colon - text) : strlen(text));

    json_put_key(out, "objective");
    buf_putc(out, '{');
    json_put_member(out, "metric", metric);
    json_put_member(out, "goal", has_goal ? colon + 1 : "max");
    buf_putc(out, '}');
}

static int put_policy(const struct job_options *options, struct buf *out, struct err *e)
{
    const char *parallel = value_of(options, JOB_PARALLEL);
    const char *timeout = value_of(options, JOB_TIMEOUT);
    const char *retries = value_of(options, JOB_RETRIES);
    const char *failures = value_of(options, JOB_STOP_AFTER_FAILURES);
    const char *runs = value_of(options, JOB_KEEP_RUNS), *days = value_of(options, JOB_KEEP_DAYS);

    buf_putc(out, '{');
    if ((parallel && put_number(out, "parallel", "--parallel", parallel, e) < 0) ||
        (timeout && put_seconds(out, "timeout", "--timeout", timeout, e) < 0) ||
        (failures && put_failures(out, failures, e) < 0) ||
        (retries && put_retries(out, retries, e) < 0) ||
        ((runs || days) && put_retention(out, runs, days, e) < 0))
        return -1;
    if (value_of(options, JOB_OBJECTIVE))
        put_objective(out, value_of(options, JOB_OBJECTIVE));
    buf_putc(out, '}');
    return 0;
}

/* --- the whole --- */

static bool is_among(const char *const *keys, const char *key)
{
    for (; *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

/* Adds to the object in `out` the members of `old` that it does not have, but for those in
 * `without`. */
static int keep_others(struct buf *out, const struct json *doc, json_at old,
                       const char *const *without, struct err *e)
{
    auto_json struct json made = {0};
    auto_free char *text = mem_strndup(out->data, out->len);

    if (json_parse(&made, str_of(text), JSON_STRICT, NULL, e) < 0)
        return -1;
    out->len--; /* the closing brace */
    json_each (doc, old, key) {
        auto_free char *name = json_strdup(doc, key);
        if (name && json_get(&made, 0, name) == JSON_NONE && !is_among(without, name))
            json_put_member_raw(out, name, json_raw(doc, json_value(key)));
    }
    buf_putc(out, '}');
    return 0;
}

static int keep_schedule(const struct job_options *options, const struct json *job,
                         struct buf *schedule, struct err *e)
{
    static const char *const shown[] = {"words", "next", NULL};
    static const char *const times[] = {"words", "next", "at", "cron", NULL};
    bool is_new = value_of(options, JOB_AT) || value_of(options, JOB_CRON);

    return keep_others(schedule, job, json_get(job, 0, "schedule"), is_new ? times : shown, e);
}

static int keep_policy(const struct json *job, struct buf *policy, struct err *e)
{
    static const char *const none[] = {NULL};

    return keep_others(policy, job, json_get(job, 0, "policy"), none, e);
}

int job_options_put(const struct job_options *options, const struct pipeline *pipeline,
                    const struct json *job, struct buf *body, struct err *e)
{
    auto_buf struct buf parameters = {0}, schedule = {0}, policy = {0};

    if (put_parameters(options, pipeline, &parameters, e) < 0 ||
        put_schedule(options, &schedule, e) < 0 || put_policy(options, &policy, e) < 0)
        return -1;
    if (job && (keep_schedule(options, job, &schedule, e) < 0 || keep_policy(job, &policy, e) < 0))
        return -1;
    json_put_member(body, "name", value_of(options, JOB_NAME));
    if (parameters.len > 2)
        json_put_member_raw(body, "parameters", (struct str){parameters.data, parameters.len});
    if (has_any(options, JOB_AT, JOB_JITTER))
        json_put_member_raw(body, "schedule", (struct str){schedule.data, schedule.len});
    if (has_any(options, JOB_PARALLEL, JOB_OBJECTIVE))
        json_put_member_raw(body, "policy", (struct str){policy.data, policy.len});
    return 0;
}
