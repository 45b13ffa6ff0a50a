/* SPDX-License-Identifier: MIT
 *
 * Checking headers (RFC 9110, section 5). A line break in a value would be a second header of
 * somebody else's choosing. */
#include "header.h"

#include "refusal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHOWN_BYTES_MAX 80

/* What frames the request, or describes a body that only we know. */
static const char *const reserved_names[] = {
    "Connection",     "Content-Encoding",
    "Content-Length", "Content-Type",
    "Expect",         "Host",
    "Keep-Alive",     "TE",
    "Trailer",        "Transfer-Encoding",
    "Upgrade",
};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++) {
        if (strcasecmp(name, reserved_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* RFC 9110, section 5.6.2: how much of this is a token. */
static size_t token_bytes(const char *name)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return strspn(name, allowed);
}

static bool has_control(const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f) {
            return true;
        }
    }
    return false;
}

static enum tracez_result check_one(const struct tracez_header *header, struct tracez_error *error)
{
    if (header->name == NULL || header->value == NULL) {
        return refuse(error, TRACEZ_INVALID, "header rejected: name and value are needed");
    }
    /* Behind the name in what is no name there may be the value: "Authorization: Bearer ...". */
    size_t name_bytes = token_bytes(header->name);
    int shown_bytes = (int)(name_bytes < SHOWN_BYTES_MAX ? name_bytes : SHOWN_BYTES_MAX);
    const char *name = header->name;
    if (name_bytes == 0 || name[name_bytes] != '\0' || name_bytes > HEADER_NAME_BYTES_MAX) {
        return refuse(error, TRACEZ_INVALID,
                      "header name \"%.*s%s\" rejected: 1 to %d letters, digits or "
                      "!#$%%&'*+-.^_`|~",
                      shown_bytes, name, name[shown_bytes] != '\0' ? "..." : "",
                      HEADER_NAME_BYTES_MAX);
    }
    if (is_reserved(name)) {
        return refuse(error, TRACEZ_INVALID, "header \"%s\" rejected: tracez sets it itself", name);
    }
    if (has_control(header->value)) {
        return refuse(error, TRACEZ_INVALID,
                      "value of header \"%.*s\" rejected: it has a line break or another control "
                      "character",
                      shown_bytes, name);
    }
    if (strnlen(header->value, HEADER_VALUE_BYTES_MAX + 1) > HEADER_VALUE_BYTES_MAX) {
        return refuse(error, TRACEZ_INVALID, "value of header \"%.*s\" rejected: over %d bytes",
                      shown_bytes, name, HEADER_VALUE_BYTES_MAX);
    }
    return TRACEZ_OK;
}

enum tracez_result headers_check(const struct tracez_header *headers, size_t header_count,
                                 struct tracez_error *error)
{
    enum tracez_result result = TRACEZ_OK;

    if (header_count > HEADERS_MAX || (header_count > 0 && headers == NULL)) {
        return refuse(error, TRACEZ_INVALID, "%zu headers rejected: up to %d", header_count,
                      HEADERS_MAX);
    }
    for (size_t i = 0; i < header_count && result == TRACEZ_OK; i++) {
        result = check_one(&headers[i], error);
    }
    return result;
}

void header_format(const struct tracez_header *header, char line[HEADER_LINE_BYTES_MAX])
{
    /* To libcurl "Name:" means: do not send it; "Name;" sends it with nothing behind. */
    bool is_empty = header->value[strspn(header->value, " \t")] == '\0';

    snprintf(line, HEADER_LINE_BYTES_MAX, "%s%s%s", header->name, is_empty ? ";" : ": ",
             is_empty ? "" : header->value);
}
