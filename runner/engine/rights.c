#include "runner/engine/rights.h"

#include <sys/stat.h>
#include <unistd.h>

int rights_in(const char *directory, struct rights *ret_rights, struct err *e)
{
    struct stat st;

    if (stat(directory, &st) < 0)
        return err_errno(e, errno, "cannot look at \"%s\"", directory);
    bool change_user = geteuid() == 0 && st.st_uid != 0;
    *ret_rights = (struct rights){
        .change_user = change_user,
        .uid = change_user ? st.st_uid : geteuid(),
        .gid = change_user ? st.st_gid : getegid(),
    };
    return 0;
}
