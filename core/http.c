/* SPDX-License-Identifier: MIT
 *
 * HTTP semantics for every adapter: OpenTelemetry's HTTP semantic conventions 1.44.0 (span name,
 * methods, status, error.type), and the redaction of queries. Works on (pointer, length) text,
 * allocates nothing. */
#include "span.h"

#include <tracez/http.h>

#include <stdio.h>
#include <string.h>

#define REDACTED_TEXT "REDACTED"
#define QUERY_BYTES_MAX 8192 /* of a redacted query; the rest is cut */

#define TEXT_OF(literal)                                                                           \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct tracez_text known_methods[] = {
    TEXT_OF("GET"),   TEXT_OF("POST"),    TEXT_OF("HEAD"),  TEXT_OF("PUT"),   TEXT_OF("DELETE"),
    TEXT_OF("PATCH"), TEXT_OF("OPTIONS"), TEXT_OF("TRACE"), TEXT_OF("QUERY"), TEXT_OF("CONNECT"),
};

#define KNOWN_METHODS (sizeof(known_methods) / sizeof(known_methods[0]))

const struct tracez_text tracez_http_redacted_keys_default[TRACEZ_HTTP_REDACTED_KEYS_DEFAULT] = {
    TEXT_OF("X-Amz-Signature"),  TEXT_OF("X-Amz-Credential"), TEXT_OF("X-Amz-Security-Token"),
    TEXT_OF("AWSAccessKeyId"),   TEXT_OF("Signature"),        TEXT_OF("sig"),
    TEXT_OF("X-Goog-Signature"),
};

static const struct tracez_text *find_method(struct tracez_text method)
{
    if (method.bytes == 3 && memcmp(method.text, known_methods[0].text, 3) == 0) {
        return &known_methods[0]; /* GET: most are */
    }
    for (size_t i = 1; i < KNOWN_METHODS; i++) {
        if (known_methods[i].bytes == method.bytes &&
            memcmp(known_methods[i].text, method.text, method.bytes) == 0) {
            return &known_methods[i];
        }
    }
    return NULL;
}

const char *tracez_http_method(struct tracez_text method)
{
    const struct tracez_text *known = find_method(method);

    return known != NULL ? known->text : "_OTHER";
}

/* ---- Output of a bounded length -------------------------------------------------------------- */

struct output {
    char *text; /* no NUL */
    size_t bytes;
    size_t bytes_max;
};

