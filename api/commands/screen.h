/* screen: the terminal that stdout is, if it is one.
 *
 * Asked anew each time, as its size may change. Prints nothing.
 */
#ifndef SEGUE_API_SCREEN_H
#define SEGUE_API_SCREEN_H

#include <stdbool.h>

/* In characters; 0: it is none, or does not say. */
int screen_width(void);
int screen_height(void);

/* Can lines that were written be written over? */
bool screen_is_live(void);

#endif
