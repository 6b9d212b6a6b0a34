/* A disk that fails: SQLite's own file functions, with writes and syncs that can be told to fail
 * from the n-th on. For a program with one writing store. Included by the tests that need it. */
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

static struct {
    unsigned writes; /* since the last reset */
    unsigned syncs;
    unsigned fail_write; /* this write and the following fail; 0: none */
    unsigned fail_until; /* ... up to this one, which works again; 0: all */
    int fail_code;
    bool fail_syncs;
} disk;

static sqlite3_vfs faulty;
static const sqlite3_vfs *real;

/* Database files have other functions than the WAL; a copy of each kind, changed in two places. */
static sqlite3_io_methods changed[4];
static const sqlite3_io_methods *original[4];

static const sqlite3_io_methods *original_of(const sqlite3_file *file)
{
    return original[(const sqlite3_io_methods *)file->pMethods - changed];
}

static int faulty_write(sqlite3_file *file, const void *data, int count, sqlite3_int64 at)
{
    disk.writes++;
    if (disk.fail_write && disk.writes >= disk.fail_write &&
        (!disk.fail_until || disk.writes < disk.fail_until))
        return disk.fail_code;
    return original_of(file)->xWrite(file, data, count, at);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    disk.syncs++;
    return disk.fail_syncs ? SQLITE_IOERR_FSYNC : original_of(file)->xSync(file, flags);
}

static int faulty_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                       int *ret_flags)
{
    (void)vfs;
    int code = real->xOpen((sqlite3_vfs *)real, name, file, flags, ret_flags);
    if (code != SQLITE_OK || !file->pMethods)
        return code;
    unsigned i = 0;
    while (original[i] && original[i] != file->pMethods)
        i++;
    assert_true(i < sizeof original / sizeof *original);
    original[i] = file->pMethods;
    changed[i] = *file->pMethods;
    changed[i].xWrite = faulty_write;
    changed[i].xSync = faulty_sync;
    file->pMethods = &changed[i];
    return SQLITE_OK;
}

static int faulty_disk_install(void **state)
{
    (void)state;
    real = sqlite3_vfs_find(NULL);
    faulty = *real;
    faulty.zName = "faulty";
    faulty.xOpen = faulty_open;
    faulty.pNext = NULL;
    return sqlite3_vfs_register(&faulty, 1);
}