static size_t cut_at_character(const char *text, size_t text_bytes, size_t max_bytes)
{
    size_t bytes = text_bytes;

    if (text_bytes > max_bytes) {
        bytes = max_bytes;
        while (bytes > 0 && max_bytes - bytes < 3 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    return bytes;
}

static void append(struct output *output, const char *text, size_t text_bytes)
{
    size_t bytes = cut_at_character(text, text_bytes, output->bytes_max - output->bytes);

    if (bytes > 0) {
        memcpy(output->text + output->bytes, text, bytes);
        output->bytes += bytes;
    }
    if (bytes < text_bytes) {
        output->bytes_max = output->bytes; /* what is behind a cut must not close up to it */
    }
}

/* ---- Span name ------------------------------------------------------------------------------- */

size_t tracez_http_span_name(struct tracez_text method, struct tracez_text route, char *name,
                             size_t name_bytes)
{
    static const struct tracez_text unknown = TEXT_OF("HTTP");
    const struct tracez_text *known = find_method(method);
    struct output output = {name, 0, name_bytes};

    known = known != NULL ? known : &unknown;
    append(&output, known->text, known->bytes);
    if (route.bytes > 0) {
        append(&output, " ", 1);
        append(&output, route.text, route.bytes);
    }
    return output.bytes;
}

/* ---- Queries --------------------------------------------------------------------------------- */

/* The next key=value pair of a query, and where it ends. */
struct pair {
    struct tracez_text key;
    struct tracez_text value; /* text NULL: there is no "=" */
    size_t end;
};

static struct pair next_pair(struct tracez_text query, size_t position)
{
    const char *start = query.text + position;
    size_t rest = query.bytes - position;
    const char *ampersand = memchr(start, '&', rest);
    size_t bytes = ampersand != NULL ? (size_t)(ampersand - start) : rest;
    const char *equals = memchr(start, '=', bytes);
    struct pair pair = {.key = {start, bytes}, .end = position + bytes};

    if (equals != NULL) {
        pair.key.bytes = (size_t)(equals - start);
        pair.value = (struct tracez_text){equals + 1, bytes - pair.key.bytes - 1};
    }
    return pair;
}

static bool is_secret(struct tracez_text key, const struct tracez_text *keys, size_t key_count)
{
    for (size_t i = 0; i < key_count; i++) {
        if (key.bytes == keys[i].bytes && memcmp(key.text, keys[i].text, key.bytes) == 0) {
            return true;
        }
    }
    return false;
}

bool tracez_http_query_has_secret(struct tracez_text query, const struct tracez_text *keys,
                                  size_t key_count)
{
    for (size_t position = 0; position < query.bytes;) {
        struct pair pair = next_pair(query, position);

        if (pair.value.text != NULL && is_secret(pair.key, keys, key_count)) {
            return true;
        }
        position = pair.end + 1;
    }
    return false;
}

size_t tracez_http_redact_query(struct tracez_text query, const struct tracez_text *keys,
                                size_t key_count, char *redacted, size_t redacted_bytes)
{
    struct output output = {redacted, 0, redacted_bytes};

    for (size_t position = 0; position < query.bytes;) {
        struct pair pair = next_pair(query, position);
        const char *start = query.text + position;

        if (pair.value.text != NULL && is_secret(pair.key, keys, key_count)) {
            append(&output, start, pair.key.bytes + 1);
            append(&output, REDACTED_TEXT, strlen(REDACTED_TEXT));
        } else {
            append(&output, start, pair.end - position);
        }
        if (pair.end < query.bytes) {
            append(&output, "&", 1);
        }
        position = pair.end + 1;
    }
    return output.bytes;
}

/* ---- Request and response -------------------------------------------------------------------- */

static __attribute__((noinline)) void set_redacted_query(struct slot *slot,
                                                         const struct tracez_http_request *request)
{
    char redacted[QUERY_BYTES_MAX];
    size_t bytes =
        tracez_http_redact_query(request->query, request->redacted_keys,
                                 request->redacted_key_count, redacted, sizeof(redacted));

    if (bytes > 0) {
        span_set_text_locked(slot, TRACEZ_KEY_ID_URL_QUERY, (struct tracez_text){redacted, bytes});
    }
}

static void set_query(struct slot *slot, const struct tracez_http_request *request)
{
    struct tracez_text query = request->query;

    if (request->redact_whole_query) {
        query = (struct tracez_text)TEXT_OF(REDACTED_TEXT);
    } else if (tracez_http_query_has_secret(query, request->redacted_keys,
                                            request->redacted_key_count)) {
        set_redacted_query(slot, request);
        return;
    }
    span_set_text_locked(slot, TRACEZ_KEY_ID_URL_QUERY, query);
}

static void set_method(struct slot *slot, struct tracez_text method)
{
    const struct tracez_text *known = find_method(method);

    if (known != NULL) {
        span_set_text_locked(slot, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD, *known);
    } else if (method.bytes > 0) {
        span_set_text_locked(slot, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD,
                             (struct tracez_text)TEXT_OF("_OTHER"));
        span_set_text_locked(slot, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD_ORIGINAL, method);
    }
}

/* Which text of a request becomes which tag, unless it is empty. */
static const struct {
    uint8_t key;
    uint8_t offset;
} request_texts[] = {
    {TRACEZ_KEY_ID_URL_SCHEME, offsetof(struct tracez_http_request, scheme)},
    {TRACEZ_KEY_ID_URL_PATH, offsetof(struct tracez_http_request, path)},
    {TRACEZ_KEY_ID_HTTP_ROUTE, offsetof(struct tracez_http_request, route)},
    {TRACEZ_KEY_ID_SERVER_ADDRESS, offsetof(struct tracez_http_request, server_address)},
    {TRACEZ_KEY_ID_CLIENT_ADDRESS, offsetof(struct tracez_http_request, client_address)},
    {TRACEZ_KEY_ID_NETWORK_PEER_ADDRESS, offsetof(struct tracez_http_request, peer_address)},
    {TRACEZ_KEY_ID_NETWORK_PROTOCOL_VERSION,
     offsetof(struct tracez_http_request, protocol_version)},
    {TRACEZ_KEY_ID_USER_AGENT_ORIGINAL, offsetof(struct tracez_http_request, user_agent)},
};

static void set_texts(struct slot *slot, const struct tracez_http_request *request)
{
    for (size_t i = 0; i < sizeof(request_texts) / sizeof(request_texts[0]); i++) {
        const void *text = (const char *)request + request_texts[i].offset;
        struct tracez_text value = *(const struct tracez_text *)text;

        if (value.bytes > 0) {
            span_set_text_locked(slot, request_texts[i].key, value);
        }
    }
}

/* All tags under one lock: taking it anew for each would cost as much as they do. */
void tracez_http_tag_request(struct tracez_span span, const struct tracez_http_request *request)
{
    struct slot *slot = span_lock(span);

    if (slot == NULL) {
        return;
    }
    set_method(slot, request->method);
    set_texts(slot, request);
    if (request->query.bytes > 0) {
        set_query(slot, request);
    }
    if (request->server_port > 0) {
        span_set_int_locked(slot, TRACEZ_KEY_ID_SERVER_PORT, request->server_port);
    }
    if (request->peer_port > 0) {
        span_set_int_locked(slot, TRACEZ_KEY_ID_NETWORK_PEER_PORT, request->peer_port);
    }
    span_unlock(slot, span);
}

bool tracez_http_status_is_error(enum tracez_span_kind kind, int status_code)
{
    return status_code >= (kind == TRACEZ_KIND_CLIENT ? 400 : 500);
}

void tracez_http_tag_response(struct tracez_span span, enum tracez_span_kind kind, int status_code,
                              const char *abort_type)
{
    struct slot *slot = span_lock(span);
    char text[12];

    if (slot == NULL) {
        return;
    }
    if (status_code > 0) {
        span_set_int_locked(slot, TRACEZ_KEY_ID_HTTP_RESPONSE_STATUS_CODE, status_code);
    }
    if (abort_type == NULL && tracez_http_status_is_error(kind, status_code)) {
        snprintf(text, sizeof(text), "%d", status_code);
        abort_type = text;
    }
    if (abort_type != NULL) {
        span_set_error_locked(slot, abort_type, NULL);
    }
    span_unlock(slot, span);
}
