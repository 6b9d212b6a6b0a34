/* run_doc: a run as the API gives it: what is read from it, and how it is shown.
 *
 * Borrows the document. What is missing or of another type is taken as unknown, so that a newer
 * service can be asked too. Pure functions.
 */
#ifndef SEGUE_API_RUN_DOC_H
#define SEGUE_API_RUN_DOC_H

#include "api/commands/exit_status.h"
#include "api/commands/table.h"
#include "base/json.h"
#include "runner/status.h"

/* Characters that a run is named by for people. */
#define RUN_SHORT 8

/* A member as text; NULL: it is none. free() it. */
char *run_doc_text(const struct json *doc, json_at object, const char *key);
int64_t run_doc_int(const struct json *doc, json_at object, const char *key, int64_t otherwise);

/* PENDING where it cannot be read. */
enum status run_doc_status(const struct json *doc, json_at object);

/* What the run is called: its pipeline's name, else its path. free() it. */
char *run_doc_name(const struct json *doc, json_at run);

/* A step's title, else its file path, else its uuid. free() it. */
char *run_doc_label(const struct json *doc, json_at step);

/* The first characters of a uuid, which people name it by; NULL: there is none. free() it. */
char *run_doc_short_id(const struct json *doc, json_at object, const char *key);

/* "2026-12-01 06:00:00" by the clock of this machine; NULL: there is none. free() it. */
char *run_doc_time(const struct json *doc, json_at object, const char *key);

/* What the end of the run means. */
enum exit_status run_doc_exit_status(const struct json *doc, json_at run);

/* The step that a person means: by uuid, title or file path, where exactly one fits. ERR_INVALID or
 * ERR_NOT_FOUND. */
int run_doc_find_step(const struct json *doc, json_at run, const char *word, json_at *ret_step,
                      struct err *e);

/* --- showing --- */

/* On stdout, for programs: an item as JSON on a line of its own, and each of an array so. */
void run_doc_print_line(const struct json *doc, json_at item);
void run_doc_print_lines(const struct json *doc, json_at items);

/* A table of runs, a line each, of which run_doc_add fills in one. `now_us`: wall clock. */
struct table *run_doc_list_new(void);
void run_doc_add(struct table *list, const struct json *doc, json_at run, int64_t now_us);

/* The run with its steps and why some failed. `width`: see table_put. */
void run_doc_put(const struct json *doc, json_at run, int64_t now_us, int width, struct buf *out);

/* Why it does not run yet: "number 2 in the queue, ..."; nothing where it does not wait. */
void run_doc_put_waiting(const struct json *doc, json_at run, struct buf *out);

#endif
