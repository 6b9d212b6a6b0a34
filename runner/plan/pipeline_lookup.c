/* The two functions of runner/plan/pipeline.h that serve people: which step they mean, and whether
 * it could run.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "runner/plan/pipeline.h"

#include <inttypes.h>

#define CANDIDATES_SHOWN 5u
/* Comparing a word with one name takes microseconds; beyond this the answer would be late, and a
 * generated pipeline of this size is not typed by hand. */
#define NEAREST_OF_STEPS 5000u

static const char *without_dot_slash(const char *path)
{
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    return path;
}

static bool is_called(const struct pipeline_step *step, const char *text)
{
    return strcmp(step->title, text) == 0 ||
           strcmp(without_dot_slash(step->file_path), without_dot_slash(text)) == 0;
}

static int fail_ambiguous(const struct pipeline *pipeline, const char *text, uint32_t count,
                          struct err *e)
{
    auto_buf struct buf list = {0};
    uint32_t shown = 0;
    for (uint32_t i = 0; shown < count && shown < CANDIDATES_SHOWN; i++) {
        const struct pipeline_step *step = &pipeline->steps[i];
        if (!is_called(step, text))
            continue;
        buf_printf(&list, "%s%s (\"%s\", %s)", shown++ ? ", " : "", step->uuid, step->title,
                   step->file_path[0] ? step->file_path : "no file");
    }
    return err_set(e, ERR_INVALID, "\"%s\" may be any of %" PRIu32 " steps: %s%s", text, count,
                   buf_text(&list), shown < count ? ", ..." : "");
}

static int fail_unknown(const struct pipeline *pipeline, const char *text, struct err *e)
{
    uint32_t steps =
        pipeline->step_count < NEAREST_OF_STEPS ? pipeline->step_count : NEAREST_OF_STEPS;
    auto_free const char **names = mem_array(3ul * steps + 1, sizeof *names);
    for (uint32_t i = 0; i < steps; i++) {
        names[3 * i] = pipeline->steps[i].title;
        names[3 * i + 1] = pipeline->steps[i].file_path;
        names[3 * i + 2] = pipeline->steps[i].uuid;
    }
    const char *nearest = str_nearest(text, names);
    if (nearest)
        return err_set(e, ERR_NOT_FOUND, "no step \"%s\"; did you mean \"%s\"?", text, nearest);
    return err_set(e, ERR_NOT_FOUND, "no step has the uuid, title or file path \"%s\"", text);
}

int pipeline_find_step(const struct pipeline *pipeline, const char *text, uint32_t *ret_step,
                       struct err *e)
{
    uint32_t found = pipeline_index(pipeline, str_of(text)), count = 0;
    if (found != STEP_NONE) {
        *ret_step = found;
        return 0;
    }
    for (uint32_t i = 0; i < pipeline->step_count && text[0]; i++) {
        if (is_called(&pipeline->steps[i], text)) {
            found = i;
            count++;
        }
    }
    if (count == 0)
        return fail_unknown(pipeline, text, e);
    if (count > 1)
        return fail_ambiguous(pipeline, text, count, e);
    *ret_step = found;
    return 0;
}

/* ".ipynb, .py, ..." */
static void put_known_extensions(struct buf *out)
{
#define X(kind, name, extension)                                                                   \
    if (extension[0])                                                                              \
        buf_printf(out, "%s%s", out->len ? ", " : "", extension);
    STEP_KINDS(X)
#undef X
}

static int check_file(const struct pipeline_step *step, const char *project_dir,
                      const char *pipeline_dir, struct err *e)
{
    const char *path = step->file_path;
    if (path[0] == 0)
        return err_set(e, ERR_INVALID, "the step has no file");
    if (step->kind == STEP_UNKNOWN) {
        auto_buf struct buf known = {0};
        put_known_extensions(&known);
        return err_set(e, ERR_INVALID,
                       "\"%s\" has the extension \"%s\"; a step's file has %s or "
                       "none (a shell script)",
                       path, fs_extension(path), buf_text(&known));
    }
    if (path[0] == '/')
        return err_set(e, ERR_INVALID,
                       "\"%s\" is an absolute path; a step's file lies inside the "
                       "project, its path starts at the pipeline file",
                       path);
    auto_free char *relative = fs_join(pipeline_dir, path);
    auto_close int fd = fs_open_beneath(project_dir, relative, e);
    return fd < 0 ? -1 : 0;
}

int pipeline_check_step(const struct pipeline *pipeline, uint32_t step_index,
                        const char *project_dir, const char *pipeline_dir,
                        struct problems *problems, struct err *e)
{
    const struct pipeline_step *step = &pipeline->steps[step_index];
    if (check_file(step, project_dir, pipeline_dir, e) == 0)
        return 0;
    if (e->code == ERR_IO)
        return -1;
    json_at at = json_get(&pipeline->doc, step->node, "file_path");
    problems_add(problems, &pipeline->doc, at == JSON_NONE ? step->node : at, "%s", e->text);
    return 0;
}
