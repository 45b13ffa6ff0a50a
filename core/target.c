/* SPDX-License-Identifier: MIT
 *
 * What a request is for: its target and its host, taken apart. */
#include "text.h"

#include <tracez/http.h>

static struct tracez_text up_to(struct tracez_text text, char end)
{
    const char *found = text.bytes == 0 ? NULL : memchr(text.text, end, text.bytes);

    return (struct tracez_text){text.text,
                                found == NULL ? text.bytes : (size_t)(found - text.text)};
}

static struct tracez_text behind(struct tracez_text text, size_t bytes)
{
    return (struct tracez_text){text.text + bytes, text.bytes - bytes};
}

/* RFC 3986, section 3.1. */
static bool is_scheme(struct tracez_text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        char lower = text_lower(text.text[i]);
        bool is_letter = lower >= 'a' && lower <= 'z';
        if (!is_letter && (i == 0 || lower == '\0' || strchr("0123456789+-.", lower) == NULL)) {
            return false;
        }
    }
    return text.bytes > 0;
}

/* RFC 9112, section 3.2.2: what a proxy is asked for. */
static struct tracez_text without_origin(struct tracez_text target)
{
    struct tracez_text scheme = up_to(target, ':');
    struct tracez_text rest = behind(target, scheme.bytes);

    if (rest.bytes < 3 || memcmp(rest.text, "://", 3) != 0 || !is_scheme(scheme)) {
        return target;
    }
    rest = behind(rest, 3);
    size_t authority_bytes = up_to(rest, '/').bytes;
    size_t before_query_bytes = up_to(rest, '?').bytes;
    return behind(rest,
                  authority_bytes < before_query_bytes ? authority_bytes : before_query_bytes);
}

void tracez_http_split_target(struct tracez_text target, struct tracez_text *path,
                              struct tracez_text *query)
{
    struct tracez_text local = without_origin(target);
    struct tracez_text whole = up_to(local, '#');

    *path = up_to(whole, '?');
    *query = (struct tracez_text){NULL, 0};
    if (path->bytes < whole.bytes) {
        *query = behind(whole, path->bytes + 1);
    }
    if (path->bytes == 0 && local.text != target.text) {
        *path = (struct tracez_text){"/", 1}; /* http://host means http://host/ */
    }
}

static int parse_port(struct tracez_text text)
{
    int port = 0;

    if (text.bytes == 0 || text.bytes > 5) {
        return 0;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.text[i] < '0' || text.text[i] > '9') {
            return 0;
        }
        port = 10 * port + (text.text[i] - '0');
    }
    return port <= UINT16_MAX ? port : 0;
}

void tracez_http_split_host(struct tracez_text host, struct tracez_text *address, int *port)
{
    struct tracez_text rest;

    *port = 0;
    host = text_trim(host);
    if (host.bytes > 0 && host.text[0] == '[') {
        *address = up_to(behind(host, 1), ']');
        rest = behind(host, address->bytes + 1);
        rest = rest.bytes > 0 ? behind(rest, 1) : rest; /* the bracket */
    } else {
        *address = up_to(host, ':');
        rest = behind(host, address->bytes);
    }
    if (rest.bytes > 0 && rest.text[0] == ':') {
        *port = parse_port(behind(rest, 1));
    }
}
