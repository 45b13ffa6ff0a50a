/* SPDX-License-Identifier: MIT
 *
 * Headers that become tags, by a list that is made at set-up: http.request.header.<name> and
 * http.response.header.<name>, arrays of strings, the name in lower case.
 *
 * The list is one allocation: the struct, then its keys one after another. A name is the end of its
 * key. */
#include "result.h"
#include "text.h"

#include <tracez/http.h>

#include <stdlib.h>

#define SEPARATORS " \t,"
#define NAME_BYTES_MAX 128

struct tracez_http_captures {
    size_t prefix_bytes;
    size_t count;
    struct {
        char *key; /* NUL-terminated */
        size_t name_bytes;
    } headers[TRACEZ_HTTP_CAPTURES_MAX];
    char keys[];
};

/* RFC 9110, section 5.6.2: token. */
static bool is_token(const char *name, size_t name_bytes)
{
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return strspn(name, allowed) >= name_bytes;
}

/* The index of this name; the count when it is not among them. */
static size_t find(const struct tracez_http_captures *captures, const char *name, size_t name_bytes)
{
    size_t index = 0;

    while (index < captures->count &&
           (captures->headers[index].name_bytes != name_bytes ||
            !text_equals_lower(name, captures->headers[index].key + captures->prefix_bytes,
                               name_bytes))) {
        index++;
    }
    return index;
}

/* Writes a key at *end and moves it on. */
static void append(struct tracez_http_captures *captures, const char *prefix, const char *name,
                   size_t name_bytes, char **end)
{
    char *at = *end;

    captures->headers[captures->count].key = at;
    captures->headers[captures->count].name_bytes = name_bytes;
    captures->count++;
    memcpy(at, prefix, captures->prefix_bytes);
    at += captures->prefix_bytes;
    for (size_t i = 0; i < name_bytes; i++) {
        *at++ = text_lower(name[i]);
    }
    *at++ = '\0';
    *end = at;
}

static enum tracez_result fill(struct tracez_http_captures *captures, const char *names,
                               const char *prefix, struct tracez_error *error)
{
    char *end = captures->keys;

    for (const char *name = names + strspn(names, SEPARATORS); *name != '\0';) {
        size_t name_bytes = strcspn(name, SEPARATORS);

        if (name_bytes > NAME_BYTES_MAX || !is_token(name, name_bytes)) {
            return fail(error, TRACEZ_INVALID,
                        "header name \"%.*s\" rejected: 1 to %d letters, digits or "
                        "!#$%%&'*+-.^_`|~",
                        (int)(name_bytes > NAME_BYTES_MAX ? NAME_BYTES_MAX : name_bytes), name,
                        NAME_BYTES_MAX);
        }
        if (find(captures, name, name_bytes) == captures->count) {
            if (captures->count == TRACEZ_HTTP_CAPTURES_MAX) {
                return fail(error, TRACEZ_INVALID, "header name \"%.*s\" rejected: up to %d names",
                            (int)name_bytes, name, TRACEZ_HTTP_CAPTURES_MAX);
            }
            append(captures, prefix, name, name_bytes, &end);
        }
        name += name_bytes;
        name += strspn(name, SEPARATORS);
    }
    return TRACEZ_OK;
}

enum tracez_result tracez_http_captures_create(enum tracez_http_message message, const char *names,
                                               struct tracez_http_captures **captures,
                                               struct tracez_error *error)
{
    const char *prefix =
        message == TRACEZ_HTTP_RESPONSE ? "http.response.header." : "http.request.header.";
    size_t keys_bytes;

    *captures = NULL;
    if (names == NULL || names[strspn(names, SEPARATORS)] == '\0') {
        return TRACEZ_OK;
    }
    /* Each key is at most the prefix, the name, and a NUL. */
    keys_bytes = strlen(names) + TRACEZ_HTTP_CAPTURES_MAX * (strlen(prefix) + 1);
    struct tracez_http_captures *created = calloc(1, sizeof(*created) + keys_bytes);
    if (created == NULL) {
        return fail(error, TRACEZ_NO_MEMORY, "no memory for a list of headers");
    }
    created->prefix_bytes = strlen(prefix);
    enum tracez_result result = fill(created, names, prefix, error);
    if (result != TRACEZ_OK) {
        tracez_http_captures_destroy(created);
        return result;
    }
    *captures = created;
    return TRACEZ_OK;
}

void tracez_http_captures_destroy(struct tracez_http_captures *captures)
{
    free(captures);
}

void tracez_http_captures_add(const struct tracez_http_captures *captures,
                              struct tracez_http_captured *captured, struct tracez_text name,
                              struct tracez_text value)
{
    if (captures == NULL || captured->count == TRACEZ_HTTP_CAPTURED_MAX) {
        return;
    }
    size_t index = find(captures, name.text, name.bytes);
    if (index < captures->count) {
        captured->header[captured->count] = (uint8_t)index;
        captured->values[captured->count] = value;
        captured->count++;
    }
}

void tracez_http_captures_tag(const struct tracez_http_captures *captures,
                              const struct tracez_http_captured *captured, struct tracez_span span)
{
    struct tracez_text values[TRACEZ_HTTP_CAPTURED_MAX];

    if (captures == NULL || captured->count == 0) {
        return;
    }
    for (size_t header = 0; header < captures->count; header++) {
        struct tracez_tag tag = {
            .key = captures->headers[header].key,
            .type = TRACEZ_TAG_STRINGS,
            .value.strings.items = values,
        };

        for (size_t i = 0; i < captured->count; i++) {
            if (captured->header[i] == header) {
                values[tag.value.strings.count++] = captured->values[i];
            }
        }
        if (tag.value.strings.count > 0) {
            tracez_span_set_tag(span, &tag);
        }
    }
}
