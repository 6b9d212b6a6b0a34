/* inside: where programs in containers find our directories. The first two are promised to users;
 * the others are reached by environment variables only. */
#ifndef SEGUE_RUNNER_INSIDE_H
#define SEGUE_RUNNER_INSIDE_H

#define INSIDE_PROJECT  "/project-dir"
#define INSIDE_DATA     "/data"
#define INSIDE_IO       "/run/segue/io"
#define INSIDE_PIPELINE "/run/segue/pipeline.json"
#define INSIDE_SDK      "/run/segue/sdk"
#define INSIDE_SOCKETS  "/run/segue/kernel"

#endif
