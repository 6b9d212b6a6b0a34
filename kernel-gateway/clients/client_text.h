/* client_text: the JSON of kernels as every reader of JSON takes it.
 *
 * Kernels send what Python's json module lets through: NaN, bytes that are no UTF-8. A browser's
 * JSON.parse refuses the former, a text frame of a WebSocket must not have the latter. What is
 * right already, nearly everything, is copied as it is. Pure functions.
 */
#ifndef SEGUE_KERNEL_GATEWAY_CLIENT_TEXT_H
#define SEGUE_KERNEL_GATEWAY_CLIENT_TEXT_H

#include "base/buf.h"
#include "base/str.h"

/* Appends a JSON text: each byte that is no UTF-8 as U+FFFD, a bare control character in a string
 * as its escape, and NaN, Infinity and -Infinity as null. What is no JSON stays none, but becomes
 * valid UTF-8. */
void client_text_put(struct buf *out, struct str json);

#endif
