/* Any bytes as a message of a client in the legacy protocol: what is taken is four objects, and can
 * be sent to every kind of client.
 */
#include "tests/fuzz/client_checks.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_client_message struct client_message message = {0}, same = {0};
    struct str frame = {(const char *)data, size};
    struct err e = {0};

    if (client_decode(&message, CLIENT_LEGACY, frame, false, &e) < 0) {
        require(e.code == ERR_INVALID || e.code == ERR_NOT_FOUND, "it says what is wrong");
        require(is_utf8(str_of(e.text)), "in UTF-8");
        require(client_decode(&same, CLIENT_LEGACY, frame, true, &e) < 0, "text or not");
        return 0;
    }
    require(client_decode(&same, CLIENT_LEGACY, frame, true, &e) == 0, "text or not");
    require_same(&message, &same);
    for (int i = 0; i < WIRE_PART_COUNT; i++)
        require(is_object(message.parts[i]), "parts are objects");
    check_sending(&message);
    return 0;
}
