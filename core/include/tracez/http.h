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

/* ---- Names and queries ----------------------------------------------------------------------- */

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

/* ---- What carries a trace context ------------------------------------------------------------ */

#define TRACEZ_PROPAGATE_W3C 0x01 /* traceparent, tracestate */
#define TRACEZ_PROPAGATE_B3 0x02  /* b3, X-B3-* */

#define TRACEZ_CARRIER_HEADERS 7

/* Begin with zero, set the memory, add every header of the request, then extract. */
struct tracez_carrier {
    char *state_memory; /* for a tracestate on several lines; must live as long as the context.
                           NULL, or too little: such a list is left out */
    size_t state_memory_bytes;
    struct tracez_text headers[TRACEZ_CARRIER_HEADERS]; /* private */
    unsigned char counts[TRACEZ_CARRIER_HEADERS];       /* private */
};

/* Takes a header that carries a part of a context; its value stays borrowed. False: it is none of
 * them. */
TRACEZ_API bool tracez_carrier_add(struct tracez_carrier *carrier, struct tracez_text name,
                                   struct tracez_text value);

/* Reads what was added, by any of these formats, W3C's first. False, and *context zeroed, when
 * there is nothing valid. The context's tracestate borrows from the header, or from state_memory.
 */
TRACEZ_API bool tracez_carrier_extract(const struct tracez_carrier *carrier, unsigned formats,
                                       struct tracez_context *context);

/* ---- Headers as tags ------------------------------------------------------------------------- */

#define TRACEZ_HTTP_CAPTURES_MAX 32 /* names in a list */
#define TRACEZ_HTTP_CAPTURED_MAX 64 /* values of a message; further ones are left out */

enum tracez_http_message { TRACEZ_HTTP_REQUEST, TRACEZ_HTTP_RESPONSE };

/* A list of header names that become http.request.header.<name> or http.response.header.<name>. */
struct tracez_http_captures;

/* names: separated by blanks or commas, in any case. None at all: *captures is NULL, which captures
 * nothing. Errors: INVALID, NO_MEMORY. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_http_captures_create(enum tracez_http_message message, const char *names,
                            struct tracez_http_captures **captures, struct tracez_error *error);
TRACEZ_API void tracez_http_captures_destroy(struct tracez_http_captures *captures); /* [setup] */

/* What a message has of the list. Begin with count 0. Values are borrowed. */
struct tracez_http_captured {
    size_t count;
    unsigned char header[TRACEZ_HTTP_CAPTURED_MAX];
    struct tracez_text values[TRACEZ_HTTP_CAPTURED_MAX];
};

TRACEZ_API void tracez_http_captures_add(const struct tracez_http_captures *captures,
                                         struct tracez_http_captured *captured,
                                         struct tracez_text name, struct tracez_text value);
TRACEZ_API void tracez_http_captures_tag(const struct tracez_http_captures *captures,
                                         const struct tracez_http_captured *captured,
                                         struct tracez_span span);

/* ---- Request and response -------------------------------------------------------------------- */

/* Takes a request target apart, as it stands in the request line: path, and query without "?", each
 * empty where there is none. http://host/path loses its beginning; a fragment is left out. */
TRACEZ_API void tracez_http_split_target(struct tracez_text target, struct tracez_text *path,
                                         struct tracez_text *query);

/* Takes a Host header apart: "name:port", "[address]:port" (the address comes without brackets).
 * *port is 0 where there is none, or none that is valid. */
TRACEZ_API void tracez_http_split_host(struct tracez_text host, struct tracez_text *address,
                                       int *port);

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

/* A client's request. Texts that are empty are left out, and so are numbers that are 0. */
struct tracez_http_call {
    struct tracez_text method;
    struct tracez_text url; /* url.full: user and password become REDACTED, and in its query the
                               values of redacted_keys; server.address and server.port */
    struct tracez_text peer_address;
    int peer_port;
    struct tracez_text protocol_version;     /* 1.0, 1.1, 2, 3 */
    int resend_count;                        /* this is the n-th attempt after the first */
    const struct tracez_text *redacted_keys; /* NULL: none */
    size_t redacted_key_count;
};

/* Sets the tags of a CLIENT span from a request. */
TRACEZ_API void tracez_http_tag_call(struct tracez_span span, const struct tracez_http_call *call);

/* Copies a URL with user and password replaced by REDACTED, and with its query redacted. Cut at
 * redacted_bytes; returns how many bytes were written. No NUL. */
TRACEZ_API size_t tracez_http_redact_url(struct tracez_text url, const struct tracez_text *keys,
                                         size_t key_count, char *redacted, size_t redacted_bytes);

/* Names the route of a request whose span has started: a tag, and part of the span's name. */
TRACEZ_API void tracez_http_set_route(struct tracez_span span, struct tracez_text method,
                                      struct tracez_text route);

/* error.type of a response that did not go out whole. */
#define TRACEZ_HTTP_CLIENT_ABORTED "client_aborted"
#define TRACEZ_HTTP_TIMEOUT "timeout"
#define TRACEZ_HTTP_TRUNCATED "response_truncated"
#define TRACEZ_HTTP_NO_RESPONSE "no_response" /* the application had none */
#define TRACEZ_HTTP_SHUTDOWN "server_shutdown"

/* Sets http.response.status_code (status_code 0: none was sent), the span's status, and error.type:
 * abort_type (one of the above; NULL when the response went out whole) or, for an error status,
 * "503". */
TRACEZ_API void tracez_http_tag_response(struct tracez_span span, enum tracez_span_kind kind,
                                         int status_code, const char *abort_type);

#ifdef __cplusplus
}
#endif

#endif
