/* Any bytes as the body of POST runs and plans: what is refused has problems with places in it;
 * what is accepted lies in its project and can be planned and submitted, or is refused with a
 * reason.
 */
#include "api/service/run_request.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIPELINE                                                                                   \
    "{\"parameters\":{\"x\":1},\"steps\":{\"a\":{\"file_path\":\"a.py\"},"                         \
    "\"b\":{\"file_path\":\"b.py\",\"incoming_connections\":[\"a\"]}}}"

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static char template[] = "/tmp/segue-fuzz-XXXXXX";

static void remove_projects(void)
{
    struct err e;
    fs_remove_tree(template, &e);
}

static void write_file(const char *directory, const char *name, const char *text)
{
    auto_free char *path = fs_join(directory, name);
    struct err e;
    require(fs_write(path, str_of(text), 0600, FS_NO_SYNC, &e) == 0, "a file can be written");
}

/* Made at the first input: TEMPLATE/p with a pipeline, and links that lead out of it. */
static const char *projects_dir(void)
{
    static char *projects;
    if (projects)
        return projects;
    struct err e;
    require(mkdtemp(template), "a directory can be made");
    atexit(remove_projects);
    auto_free char *project = fs_join(template, "p");
    auto_free char *link = fs_join(project, "out");
    require(fs_mkdirs(project, 0700, &e) == 0, "a directory can be made");
    require(symlink("/", link) == 0, "a link can be made");
    write_file(project, "p.json", PIPELINE);
    write_file(project, "a.py", "");
    projects = realpath(template, NULL);
    return projects;
}

static void check_problems(const struct problems *problems, const struct err *e)
{
    require(e->text[0] != 0, "a refusal says why");
    require(problems->count <= LIMIT_PROBLEMS, "there are not too many");
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];
        require(problem->line > 0 && problem->column > 0, "a problem has a place");
        require(problem->detail[0] != 0, "a problem says what is wrong");
        require(problem->pointer[0] == 0 || problem->pointer[0] == '/', "a pointer is one");
    }
}

static void check_accepted(const struct run_request *request, const char *projects)
{
    auto_plan struct plan *plan = NULL;
    auto_submission struct submission *submission = NULL;
    auto_problems struct problems problems = {0}, others = {0};
    auto_json struct json parameters = {0};
    struct str asked = {request->parameters.data, request->parameters.len};
    struct err e = {0};
    require(project_path_beneath(projects, request->source.project.dir),
            "the project lies below the root");
    require(asked.len == 0 || json_parse(&parameters, asked, JSON_STRICT, NULL, &e) == 0,
            "parameters are JSON");
    bool is_planned = run_request_plan(request, &plan, &problems, &e) == 0;
    if (!is_planned)
        check_problems(&problems, &e);
    bool is_submitted = run_request_submission(request, &submission, &others, &e) == 0;
    if (!is_submitted)
        check_problems(&others, &e);
    require(is_planned || !is_submitted, "what cannot be planned cannot be run");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *projects = projects_dir();
    auto_json struct json body = {0};
    auto_run_request struct run_request request = {0};
    auto_problems struct problems problems = {0};
    struct err e = {0};
    if (json_parse(&body, (struct str){(const char *)data, size}, JSON_STRICT, NULL, &e) < 0)
        return 0;
    if (run_request_read(&request, &body, projects, &problems, &e) == 0) {
        require(problems.total == 0, "what is accepted has no problems");
        check_accepted(&request, projects);
        return 0;
    }
    require(problems.count > 0, "a refusal has problems");
    check_problems(&problems, &e);
    return 0;
}
