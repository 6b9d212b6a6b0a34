/* place: where a pipeline that somebody names on a command line is for the service, and for us.
 *
 * Owns its texts.
 */
#ifndef SEGUE_API_PLACE_H
#define SEGUE_API_PLACE_H

#include "api/commands/client.h"

#include <stdbool.h>

struct place {
    char *project;       /* below the service's projects directory; "." for that itself */
    char *pipeline_path; /* in the project */
    char *local;         /* the file on this machine; NULL: not known */
};

/* Without `project` the file is one of this machine, which the service can see too, and its project
 * is found by it. With one, `file` is a path in that project of the service; its own place on this
 * machine is looked for where `is_read` says that it will be read. */
int place_find(const struct client *client, const char *file, const char *project, bool is_read,
               struct place *place, struct err *e);

void place_clear(struct place *place); /* an all-zero one is cleared already */
#define auto_place __attribute__((cleanup(place_clear)))

#endif
