#include "api/service/docs.h"

#include "base/buf.h"

#include <string.h>

/* The two files, as they lie in the source. The path is from the root, where the compiler runs; the
 * Makefile knows that this object depends on them. */
__asm__(".pushsection .rodata\n"
        "docs_openapi_json: .incbin \"api/service/openapi.json\"\n"
        "    .byte 0\n"
        "docs_page_html: .incbin \"api/service/docs.html\"\n"
        "    .byte 0\n"
        ".popsection\n");

extern const char docs_openapi_json[] __attribute__((visibility("hidden")));
extern const char docs_page_html[] __attribute__((visibility("hidden")));

/* Where the page has the description. That is data in a script element, so it may hold no "</". */
static const char PLACE[] = "@OPENAPI@";

void docs_openapi(struct exchange *exchange, void *service)
{
    auto_buf struct buf body = {0};

    (void)service;
    buf_puts(&body, docs_openapi_json);
    exchange_answer_json(exchange, 200, &body);
}

void docs_page(struct exchange *exchange, void *service)
{
    const char *place = strstr(docs_page_html, PLACE);
    auto_buf struct buf body = {0};

    (void)service;
    buf_put(&body, docs_page_html, (size_t)(place - docs_page_html));
    buf_puts(&body, docs_openapi_json);
    buf_puts(&body, place + strlen(PLACE));
    exchange_add_header(
        exchange, "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    exchange_add_header(exchange, "Cache-Control", "no-cache"); /* the next version has another */
    exchange_answer(exchange, 200, "text/html; charset=utf-8", &body);
}
