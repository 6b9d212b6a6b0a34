/* offers: everything that can be started: the kernels of this machine, and the environments of the
 * projects directory itself and of each project right below it.
 *
 * Clients ask again and again, so what was found is good for some seconds. A list is never changed
 * once it was made, and shared by counting. Any thread; may block for as long as the Docker engine
 * takes.
 */
#ifndef SEGUE_API_JUPYTER_OFFERS_H
#define SEGUE_API_JUPYTER_OFFERS_H

#include "api/jupyter/offer.h"

#include <stdatomic.h>

struct offer_list {
    atomic_uint references;
    struct offer *items; /* names are all different */
    size_t count, capacity;
    const struct offer
        *standard; /* what is started when nobody says what; NULL: there is nothing */
};

struct offers;

/* `default_kernel`: NULL: python3. When it is not there, the first of the list is the default.
 * Borrows all of it. */
struct offers *offers_new(const char *projects, const char *default_kernel,
                          const struct state *state);
void offers_free(struct offers *offers); /* lists live on; NULL is allowed */

enum offers_age {
    OFFERS_RECENT, /* some seconds old at most, or as old as it takes to find out anew */
    OFFERS_NOW,    /* younger than the call */
};

/* To be let go of by offer_list_drop. */
struct offer_list *offers_get(struct offers *offers, enum offers_age age);
void offer_list_drop(struct offer_list *list); /* NULL is allowed */
AUTO_FUNCTION(struct offer_list, offer_list_drop)

/* Names are compared without case; NULL or "": the default. NULL: there is none. */
const struct offer *offer_list_find(const struct offer_list *list, const char *name);

#endif
