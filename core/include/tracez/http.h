/* SPDX-License-Identifier: MIT
 *
 * What HTTP means for a span, the same for every server: OpenTelemetry's HTTP semantic
 * conventions 1.44.0. Adapters fetch text from their server as (pointer, length) and call these;
 * nothing here allocates, and no text needs a NUL at its end. All functions: [any]. */
#ifndef TRACEZ_HTTP_H
#define TRACEZ_HTTP_H

#include <tracez/tracez.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The method to record: the text itself when it is known (CONNECT DELETE GET HEAD OPTIONS PATCH
 * POST PUT TRACE QUERY, case-sensitive), "_OTHER" otherwise. A static string. */
TRACEZ_API const char *tracez_http_method(struct tracez_text method);

/* "{method} {route}", "{method}" without a route, and HTTP in place of an unknown method. Writes at
 * most name_bytes bytes, no NUL, cut at a UTF-8 boundary; returns how many. */
TRACEZ_API size_t tracez_http_span_name(struct tracez_text method, struct tracez_text route,
                                        char *name, size_t name_bytes);

/* Server spans: 5xx is an error, 4xx is not. Client spans: 4xx and 5xx are. */
TRACEZ_API bool tracez_http_status_is_error(enum tracez_span_kind kind, int status_code);

#define TRACEZ_HTTP_REDACTED_KEYS_DEFAULT 7

/* X-Amz-Signature and the like: TRACEZ_HTTP_REDACTED_KEYS_DEFAULT entries. */
extern TRACEZ_API const struct tracez_text
    tracez_http_redacted_keys_default[TRACEZ_HTTP_REDACTED_KEYS_DEFAULT];

/* Copies a query (without "?") with the values of these keys, compared byte for byte, replaced by
 * REDACTED. The result may be longer than the query: at most by 8 bytes a pair. Cut at
 * redacted_bytes; returns how many bytes were written. No NUL. */
TRACEZ_API size_t tracez_http_redact_query(struct tracez_text query, const struct tracez_text *keys,
                                           size_t key_count, char *redacted, size_t redacted_bytes);

/* Does the query hold one of these keys at all? Then it needs redact_query. */
TRACEZ_API bool tracez_http_query_has_secret(struct tracez_text query,
                                             const struct tracez_text *keys, size_t key_count);

/* A server's request. Texts that are empty (bytes 0) are left out of the span. */
struct tracez_http_request {
    struct tracez_text method;         /* as the client sent it */
    struct tracez_text scheme;         /* http, https */
    struct tracez_text path;           /* url.path, without the query */
    struct tracez_text query;          /* url.query, without "?"; redacted here */
    struct tracez_text route;          /* low cardinality: /users/{id} */
    struct tracez_text server_address; /* the Host header's name */
    int server_port;                   /* 0: unknown */
    struct tracez_text client_address;
    struct tracez_text peer_address;
    int peer_port;                       /* 0: unknown */
    struct tracez_text protocol_version; /* 1.0, 1.1, 2, 3 */
    struct tracez_text user_agent;
    const struct tracez_text *redacted_keys; /* NULL: none */
    size_t redacted_key_count;
    bool redact_whole_query;
};

/* Sets the tags of a SERVER span from a request. */
TRACEZ_API void tracez_http_tag_request(struct tracez_span span,
                                        const struct tracez_http_request *request);

/* Sets http.response.status_code (status_code 0: none was sent), the span's status, and error.type:
 * abort_type
 * ("client_aborted", …; NULL when the response went out whole) or, for an error status, "503". */
TRACEZ_API void tracez_http_tag_response(struct tracez_span span, enum tracez_span_kind kind,
                                         int status_code, const char *abort_type);

#ifdef __cplusplus
}
#endif

#endif
