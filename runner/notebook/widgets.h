/* widgets: the state of a notebook's widgets, for metadata.widgets of its file.
 *
 * Put together from the comm messages of a run, as nbclient's store_widget_state does it: a member
 * of the state is what was sent last for it, binary parts are kept in base64 by their path. Of
 * Output widgets it also keeps what they have captured. Owns its content; one owner, one thread.
 */
#ifndef SEGUE_RUNNER_WIDGETS_H
#define SEGUE_RUNNER_WIDGETS_H

#include "base/buf.h"
#include "base/json.h"

#include <stdbool.h>

struct widgets;

struct widgets *widgets_new(void);
void widgets_free(struct widgets *widgets);

/* The journal's events `comm` and `widget_output`. What does not look like one is ignored. */
void widgets_comm(struct widgets *widgets, const struct json *doc, json_at event);
void widgets_output(struct widgets *widgets, const struct json *doc, json_at event);

bool widgets_has_state(const struct widgets *widgets);

/* The value of metadata.widgets; taken from a cache while nothing changes. */
void widgets_write(struct widgets *widgets, unsigned depth, struct buf *out);

/* Whether the data of a comm message describes, or for a widget known already may describe, an
 * Output widget; and the outputs that a message sets, from a program and not as an echo of what it
 * was told. JSON_NONE: it sets none. */
bool widgets_is_output_model(const struct json *doc, json_at state);
json_at widgets_set_outputs(const struct json *doc, json_at content);

#endif
