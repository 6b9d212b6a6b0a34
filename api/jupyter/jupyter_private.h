/* jupyter_private: what the resources of Jupyter's API have in common. */
#ifndef SEGUE_API_JUPYTER_PRIVATE_H
#define SEGUE_API_JUPYTER_PRIVATE_H

#include "api/jupyter/jupyter.h"
#include "api/jupyter/offers.h"
#include "api/jupyter/session_store.h"
#include "base/json.h"
#include "runner/engine/step_kernels.h"

struct jupyter {
    struct jupyter_options options;
    struct offers *offers;
    struct session_store *sessions;
    int64_t started_us;
};

/* Parses the body, which stays with the exchange; no body is the same as {}. -1: it is no object,
 * and the exchange was answered with 400. */
int jupyter_read_body(struct exchange *exchange, struct json *ret_body);

/* A text of an object in the body, to be free()d; NULL where it is absent or null. ERR_INVALID:
 * anything else. */
int jupyter_read_text(const struct json *body, json_at object, const char *key, char **ret_text,
                      struct err *e);

/* --- kernels, whoever started them --- */

enum kernel_kind { KERNEL_NONE, KERNEL_INTERACTIVE, KERNEL_OF_STEP };

struct any_kernel {
    enum kernel_kind kind;
    struct kernel_view view; /* KERNEL_INTERACTIVE */
    struct step_kernel step; /* KERNEL_OF_STEP */
};

void any_kernel_clear(struct any_kernel *kernel); /* all-zero is cleared already */
#define auto_any_kernel __attribute__((cleanup(any_kernel_clear)))

/* May wait for a keeper for some ms. `kernel` is to be cleared in any case. */
enum kernel_kind any_kernel_find(const struct jupyter *jupyter, const char *id,
                                 struct any_kernel *kernel);

/* All of them at one moment. */
struct kernel_set {
    struct kernel_view *views;
    struct step_kernel *steps;
    size_t view_count, step_count;
};

void kernel_set_read(struct kernel_set *set, const struct jupyter *jupyter);
void kernel_set_clear(struct kernel_set *set);
#define auto_kernel_set __attribute__((cleanup(kernel_set_clear)))

/* Appends the model of a kernel of the set; false: it is none of them. */
bool kernel_set_put(const struct kernel_set *set, const char *id, struct buf *out);

/* Append a kernel's model. */
void kernel_view_put(struct buf *out, const struct kernel_view *view);
void step_kernel_put(struct buf *out, const struct step_kernel *kernel);
void any_kernel_put(struct buf *out, const struct any_kernel *kernel); /* not KERNEL_NONE */

/* Answers 404 with Jupyter's text. */
void jupyter_answer_no_kernel(struct exchange *exchange, const char *id);

/* Answers with {"reason","message"}. */
void jupyter_answer_failure(struct exchange *exchange, int status, const char *reason,
                            const char *message);

#endif
