/* What is asked of the engine for a program: as few rights as it can do with, the limits of the
 * place, and nothing writable but its mounts and two file systems in memory that are gone with it.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/launch/launch_docker.h"
#include "kernel-gateway/launch/launch_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* Where a program may write: it owns both, and they are gone with it. */
#define HOME_DIRECTORY "/home/segue"

/* Threads count: 64 processors' worth of numeric libraries fit, a fork bomb is stopped. */
#define PIDS_LIMIT 4096

/* Of 1,024 that others get, when all want the processor. */
#define NICE_CPU_SHARES 256

/* Data loaders hand tensors over through /dev/shm; Docker's own 64 MB break them. */
#define SHM_BYTES (1 * GiB)

/* The engine keeps a log whether one asks for it or not. The journal has the output already. */
#define LOG_CONFIG "{\"Type\":\"json-file\",\"Config\":{\"max-size\":\"1m\",\"max-file\":\"1\"}}"

void launch_docker_put_labels(struct buf *body, const struct launch_place *place)
{
    json_put_key(body, "Labels");
    buf_puts(body, "{");
    json_put_member(body, "segue.attempt", place->attempt);
    json_put_member(body, "segue.state", place->state_id);
    buf_puts(body, "}");
}

static void put_strings(struct buf *body, const char *key, const char *const *strings)
{
    json_put_key(body, key);
    buf_putc(body, '[');
    for (size_t i = 0; strings && strings[i]; i++) {
        if (i > 0)
            buf_putc(body, ',');
        json_put_text(body, strings[i]);
    }
    buf_putc(body, ']');
}

/* What is not said otherwise: a home that is writable, and a name for a user that the image does
 * not know, since getpass and others fail without. */
static void put_env(struct buf *body, const char *const *env)
{
    static const struct {
        const char *name, *entry;
    } defaults[] = {
        {"HOME", "HOME=" HOME_DIRECTORY}, {"USER", "USER=segue"}, {"LOGNAME", "LOGNAME=segue"}};
    const char *separator = "";

    json_put_key(body, "Env");
    buf_putc(body, '[');
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (launch_env_find(env, defaults[i].name))
            continue;
        buf_puts(body, separator);
        json_put_text(body, defaults[i].entry);
        separator = ",";
    }
    for (size_t i = 0; env && env[i]; i++) {
        buf_puts(body, separator);
        json_put_text(body, env[i]);
        separator = ",";
    }
    buf_putc(body, ']');
}

/* Mounts and not Binds: with those the engine would make a missing directory, as root. */
static void put_mounts(struct buf *body, const struct launch_place *place)
{
    json_put_key(body, "Mounts");
    buf_putc(body, '[');
    for (size_t i = 0; i < place->mount_count; i++) {
        const struct launch_mount *mount = &place->mounts[i];
        buf_puts(body, i > 0 ? ",{" : "{");
        json_put_member(body, "Type", "bind");
        json_put_member(body, "Source", mount->host);
        json_put_member(body, "Target", mount->inside);
        json_put_member_raw(body, "ReadOnly", mount->read_only ? STR("true") : STR("false"));
        buf_putc(body, '}');
    }
    buf_putc(body, ']');
}

static void put_tmpfs(struct buf *body, const struct launch_place *place)
{
    auto_free char *home =
        mem_printf("rw,exec,nosuid,nodev,mode=0700,uid=%u,gid=%u", place->uid, place->gid);

    json_put_key(body, "Tmpfs");
    buf_putc(body, '{');
    json_put_member(body, "/tmp", "rw,exec,nosuid,nodev,mode=1777");
    json_put_member(body, HOME_DIRECTORY, home);
    buf_putc(body, '}');
}

static void put_resources(struct buf *body, const struct launch_place *place)
{
    uint64_t shm = SHM_BYTES;

    if (place->memory_bytes > 0) {
        json_put_member_int(body, "Memory", (int64_t)place->memory_bytes);
        json_put_member_int(body, "MemorySwap", (int64_t)place->memory_bytes); /* no swap */
        if (place->memory_bytes < shm)
            shm = place->memory_bytes;
    }
    json_put_member_int(body, "ShmSize", (int64_t)shm);
    if (place->cpus > 0)
        json_put_member_int(body, "NanoCpus", (int64_t)(place->cpus * 1e9 + 0.5));
    if (place->nice > 0)
        json_put_member_int(body, "CpuShares", NICE_CPU_SHARES);
    json_put_member_int(body, "PidsLimit", PIDS_LIMIT);
    if (place->gpus > 0) {
        json_put_key(body, "DeviceRequests");
        buf_printf(body, "[{\"Count\":%" PRIu32 ",\"Capabilities\":[[\"gpu\"]]}]", place->gpus);
    }
}

static void put_host_config(struct buf *body, const struct launch_place *place)
{
    json_put_key(body, "HostConfig");
    buf_putc(body, '{');
    json_put_member_raw(body, "Init", STR("true"));
    json_put_member_raw(body, "AutoRemove", STR("false")); /* it would take the exit status along */
    json_put_member(body, "NetworkMode", place->network ? "bridge" : "none");
    json_put_member(body, "IpcMode", "private");
    json_put_member_raw(body, "ReadonlyRootfs", STR("true"));
    json_put_member_raw(body, "CapDrop", STR("[\"ALL\"]"));
    json_put_member_raw(body, "SecurityOpt", STR("[\"no-new-privileges\"]"));
    json_put_member_raw(body, "LogConfig", STR(LOG_CONFIG));
    put_tmpfs(body, place);
    put_mounts(body, place);
    put_resources(body, place);
    buf_putc(body, '}');
}

void launch_docker_put_container(struct buf *body, const struct launch_place *place,
                                 const struct launch_program *program)
{
    auto_free char *user = mem_printf("%u:%u", place->uid, place->gid);

    buf_putc(body, '{');
    json_put_member(body, "Image", place->image);
    json_put_member(body, "User", user);
    json_put_member(body, "WorkingDir", program->cwd);
    /* All of it as the entry point: the image's own would wrap it. */
    put_strings(body, "Entrypoint", program->argv);
    json_put_member_raw(body, "Cmd", STR("[]"));
    put_env(body, program->env);
    json_put_member_raw(body, "AttachStdout", STR("true"));
    json_put_member_raw(body, "AttachStderr", STR("true"));
    json_put_member_raw(body, "Healthcheck", STR("{\"Test\":[\"NONE\"]}"));
    launch_docker_put_labels(body, place);
    put_host_config(body, place);
    buf_putc(body, '}');
}
