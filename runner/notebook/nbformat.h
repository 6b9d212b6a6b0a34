/* nbformat: writes JSON the way Python's nbformat writes a notebook's file: members sorted, one
 * space per level, long texts as lists of lines.
 *
 * An nb_object is an object being put together from members of a document and new ones; it is
 * sorted and de-duplicated when it is written: of members with the same name the last added counts.
 * It owns its names and borrows all values until it is cleared. `depth` is always the level of the
 * value that is written, 0 for the file's outermost object. One owner, one thread.
 */
#ifndef SEGUE_RUNNER_NBFORMAT_H
#define SEGUE_RUNNER_NBFORMAT_H

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* --- texts --- */

/* Length of the first line of `text`, its end included, as Python's str.splitlines has it: besides
 * \n, \r and \r\n a line ends at \v, \f, U+001C to U+001E, U+0085, U+2028 and U+2029. 0: no text.
 */
size_t nb_line_len(struct str text);

/* A text as a list of its lines. */
void nb_write_lines(struct str text, unsigned depth, struct buf *out);

/* The value that nbformat reads: a string, or the joined elements of a list of strings. False, and
 * nothing appended, for anything else. */
bool nb_join(const struct json *doc, json_at at, struct buf *out);

/* A mime bundle (data of an output, one attachment): texts of text types, SVG and JavaScript in
 * lines, other texts in one piece, JSON types as they are. */
void nb_write_bundle(const struct json *doc, json_at at, unsigned depth, struct buf *out);

void nb_write_break(unsigned depth, struct buf *out); /* a new line and its indentation */

/* --- objects --- */

struct nb_member;

struct nb_object {
    struct nb_member *members;
    size_t count, capacity;
};

typedef void nb_write_fn(const void *user, unsigned depth, struct buf *out);

void nb_object_clear(struct nb_object *object);
#define auto_nb_object __attribute__((cleanup(nb_object_clear)))

void nb_add_all(struct nb_object *object, const struct json *doc, json_at from);
void nb_add_node(struct nb_object *object, const char *key, const struct json *doc, json_at at);
void nb_add_raw(struct nb_object *object, const char *key, struct str json);   /* written already */
void nb_add_text(struct nb_object *object, const char *key, const char *text); /* NULL: null */
void nb_add_lines(struct nb_object *object, const char *key, struct str text);
void nb_add_call(struct nb_object *object, const char *key, nb_write_fn *write, const void *user);
void nb_add_call_str(struct nb_object *object, struct str key, nb_write_fn *write,
                     const void *user);
void nb_drop(struct nb_object *object, const char *key); /* as if never added */

void nb_object_write(struct nb_object *object, unsigned depth, struct buf *out);

#endif
