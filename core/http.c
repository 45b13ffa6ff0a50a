/* SPDX-License-Identifier: MIT
 *
 * HTTP semantics for every adapter: OpenTelemetry's HTTP semantic conventions 1.44.0 (span name,
 * methods, status, error.type), and the redaction of queries. Works on (pointer, length) text,
 * allocates nothing. */
#include "appender.h"
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

/* The long way for a tag. The appender goes in and out by value, as one whose address is known
 * elsewhere would not stay in registers. */
static __attribute__((noinline)) struct appender
add_long(struct slot *slot, struct appender appender, const struct tracez_tag *tag)
{
    appender_end(&appender, slot);
    span_set_tag_locked(slot, tag);
    return appender_begin(slot);
}

static inline __attribute__((always_inline)) void
add_text(struct slot *slot, struct appender *appender, uint32_t key_id, struct tracez_text value)
{
    if (value.bytes > 0 &&
        !appender_add_tag(appender, key_id, TRACEZ_TAG_STRING, value.text, value.bytes)) {
        const struct tracez_tag tag = {
            .key = tracez_keys[key_id], .type = TRACEZ_TAG_STRING, .value.string = value};
        *appender = add_long(slot, *appender, &tag);
    }
}

static inline void add_port(struct slot *slot, struct appender *appender, uint32_t key_id, int port)
{
    int64_t value = port;

    if (value > 0 && !appender_add_tag(appender, key_id, TRACEZ_TAG_INT, &value, sizeof(value))) {
        const struct tracez_tag tag = {
            .key = tracez_keys[key_id], .type = TRACEZ_TAG_INT, .value.integer = value};
        *appender = add_long(slot, *appender, &tag);
    }
}

static __attribute__((noinline)) void set_query(struct slot *slot,
                                                const struct tracez_http_request *request)
{
    struct tracez_text query = request->query;
    char redacted[QUERY_BYTES_MAX];

    if (request->redact_whole_query) {
        query = (struct tracez_text)TEXT_OF(REDACTED_TEXT);
    } else if (tracez_http_query_has_secret(query, request->redacted_keys,
                                            request->redacted_key_count)) {
        size_t bytes = tracez_http_redact_query(
            query, request->redacted_keys, request->redacted_key_count, redacted, sizeof(redacted));
        query = (struct tracez_text){redacted, bytes};
    }
    if (query.bytes > 0) {
        const struct tracez_tag tag = {
            .key = TRACEZ_KEY(URL_QUERY), .type = TRACEZ_TAG_STRING, .value.string = query};
        span_set_tag_locked(slot, &tag);
    }
}

/* Which text of a request becomes which tag. */
static const struct {
    uint8_t key_id;
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

static __attribute__((noinline)) void set_unknown_method(struct slot *slot,
                                                         struct tracez_text method)
{
    const struct tracez_tag tags[] = {
        {.key = TRACEZ_KEY(HTTP_REQUEST_METHOD),
         .type = TRACEZ_TAG_STRING,
         .value.string = TEXT_OF("_OTHER")},
        {.key = TRACEZ_KEY(HTTP_REQUEST_METHOD_ORIGINAL),
         .type = TRACEZ_TAG_STRING,
         .value.string = method},
    };

    span_set_tag_locked(slot, &tags[0]);
    span_set_tag_locked(slot, &tags[1]);
}

/* All of it under one lock and through one appender: to start anew for each tag would cost as much
 * as the tag. */
static void tag_request_locked(struct slot *slot, const struct tracez_http_request *request)
{
    const struct tracez_text *method = find_method(request->method);

    if (method == NULL && request->method.bytes > 0) {
        set_unknown_method(slot, request->method);
    }
    if (request->query.bytes > 0) {
        set_query(slot, request);
    }
    struct appender appender = appender_begin(slot);
    if (method != NULL) {
        add_text(slot, &appender, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD, *method);
    }
    for (size_t i = 0; i < sizeof(request_texts) / sizeof(request_texts[0]); i++) {
        const void *text = (const char *)request + request_texts[i].offset;
        add_text(slot, &appender, request_texts[i].key_id, *(const struct tracez_text *)text);
    }
    add_port(slot, &appender, TRACEZ_KEY_ID_SERVER_PORT, request->server_port);
    add_port(slot, &appender, TRACEZ_KEY_ID_NETWORK_PEER_PORT, request->peer_port);
    appender_end(&appender, slot);
}

void tracez_http_tag_request(struct tracez_span span, const struct tracez_http_request *request)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        tag_request_locked(slot, request);
        span_unlock(slot, span);
    }
}

bool tracez_http_status_is_error(enum tracez_span_kind kind, int status_code)
{
    return status_code >= (kind == TRACEZ_KIND_CLIENT ? 400 : 500);
}

void tracez_http_tag_response(struct tracez_span span, enum tracez_span_kind kind, int status_code,
                              const char *abort_type)
{
    char text[12];

    if (span.slot == NULL) {
        return;
    }
    if (status_code > 0) {
        tracez_span_set_int(span, TRACEZ_KEY(HTTP_RESPONSE_STATUS_CODE), status_code);
    }
    if (abort_type != NULL) {
        tracez_span_set_error(span, abort_type, NULL);
    } else if (tracez_http_status_is_error(kind, status_code)) {
        snprintf(text, sizeof(text), "%d", status_code);
        tracez_span_set_error(span, text, NULL);
    }
}
