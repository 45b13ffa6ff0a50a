/* SPDX-License-Identifier: MIT
 *
 * Checking headers (RFC 9110, section 5). A line break in a value would be a second header of
 * somebody else's choosing. */
#include "header.h"

#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
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

/* ---- As one text ----------------------------------------------------------------------------- */

static int hex_value(char character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* In place. False: an escape that is none, or stands for a NUL. */
static bool decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '%') {
            int high = hex_value(from[1]);
            int low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0 || high + low == 0) {
                return false;
            }
            *to++ = (char)(high << 4 | low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

/* Without the blanks around it. */
static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t bytes = strlen(text);
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\t')) {
        bytes--;
    }
    text[bytes] = '\0';
    return text;
}

bool header_list_read(struct header_list *list, const char *text)
{
    char *rest = list->text;
    char *pair;

    size_t bytes = strnlen(text, HEADER_LIST_BYTES_MAX);

    list->count = 0;
    if (bytes == HEADER_LIST_BYTES_MAX) {
        return false;
    }
    memcpy(list->text, text, bytes + 1);
    while ((pair = strsep(&rest, ",")) != NULL) {
        char *value = strchr(pair, '=');
        if (*trim(pair) == '\0') {
            continue;
        }
        if (value == NULL || list->count == HEADERS_MAX) {
            return false;
        }
        *value++ = '\0';
        value = trim(value);
        if (!decode(value)) {
            return false;
        }
        list->headers[list->count++] = (struct tracez_header){trim(pair), value};
    }
    return true;
}

enum tracez_result header_list_check(const char *text, size_t other_count,
                                     struct tracez_error *error)
{
    enum tracez_result result;

    if (text == NULL) {
        return TRACEZ_OK;
    }
    struct header_list *list = malloc(sizeof(*list));
    if (list == NULL) {
        return refuse(error, TRACEZ_NO_MEMORY, "header_list: no memory");
    }
    if (!header_list_read(list, text)) {
        result = refuse(error, TRACEZ_INVALID,
                        "header_list rejected: it must be name=value,name=value, percent-encoded, "
                        "up to %d of them and %d bytes",
                        HEADERS_MAX, HEADER_LIST_BYTES_MAX - 1);
    } else if (list->count + other_count > HEADERS_MAX) {
        result = refuse(error, TRACEZ_INVALID, "%zu headers rejected: up to %d",
                        list->count + other_count, HEADERS_MAX);
    } else {
        result = headers_check(list->headers, list->count, error);
    }
    free(list);
    return result;
}

void header_format(const struct tracez_header *header, char line[HEADER_LINE_BYTES_MAX])
{
    /* To libcurl "Name:" means: do not send it; "Name;" sends it with nothing behind. */
    bool is_empty = header->value[strspn(header->value, " \t")] == '\0';

    snprintf(line, HEADER_LINE_BYTES_MAX, "%s%s%s", header->name, is_empty ? ";" : ": ",
             is_empty ? "" : header->value);
}
