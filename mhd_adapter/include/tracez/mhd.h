/* SPDX-License-Identifier: MIT
 *
 * Tracing for applications of libmicrohttpd: a SERVER span for each request, in every threading
 * mode, without a change to handler, con_cls, completed callback, URI logger or unescape callback.
 *
 *   -daemon = MHD_start_daemon(              flags, port, NULL, NULL, handle, state, ...);
 *   +daemon = tracez_mhd_start_daemon(tracing, NULL, flags, port, NULL, NULL, handle, state, ...);
 *
 * or by hand, with the application's callbacks in the configuration:
 *
 *   daemon = MHD_start_daemon(flags, port, NULL, NULL, tracez_mhd_handler, tracing, ...,
 *                             MHD_OPTION_ARRAY, tracez_mhd_options(tracing), MHD_OPTION_END);
 *
 * While the handler runs, the request's span is the thread's current one (tracez_current_span). */
#ifndef TRACEZ_MHD_H
#define TRACEZ_MHD_H

#include <tracez/environment.h>
#include <tracez/http.h>

#include <microhttpd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tracez_mhd;

/* What MHD_OPTION_URI_LOG_CALLBACK takes. */
typedef void *(*tracez_mhd_uri_log_fn)(void *state, const char *uri,
                                       struct MHD_Connection *connection);

struct tracez_mhd_config {
    size_t struct_bytes; /* set by tracez_mhd_config_init */

    struct tracez_tracer *tracer; /* borrowed until destroy */

    /* The application's own callbacks, for who calls MHD_start_daemon by hand; then there must be a
     * handler, or each request is refused. They see what they would see without tracez. NULL: it
     * has none. Options and arguments of tracez_mhd_start_daemon replace them. */
    MHD_AccessHandlerCallback handler;
    void *handler_state;
    MHD_RequestCompletedCallback completed;
    void *completed_state;
    tracez_mhd_uri_log_fn uri_log;
    void *uri_log_state;

    const struct tracez_sampler *sampler; /* borrowed until destroy; NULL: the tracer's */
    struct tracez_collector *collector;   /* NULL: the first that wants a span */
    uint32_t resource;                    /* index into the tracer's config.resources */
    uint32_t max_tag_bytes;               /* 0: the tracer's; else 16 to 32000 */
    unsigned extract;                     /* TRACEZ_PROPAGATE_*, or 0: trust no caller. All */

    const char *redact_query; /* copied. Keys whose values are hidden, separated by blanks or
                                 commas; alone, "all": the whole query, or "off". NULL: the seven
                                 standard keys of tracez_http_redacted_keys_default */
    const char *capture_request_headers; /* copied. Names; NULL: none */

    uint32_t connections_max; /* with a request at a time: 4096; 1 to 1,048,576. At least
                                 MHD_OPTION_CONNECTION_LIMIT: those without a place are served
                                 untraced, and have their completed callback only where con_cls is
                                 set. 4 KiB of memory for each that is used */
};

/* Fills in the defaults. [any] */
#define tracez_mhd_config_init(config)                                                             \
    tracez_mhd_config_init_bytes((config), sizeof(struct tracez_mhd_config))
TRACEZ_API void tracez_mhd_config_init_bytes(struct tracez_mhd_config *config, size_t struct_bytes);

/* What concerns the adapter: OTEL_PROPAGATORS and over it TRACEZ_EXTRACT ("w3c", "b3", "off"),
 * TRACEZ_REDACT_QUERY, TRACEZ_CAPTURE_REQUEST_HEADERS, TRACEZ_CONNECTIONS. [setup] */
TRACEZ_API void tracez_mhd_config_read_environment(struct tracez_mhd_config *config,
                                                   const struct tracez_environment *environment);

/* Set-up. *tracing is owned by the caller on TRACEZ_OK, NULL otherwise. config is copied. Errors:
 * INVALID, NO_MEMORY. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_mhd_create(const struct tracez_mhd_config *config, struct tracez_mhd **tracing,
                  struct tracez_error *error);

/* After MHD_stop_daemon, and before the tracer goes. NULL is fine. [setup] */
TRACEZ_API void tracez_mhd_destroy(struct tracez_mhd *tracing);

/* Starts a daemon as MHD_start_daemon does, with the same arguments; what there is of the
 * application's NOTIFY_COMPLETED and URI_LOG_CALLBACK among the options is chained. Stopped with
 * MHD_stop_daemon. Several daemons may share one tracing if their callbacks are the same. NULL:
 * error (optional) says why. [setup] */
TRACEZ_API struct MHD_Daemon *
tracez_mhd_start_daemon(struct tracez_mhd *tracing, struct tracez_error *error, unsigned flags,
                        uint16_t port, MHD_AcceptPolicyCallback accept_policy,
                        void *accept_policy_state, MHD_AccessHandlerCallback handler,
                        void *handler_state, ...);

/* By hand: the handler for MHD_start_daemon, with tracing as its state, ... */
TRACEZ_API enum MHD_Result tracez_mhd_handler(void *tracing, struct MHD_Connection *connection,
                                              const char *url, const char *method,
                                              const char *version, const char *upload_data,
                                              size_t *upload_data_size, void **con_cls);

/* ... and what goes behind MHD_OPTION_ARRAY, as the last option: a later one of the same kind
 * replaces it, and requests are served untraced. Lives as long as tracing. [any] */
TRACEZ_API const struct MHD_OptionItem *tracez_mhd_options(const struct tracez_mhd *tracing);

/* ---- For handlers, content readers, and threads that answer suspended connections ------------ */

/* The span of the connection's request; {0} when there is none, or it is not recorded. A handle
 * taken in the handler may be used anywhere, at any time. [any, while the request lives] */
TRACEZ_API struct tracez_span tracez_mhd_span(struct MHD_Connection *connection);

/* Its identity, recorded or not, for what the request calls in turn; false, and *context zeroed,
 * when it is not traced. Its tracestate borrows from the request. [any, while the request lives] */
TRACEZ_API bool tracez_mhd_context(struct MHD_Connection *connection,
                                   struct tracez_context *context);

/* Names the route, of low cardinality: "/users/{id}". It is a tag, and part of the span's name;
 * NULL is ignored.
 * [any, while the request lives] */
TRACEZ_API void tracez_mhd_set_route(struct MHD_Connection *connection, const char *route);

/* A tag with a text; other types through tracez_mhd_span. [any, while the request lives] */
TRACEZ_API void tracez_mhd_set_tag(struct MHD_Connection *connection, const char *key,
                                   const char *value);

#ifdef __cplusplus
}
#endif

#endif
