/* duration: how long, as a person writes it: "90", "90s", "10m", "2h", "1d". Pure. */
#ifndef SEGUE_API_DURATION_H
#define SEGUE_API_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* False: it is none, or longer than `most` seconds. */
bool duration_parse(const char *text, uint32_t most, uint32_t *ret_seconds);

#endif
