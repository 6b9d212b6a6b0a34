#include "api/commands/exit_status.h"

enum exit_status exit_status_of_err(const struct err *e)
{
    switch (e->code) {
    case ERR_INVALID:
    case ERR_NOT_FOUND:
    case ERR_LIMIT:
        return EXIT_INPUT;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return EXIT_UNAVAILABLE;
    case ERR_NONE:
    case ERR_CONFLICT:
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_PROTOCOL:
    case ERR_CANCELLED:
        break;
    }
    return EXIT_NOT_SUCCESS;
}
