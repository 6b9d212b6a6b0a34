#include "runner/engine/run_dir.h"

#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/results.h"
#include "runner/engine/rights.h"

#include <unistd.h>

static int choose_user(struct run_dir *dir, const char *project_dir, struct err *e)
{
    struct rights rights;

    if (rights_in(project_dir, &rights, e) < 0)
        return -1;
    dir->change_user = rights.change_user;
    dir->uid = rights.uid;
    dir->gid = rights.gid;
    return 0;
}

static int give_away(const struct run_dir *dir, const char *path, struct err *e)
{
    if (dir->change_user && chown(path, dir->uid, dir->gid) < 0)
        return err_errno(e, errno, "cannot give \"%s\" to the project's owner", path);
    return 0;
}

static int make_files(const struct run_dir *dir, const struct json *definition, struct err *e)
{
    struct str text = {definition->text, definition->len};

    if (fs_mkdirs(dir->io, 0755, e) < 0 || give_away(dir, dir->io, e) < 0)
        return -1;
    if (fs_exists(dir->pipeline_file))
        return 0; /* by an earlier engine; it never changes */
    /* Parameters may be secrets: for those who run the steps only. */
    if (fs_write(dir->pipeline_file, text, 0600, FS_NO_SYNC, e) < 0)
        return -1;
    return give_away(dir, dir->pipeline_file, e);
}

void run_dir_init(struct run_dir *dir, const struct state *state,
                  const struct submission *submission)
{
    *dir = (struct run_dir){
        .path = state_run_dir(state, submission->run_uuid.text),
        .results_key = results_key(submission->origin_dir, submission->pipeline->uuid),
    };
    dir->io = fs_join(dir->path, "io");
    dir->pipeline_file = fs_join(dir->path, "pipeline.json");
}

int run_dir_make(struct run_dir *dir, const struct submission *submission, struct err *e)
{
    if (choose_user(dir, submission->project.dir, e) < 0)
        return -1;
    return make_files(dir, &submission->pipeline->doc, e);
}

void run_dir_clear(struct run_dir *dir)
{
    free(dir->path);
    free(dir->io);
    free(dir->pipeline_file);
    *dir = (struct run_dir){0};
}

char *run_dir_attempt(const struct run_dir *dir, const char *step_uuid, uint32_t number)
{
    return mem_printf("%s/steps/%s/%u", dir->path, step_uuid, number);
}
