/* slug: names of kernelspecs, made of what people call things. Pure. */
#ifndef SEGUE_API_JUPYTER_SLUG_H
#define SEGUE_API_JUPYTER_SLUG_H

#include "base/buf.h"

/* Appends `text` as Jupyter's paths take it: lower case, whatever is not [a-z0-9_.] as "-", never
 * two of those in a row and none at the ends; what nothing is left of is "x". */
void slug_put(struct buf *out, const char *text);

/* The name of a project's environment: "wine.science", of the projects directory itself (".") just
 * "science". free() it. */
char *slug_of_environment(const char *project, const char *environment);

#endif
