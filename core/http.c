/* SPDX-License-Identifier: MIT
 *
 * HTTP semantics for every adapter: OpenTelemetry's HTTP semantic conventions 1.44.0 (span name,
 * methods, status, error.type), and the redaction of queries. Works on (pointer, length) text,
 * allocates nothing. */
#include "output.h"
#include "span.h"

#include <tracez/http.h>

#include <stdio.h>
#include <string.h>

#define REDACTED_TEXT "REDACTED"
#define SPAN_NAME_BYTES_MAX 1024
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

/* ---- Span name ------------------------------------------------------------------------------- */

size_t tracez_http_span_name(struct tracez_text method, struct tracez_text route, char *name,
                             size_t name_bytes)
{
    static const struct tracez_text unknown = TEXT_OF("HTTP");
    const struct tracez_text *known = find_method(method);
    struct output output = {name, 0, name_bytes};

    known = known != NULL ? known : &unknown;
    output_append(&output, known->text, known->bytes);
    if (route.bytes > 0) {
        output_append(&output, " ", 1);
        output_append(&output, route.text, route.bytes);
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
            output_append(&output, start, pair.key.bytes + 1);
            output_append(&output, REDACTED_TEXT, strlen(REDACTED_TEXT));
        } else {
            output_append(&output, start, pair.end - position);
        }
        if (pair.end < query.bytes) {
            output_append(&output, "&", 1);
        }
        position = pair.end + 1;
    }
    return output.bytes;
}

/* ---- Request and response -------------------------------------------------------------------- */

/* Which text of a request becomes which tag, unless it is empty. */
#define REQUEST_TEXTS(X)                                                                           \
    X(URL_SCHEME, scheme)                                                                          \
    X(URL_PATH, path)                                                                              \
    X(HTTP_ROUTE, route)                                                                           \
    X(SERVER_ADDRESS, server_address)                                                              \
    X(CLIENT_ADDRESS, client_address)                                                              \
    X(NETWORK_PEER_ADDRESS, peer_address)                                                          \
    X(NETWORK_PROTOCOL_VERSION, protocol_version)                                                  \
    X(USER_AGENT_ORIGINAL, user_agent)

#define REQUEST_TAGS_MAX 11
#define REQUEST_OTHER_BYTES 32 /* values of the method and the ports */

static const uint64_t request_keys =
#define REQUEST_KEY(name, field) KEY_BIT(TRACEZ_KEY_ID_##name) |
    REQUEST_TEXTS(REQUEST_KEY)
#undef REQUEST_KEY
        KEY_BIT(TRACEZ_KEY_ID_HTTP_REQUEST_METHOD) |
    KEY_BIT(TRACEZ_KEY_ID_SERVER_PORT) | KEY_BIT(TRACEZ_KEY_ID_NETWORK_PEER_PORT);

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

static void set_text_locked(struct slot *slot, uint32_t key_id, struct tracez_text value)
{
    const struct tracez_tag tag = {
        .key = tracez_keys[key_id], .type = TRACEZ_TAG_STRING, .value.string = value};

    if (value.bytes > 0) {
        span_set_tag_locked(slot, &tag);
    }
}

static void set_port_locked(struct slot *slot, uint32_t key_id, int port)
{
    const struct tracez_tag tag = {
        .key = tracez_keys[key_id], .type = TRACEZ_TAG_INT, .value.integer = port};

    if (port > 0) {
        span_set_tag_locked(slot, &tag);
    }
}

static __attribute__((noinline)) void set_request_long(struct slot *slot,
                                                       const struct tracez_http_request *request,
                                                       struct tracez_text method)
{
    set_text_locked(slot, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD, method);
#define SET(name, field) set_text_locked(slot, TRACEZ_KEY_ID_##name, request->field);
    REQUEST_TEXTS(SET)
#undef SET
    set_port_locked(slot, TRACEZ_KEY_ID_SERVER_PORT, request->server_port);
    set_port_locked(slot, TRACEZ_KEY_ID_NETWORK_PEER_PORT, request->peer_port);
}

/* Can all tags of the request be appended without looking at each? None is there yet, none is long,
 * there is room. */
