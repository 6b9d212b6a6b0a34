#include "runner/engine/executed.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>

/* What a file looked like; all zero: it could not be looked at. */
struct fingerprint {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct copy {
    char *source;   /* absolute */
    char *relative; /* below the output directory and the run's */
    char *path;
    struct fingerprint seen;
};

struct executed {
    const struct submission *submission;
    struct copy *copies; /* by step of the plan; all NULL for a script */
};

static struct fingerprint look_at(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (struct fingerprint){0};
    return (struct fingerprint){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool is_same(const struct fingerprint *a, const struct fingerprint *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Path with "." and ".." taken out by name; ".." at the top goes nowhere. */
static char *clean_path(const char *path)
{
    struct buf out = {0};

    for (const char *at = path; *at;) {
        size_t len = strcspn(at, "/");
        if (len == 2 && at[0] == '.' && at[1] == '.') {
            const char *slash = out.len > 0 ? memrchr(out.data, '/', out.len) : NULL;
            out.len = slash ? (size_t)(slash - out.data) : 0;
        } else if (len > 0 && !(len == 1 && at[0] == '.')) {
            if (out.len > 0)
                buf_putc(&out, '/');
            buf_put(&out, at, len);
        }
        at += len;
        at += *at == '/';
    }
    return buf_take(&out);
}

static char *relative_path(const struct submission *submission, uint32_t step)
{
    auto_free char *joined = mem_printf("%s/%s", submission->project.pipeline_dir,
                                        submission_step(submission, step)->file_path);

    return clean_path(joined);
}

/* "sub/train.ipynb" -> "sub/train.<uuid>.ipynb" */
static char *with_uuid(const char *relative, const char *uuid)
{
    const char *extension = fs_extension(relative);

    return mem_printf("%.*s.%s%s", (int)(strlen(relative) - strlen(extension)), relative, uuid,
                      extension);
}

struct executed *executed_new(const struct submission *submission, const char *run_dir)
{
    uint32_t count = submission->plan->count;
    struct executed *executed = mem_zalloc(sizeof *executed);
    struct map taken = {0};

    executed->submission = submission;
    executed->copies = mem_array(count, sizeof *executed->copies);
    for (uint32_t i = 0; i < count; i++) {
        const struct pipeline_step *step = submission_step(submission, i);
        struct copy *copy = &executed->copies[i];
        if (step->kind != STEP_NOTEBOOK)
            continue;
        copy->source = submission_source(submission, i);
        copy->relative = relative_path(submission, i);
        while (map_add(&taken, str_of(copy->relative), i) != MAP_NONE) {
            char *unique = with_uuid(copy->relative, step->uuid);
            free(copy->relative);
            copy->relative = unique;
        }
        copy->path = mem_printf("%s/executed/%s", run_dir, copy->relative);
        copy->seen = look_at(copy->source);
    }
    map_clear(&taken);
    return executed;
}

void executed_free(struct executed *executed)
{
    if (!executed)
        return;
    for (uint32_t i = 0; i < executed->submission->plan->count; i++) {
        free(executed->copies[i].source);
        free(executed->copies[i].relative);
        free(executed->copies[i].path);
    }
    free(executed->copies);
    free(executed);
}

/* Of each step [device, inode, size, seconds, nanoseconds]. */
void executed_put_sources(const struct executed *executed, struct buf *out)
{
    buf_putc(out, '[');
    for (uint32_t i = 0; i < executed->submission->plan->count; i++) {
        const struct fingerprint *seen = &executed->copies[i].seen;
        buf_printf(out, "%s[%lld,%lld,%lld,%lld,%ld]", i > 0 ? "," : "", (long long)seen->device,
                   (long long)seen->inode, (long long)seen->size, (long long)seen->changed.tv_sec,
                   seen->changed.tv_nsec);
    }
    buf_putc(out, ']');
}

static struct fingerprint read_fingerprint(const struct json *doc, json_at at)
{
    int64_t values[5] = {0};
    uint32_t i = 0;

    json_each (doc, at, each)
        if (i < 5)
            json_int(doc, each, &values[i++]);
    return (struct fingerprint){(dev_t)values[0],
                                (ino_t)values[1],
                                (off_t)values[2],
                                {.tv_sec = values[3], .tv_nsec = (long)values[4]}};
}

void executed_take_sources(struct executed *executed, const char *sources)
{
    auto_json struct json doc = {0};
    struct err ignored;
    uint32_t i = 0;

    if (json_parse(&doc, str_of(sources), JSON_STRICT, NULL, &ignored) < 0)
        return;
    json_each (&doc, 0, at)
        if (i < executed->submission->plan->count)
            executed->copies[i++].seen = read_fingerprint(&doc, at);
}

const char *executed_path(const struct executed *executed, uint32_t step)
{
    return executed->copies[step].path;
}

int executed_prepare(const struct executed *executed, uint32_t step, struct err *e)
{
    auto_free char *directory = fs_dirname(executed->copies[step].path);

    return fs_mkdirs(directory, 0755, e);
}

static int deliver_to_output(const struct executed *executed, const struct copy *copy,
                             struct err *e)
{
    auto_free char *to = fs_join(executed->submission->output_dir, copy->relative);
    auto_free char *directory = fs_dirname(to);

    if (fs_mkdirs(directory, 0755, e) < 0)
        return -1;
    return fs_copy(copy->path, to, 0644, e);
}

/* It was delivered before, by an engine that could not note it any more. */
static bool has_same_content(const char *a, const char *b)
{
    auto_buf struct buf first = {0}, second = {0};
    struct err ignored;

    return fs_read(a, LIMIT_NOTEBOOK_BYTES, &first, &ignored) == 0 &&
           fs_read(b, LIMIT_NOTEBOOK_BYTES, &second, &ignored) == 0 && first.len == second.len &&
           memcmp(buf_text(&first), buf_text(&second), first.len) == 0;
}

static int deliver_in_place(struct executed *executed, const struct copy *copy, struct err *e)
{
    struct fingerprint before = copy->seen, now = look_at(copy->source);

    if (!is_same(&now, &before) && !has_same_content(copy->source, copy->path))
        return err_set(e, ERR_CONFLICT,
                       "\"%s\" was changed while the run was going on; it is left as it is, the "
                       "executed copy is \"%s\"",
                       copy->source, copy->path);
    if (fs_copy(copy->path, copy->source, 0644, e) < 0)
        return -1;
    now = look_at(copy->source);
    /* A step that runs the same notebook, by whatever name, must not take us for somebody else. */
    for (uint32_t i = 0; i < executed->submission->plan->count; i++)
        if (is_same(&executed->copies[i].seen, &before))
            executed->copies[i].seen = now;
    return 0;
}

int executed_deliver(struct executed *executed, uint32_t step, struct err *e)
{
    const struct copy *copy = &executed->copies[step];

    if (!copy->path || !fs_exists(copy->path))
        return 0;
    if (executed->submission->output_dir && deliver_to_output(executed, copy, e) < 0)
        return -1;
    return executed->submission->in_place ? deliver_in_place(executed, copy, e) : 0;
}
