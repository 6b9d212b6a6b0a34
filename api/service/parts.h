/* parts: what a running service is made of, as its resources see it.
 *
 *   service.c        life: from options to a listening server and back
 *   routes.c         the table of paths
 *   runs.c ...       one file per resource: the handlers that routes.c names
 *
 * A handler gets the service as its `user`. Everything here may be used from any thread: the engine
 * by its engine_post functions, the store through a reader. Belongs to service.c, which alone
 * changes it.
 */
#ifndef SEGUE_API_PARTS_H
#define SEGUE_API_PARTS_H

#include "api/jupyter/jupyter.h"
#include "api/server/server.h"
#include "api/service/options.h"
#include "api/service/run_cache.h"
#include "api/service/streams.h"
#include "runner/engine/engine.h"
#include "runner/jobs/jobs.h"
#include "runner/store/readers.h"

#include <pthread.h>
#include <stdatomic.h>

struct service {
    struct loop *loop;
    const struct service_options *options;
    struct state state;
    char *projects; /* the directory below which projects lie: absolute, without links */
    char *sdk_dir;
    char *token;
    struct engine *engine;
    struct gateway *gateway;
    struct jupyter *jupyter;
    struct readers *readers;
    struct jobs *jobs;
    struct streams *streams;
    struct run_cache *run_cache;
    struct server *_Atomic server; /* NULL in the moment in which it begins to listen */
    atomic_bool has_failed;        /* the store cannot be written at present */
    pthread_t stopper;             /* the thread that stops the server */
    bool is_stopping;
    int stopped_fd; /* readable when it has */
};

#endif
