/* client_cut: a message that is too long for a client, as messages that are not.
 *
 * A stream is sent in parts. Of anything else the client is told that it was left out, in such a
 * way that nobody waits for it: a request gets a reply that says so, what is published becomes a
 * line on stderr. Pure functions.
 */
#ifndef SEGUE_KERNEL_GATEWAY_CLIENT_CUT_H
#define SEGUE_KERNEL_GATEWAY_CLIENT_CUT_H

#include "base/str.h"
#include "kernel-gateway/connection.h"
#include "kernel-gateway/wire.h"

#include <stddef.h>

/* In either protocol a frame without buffers is shorter than its parts, its header once more, and
 * this. */
#define CLIENT_FRAME_EXTRA 256

/* A message without buffers. */
struct client_piece {
    enum channel channel;
    struct str parts[WIRE_PART_COUNT];
};

/* Hands over what takes the place of `message`, which is of `size` bytes in all: each piece fits
 * into a frame of `cap` bytes, and its parts are as client_text_put makes them. Where a cap is so
 * low that no note fits: nothing. */
void client_cut(const struct client_piece *message, size_t size, size_t cap,
                void (*put)(void *user, const struct client_piece *piece), void *user);

#endif