static inline bool is_short(const struct slot *slot, const struct tracez_http_request *request)
{
    size_t bytes = REQUEST_TAGS_MAX * ENTRY_HEADER_BYTES + REQUEST_OTHER_BYTES;
    bool are_short = slot->short_bytes_max > REQUEST_OTHER_BYTES;

#define MEASURE(name, field)                                                                       \
    bytes += request->field.bytes;                                                                 \
    are_short &= request->field.bytes <= slot->short_bytes_max;
    REQUEST_TEXTS(MEASURE)
#undef MEASURE
    return are_short && (slot->known_keys & request_keys) == 0 &&
           slot->record.tag_count + REQUEST_TAGS_MAX <= TRACEZ_TAGS_MAX &&
           bytes <= slot->entries_capacity - slot->record.entries_bytes;
}

/* Where the next entry goes, and how many tags there are with it. */
struct place {
    unsigned char *at;
    uint32_t tags;
};

static inline struct place put(struct place place, uint32_t key_id, uint32_t type,
                               const void *value, size_t value_bytes)
{
    entry_header_write(
        place.at, (struct entry_header){(uint8_t)type, (uint8_t)key_id, 0, (uint16_t)value_bytes});
    entry_copy_short(place.at + ENTRY_HEADER_BYTES, value, value_bytes);
    return (struct place){place.at + ENTRY_HEADER_BYTES + value_bytes, place.tags + 1};
}

static inline struct place put_text(struct place place, uint32_t key_id, struct tracez_text value)
{
    return value.bytes > 0 ? put(place, key_id, TRACEZ_TAG_STRING, value.text, value.bytes) : place;
}

static inline struct place put_port(struct place place, uint32_t key_id, int port)
{
    int64_t value = port;

    return port > 0 ? put(place, key_id, TRACEZ_TAG_INT, &value, sizeof(value)) : place;
}

static inline void set_request_short(struct slot *slot, const struct tracez_http_request *request,
                                     struct tracez_text method)
{
    struct place place = {slot->entries + slot->record.entries_bytes, slot->record.tag_count};

    place = put_text(place, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD, method);
#define PUT(name, field) place = put_text(place, TRACEZ_KEY_ID_##name, request->field);
    REQUEST_TEXTS(PUT)
#undef PUT
    place = put_port(place, TRACEZ_KEY_ID_SERVER_PORT, request->server_port);
    place = put_port(place, TRACEZ_KEY_ID_NETWORK_PEER_PORT, request->peer_port);
    slot->record.entries_bytes = (uint32_t)(place.at - slot->entries);
    slot->record.tag_count = (uint16_t)place.tags;
    slot->known_keys |= request_keys; /* a filter may claim too much */
}

void tracez_http_tag_request(struct tracez_span span, const struct tracez_http_request *request)
{
    const struct tracez_text *known = find_method(request->method);
    struct tracez_text method = request->method;
    struct slot *slot = span_lock(span);

    if (slot == NULL) {
        return;
    }
    if (known != NULL) {
        method = *known;
    } else if (method.bytes > 0) {
        set_text_locked(slot, TRACEZ_KEY_ID_HTTP_REQUEST_METHOD_ORIGINAL, method);
        method = (struct tracez_text)TEXT_OF("_OTHER");
    }
    if (is_short(slot, request)) {
        set_request_short(slot, request, method);
    } else {
        set_request_long(slot, request, method);
    }
    if (request->query.bytes > 0) {
        set_query(slot, request);
    }
    span_unlock(slot, span);
}

void tracez_http_set_route(struct tracez_span span, struct tracez_text method,
                           struct tracez_text route)
{
    char name[SPAN_NAME_BYTES_MAX];

    if (tracez_span_is_recording(span)) {
        tracez_span_set_bytes(span, TRACEZ_KEY(HTTP_ROUTE), route.text, route.bytes);
        tracez_span_set_name(span, name, tracez_http_span_name(method, route, name, sizeof(name)));
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
    if (abort_type == NULL && tracez_http_status_is_error(kind, status_code)) {
        snprintf(text, sizeof(text), "%d", status_code);
        abort_type = text;
    }
    if (abort_type != NULL) {
        tracez_span_set_error(span, abort_type, NULL);
    }
}
