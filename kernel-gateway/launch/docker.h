/* docker: calls to the Docker Engine's API over its unix socket.
 *
 * Source: Docker Engine API, versions 1.41 (20.10) and later. Knows where the engine is, which
 * version it speaks, and how it says why it refuses; what is asked of it is the caller's business.
 * A value that owns its texts; calls block, and may be made from any thread, each with a value of
 * its own.
 */
#ifndef SEGUE_KERNEL_GATEWAY_DOCKER_H
#define SEGUE_KERNEL_GATEWAY_DOCKER_H

#include "base/err.h"
#include "base/http.h"
#include "base/json.h"
#include "base/loop.h"

struct docker {
    char *socket_path;
    char version[16]; /* "1.41" */
    int cancel_fd;    /* -1: calls cannot be cancelled */
};

/* Looks for the engine (DOCKER_HOST=unix://..., else /var/run/docker.sock) and asks what it speaks.
 * Errors: ERR_UNAVAILABLE (nobody answers, too old, or DOCKER_HOST is something else),
 * ERR_CANCELLED. */
int docker_open(struct docker *docker, int cancel_fd, struct err *e);
void docker_close(struct docker *docker);
#define auto_docker __attribute__((cleanup(docker_close)))

struct docker_call {
    const char *method;
    const char *path; /* behind the version: "/containers/json" */
    struct str body;  /* JSON; none: no body */
    int timeout_ms;
    size_t answer_cap;   /* 0: what a JSON answer may take */
    int cancel_grace_ms; /* as in http.h */
};

/* Any status is an answer. Errors: ERR_UNAVAILABLE, also for a deadline; ERR_CANCELLED; ERR_LIMIT;
 * ERR_PROTOCOL. */
int docker_call(const struct docker *docker, const struct docker_call *call,
                struct http_answer *answer, struct err *e);

/* The same, and any status but 2xx and 304 is an error with the engine's own words: ERR_NOT_FOUND,
 * ERR_CONFLICT, ERR_INVALID, ERR_IO. */
int docker_demand(const struct docker *docker, const struct docker_call *call,
                  struct http_answer *answer, struct err *e);

/* An answer that goes on; `timeout_ms` is for all of it, 0: no limit. */
struct http_stream *docker_stream(const struct docker *docker, struct loop *loop,
                                  const char *method, const char *path, int timeout_ms,
                                  const struct http_stream_events *events, void *user);

/* What an image is; `doc` borrows from `answer`. ERR_NOT_FOUND: no such image. */
int docker_inspect_image(const struct docker *docker, const char *image, struct http_answer *answer,
                         struct json *doc, struct err *e);

/* Removes a container, running or not; one that is gone already is fine. Cannot be cancelled. */
int docker_remove(const struct docker *docker, const char *id_or_name, struct err *e);

/* Appends "filters=" and one condition on a list, percent-encoded, to a path with a query. */
void docker_put_filter(struct buf *path, const char *key, const char *value);

#endif
