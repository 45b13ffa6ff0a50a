/* SPDX-License-Identifier: MIT
 *
 * What a client's request is for: a whole URL, as a CLIENT span may show it. */
#include "output.h"
#include "text.h"

#include <tracez/http.h>

#define URL_BYTES_MAX 8192 /* of a redacted one; the rest is cut */
#define REDACTED "REDACTED"

/* The parts of a URL, as they stand in it. */
struct url {
    struct tracez_text scheme;    /* without "://" */
    struct tracez_text user_info; /* with "@" */
    struct tracez_text host;      /* with port */
    struct tracez_text path;
    struct tracez_text query; /* without "?"; text NULL: there is none */
};

static struct tracez_text take(struct tracez_text *rest, size_t bytes)
{
    struct tracez_text taken = {rest->text, bytes};

    rest->text += bytes;
    rest->bytes -= bytes;
    return taken;
}

/* The bytes before the first one of these. */
static size_t bytes_before(struct tracez_text text, const char *ends)
{
    size_t bytes = 0;

    while (bytes < text.bytes && (text.text[bytes] == '\0' || !strchr(ends, text.text[bytes]))) {
        bytes++;
    }
    return bytes;
}

/* User and password may hold anything but a slash: they end at the last "@". */
static size_t user_info_bytes(struct tracez_text authority)
{
    size_t bytes = authority.bytes;

    while (bytes > 0 && authority.text[bytes - 1] != '@') {
        bytes--;
    }
    return bytes;
}

/* Without a scheme, as people write URLs for curl, the host comes first. */
static struct url split(struct tracez_text text)
{
    struct tracez_text rest = text;
    struct url url = {.scheme = {rest.text, 0}};
    size_t scheme_bytes = bytes_before(rest, ":/?#");

    if (rest.bytes - scheme_bytes >= 3 && memcmp(rest.text + scheme_bytes, "://", 3) == 0) {
        url.scheme = take(&rest, scheme_bytes);
        take(&rest, 3);
    }
    struct tracez_text authority = take(&rest, bytes_before(rest, "/?#"));
    url.user_info = take(&authority, user_info_bytes(authority));
    url.host = authority;
    url.path = take(&rest, bytes_before(rest, "?#"));
    if (rest.bytes > 0 && rest.text[0] == '?') {
        take(&rest, 1);
        url.query = take(&rest, bytes_before(rest, "#"));
    }
    return url;
}

static void append(struct output *output, struct tracez_text text)
{
    output_append(output, text.text, text.bytes);
}

#define APPEND(output, literal) output_append(output, literal, sizeof(literal) - 1)

static size_t redact(const struct url *url, const struct tracez_text *keys, size_t key_count,
                     char *redacted, size_t redacted_bytes)
{
    struct output output = {redacted, 0, redacted_bytes};

    if (url->scheme.bytes > 0) {
        append(&output, url->scheme);
        APPEND(&output, "://");
    }
    if (url->user_info.bytes > 0) {
        bool has_password = memchr(url->user_info.text, ':', url->user_info.bytes) != NULL;
        APPEND(&output, REDACTED);
        if (has_password) {
            APPEND(&output, ":" REDACTED);
        }
        APPEND(&output, "@");
    }
    append(&output, url->host);
    append(&output, url->path);
    if (url->query.text != NULL) {
        APPEND(&output, "?");
        output.bytes += tracez_http_redact_query(
            url->query, keys, key_count, redacted + output.bytes, output.bytes_max - output.bytes);
    }
    return output.bytes;
}

size_t tracez_http_redact_url(struct tracez_text url, const struct tracez_text *keys,
                              size_t key_count, char *redacted, size_t redacted_bytes)
{
    const struct url parts = split(url);

    return redact(&parts, keys, key_count, redacted, redacted_bytes);
}

static void set_text(struct tracez_span span, const char *key, struct tracez_text value)
{
    if (value.bytes > 0) {
        tracez_span_set_bytes(span, key, value.text, value.bytes);
    }
}

static void set_int(struct tracez_span span, const char *key, int value)
{
    if (value > 0) {
        tracez_span_set_int(span, key, value);
    }
}

static void set_url(struct tracez_span span, const struct tracez_http_call *call)
{
    const struct url url = split(call->url);
    char redacted[URL_BYTES_MAX];
    struct tracez_text address;
    int port;

    if (call->url.bytes == 0) {
        return;
    }
    size_t bytes =
        redact(&url, call->redacted_keys, call->redacted_key_count, redacted, sizeof(redacted));
    set_text(span, TRACEZ_KEY(URL_FULL), (struct tracez_text){redacted, bytes});
    tracez_http_split_host(url.host, &address, &port);
    if (port == 0 && text_equals(url.scheme, "http")) {
        port = 80;
    } else if (port == 0 && text_equals(url.scheme, "https")) {
        port = 443;
    }
    set_text(span, TRACEZ_KEY(SERVER_ADDRESS), address);
    set_int(span, TRACEZ_KEY(SERVER_PORT), port);
}

void tracez_http_tag_call(struct tracez_span span, const struct tracez_http_call *call)
{
    const char *method = tracez_http_method(call->method);

    if (!tracez_span_is_recording(span)) {
        return;
    }
    if (call->method.bytes > 0) {
        tracez_span_set_string(span, TRACEZ_KEY(HTTP_REQUEST_METHOD), method);
    }
    if (call->method.bytes > 0 && !text_equals(call->method, method)) {
        set_text(span, TRACEZ_KEY(HTTP_REQUEST_METHOD_ORIGINAL), call->method);
    }
    set_url(span, call);
    set_text(span, TRACEZ_KEY(NETWORK_PEER_ADDRESS), call->peer_address);
    set_int(span, TRACEZ_KEY(NETWORK_PEER_PORT), call->peer_port);
    set_text(span, TRACEZ_KEY(NETWORK_PROTOCOL_VERSION), call->protocol_version);
    set_int(span, TRACEZ_KEY(HTTP_REQUEST_RESEND_COUNT), call->resend_count);
}
