/* Checks of calls that may fail, and files that are changed behind a store's back. Included by the
 * tests that need them. */
#include "base/err.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err e_ = {0};                                                                       \
        struct err *e = &e_;                                                                       \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, e_.text);                                                    \
    } while (0)

/* Gives the err of a call that must fail. */
#define REFUSED(wanted, call)                                                                      \
    __extension__({                                                                                \
        static struct err e_;                                                                      \
        struct err *e = &e_;                                                                       \
        e_ = (struct err){0};                                                                      \
        assert_int_equal((call), -1);                                                              \
        if (e_.code != (wanted))                                                                   \
            fail_msg("%s: %s (%s)", #call, err_name(e_.code), e_.text);                            \
        e_.text;                                                                                   \
    })

/* Changes the file behind the store's back. */
static inline void raw(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static inline void overwrite(const char *path, off_t from, size_t len)
{
    auto_free char *junk = mem_alloc(len);
    memset(junk, 0x5a, len);
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, junk, len, from), (ssize_t)len);
}
