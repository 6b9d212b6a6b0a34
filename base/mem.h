/* mem: allocation that cannot fail, and locals that clean up after themselves.
 *
 * Running out of memory aborts the process: every size that a user controls has a cap in
 * base/limits.h and is refused before anything is allocated, so an allocation that fails is either
 * a bug or a machine that cannot go on. Safe to call from any thread.
 */
#ifndef SEGUE_BASE_MEM_H
#define SEGUE_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

void *mem_alloc(size_t size);                             /* uninitialised, never NULL */
void *mem_zalloc(size_t size);                            /* zeroed, never NULL */
void *mem_array(size_t count, size_t size);               /* zeroed; aborts on overflow */
void *mem_resize(void *block, size_t count, size_t size); /* realloc; aborts on overflow */
char *mem_strdup(const char *text);                       /* NULL gives NULL */
char *mem_strndup(const char *text, size_t length);       /* copies exactly `length`, adds NUL */
char **mem_copy_texts(char *const *texts);                /* a list with NULL at its end */
void mem_free_texts(char **texts);                        /* NULL is allowed */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more element in a growing array: doubles `*capacity` when `count` has reached
 * it. */
#define mem_grow(array, count, capacity)                                                           \
    do {                                                                                           \
        if ((count) >= (capacity)) {                                                               \
            (capacity) = (capacity) ? (capacity)*2 : 8;                                            \
            (array) = mem_resize((array), (capacity), sizeof *(array));                            \
        }                                                                                          \
    } while (0)

/* Hands a pointer over: gives its value and leaves NULL behind. */
#define take_ptr(pointer)                                                                          \
    __extension__({                                                                                \
        __typeof__(*(pointer)) taken_ = *(pointer);                                                \
        *(pointer) = NULL;                                                                         \
        taken_;                                                                                    \
    })

/* Hands a descriptor over: gives its value and leaves -1 behind. */
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

static inline void mem_auto_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void mem_auto_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* char *p: free(p) at the scope's end; int fd: close(fd) unless negative. */
#define auto_free  __attribute__((cleanup(mem_auto_free)))
#define auto_close __attribute__((cleanup(mem_auto_close)))

/* For one's own types: `auto_with(plan_free_at) struct plan *p`. */
#define auto_with(function) __attribute__((cleanup(function)))
#define AUTO_FUNCTION(type, function)                                                              \
    static inline void function##_at(type **at)                                                    \
    {                                                                                              \
        function(*at);                                                                             \
    }

#endif
