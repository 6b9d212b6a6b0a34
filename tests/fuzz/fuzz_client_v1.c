/* Any bytes as a message of a client in v1: what is taken lies inside, is written again the same,
 * and can be sent to every kind of client.
 */
#include "tests/fuzz/client_checks.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_client_message struct client_message message = {0};
    struct err e = {0};

    if (client_decode(&message, CLIENT_V1, (struct str){(const char *)data, size}, false, &e) < 0) {
        require(e.code == ERR_INVALID || e.code == ERR_NOT_FOUND, "it says what is wrong");
        require(is_utf8(str_of(e.text)), "in UTF-8");
        return 0;
    }
    check_sending(&message);
    return 0;
}
