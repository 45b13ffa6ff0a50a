/* SPDX-License-Identifier: MIT
 *
 * The exporter: a background thread that sends a tracer's finished spans to a backend, in batches
 * of JSON over pooled connections, and frees their space once the backend has taken them.
 *
 * It holds the leases of all collectors while it runs; of several exporters over the same shared
 * buffer (nginx's workers) each has a lane, and who has none waits to take one over. Nothing it
 * does reaches the request path but one eventfd write a batch. */
#ifndef TRACEZ_EXPORTER_H
#define TRACEZ_EXPORTER_H

#include <tracez/environment.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What batches look like: all of them JSON, with the same spans in it. */
enum tracez_format {
    TRACEZ_FORMAT_OTLP = 0,   /* "otlp": OpenTelemetry's, over HTTP */
    TRACEZ_FORMAT_ZIPKIN = 1, /* "zipkin": Zipkin v2 */
    TRACEZ_FORMAT_TRACEZ = 2  /* "tracez": an array of plain objects */
};

/* Its name; NULL for what is none. [any] */
TRACEZ_API const char *tracez_format_name(enum tracez_format format);

/* The format of this name, or INVALID with a text that names those that there are. [any] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_format_parse(const char *name, enum tracez_format *format, struct tracez_error *error);

/* What becomes of an endpoint's path. */
enum tracez_endpoint_form {
    TRACEZ_ENDPOINT_COMPLETED = 0, /* without one it gets the format's */
    TRACEZ_ENDPOINT_EXACT = 1,     /* it stays as it is */
    TRACEZ_ENDPOINT_BASE = 2       /* the format's is added to it */
};

enum tracez_compression { TRACEZ_COMPRESSION_NONE = 0, TRACEZ_COMPRESSION_GZIP = 1 };

/* "Authorization", "Bearer …". Never logged, never in an error text. */
struct tracez_header {
    const char *name;
    const char *value;
};

/* Of a collector that is not sent as the others are: errors every second, the rest every five. */
struct tracez_collector_pace {
    const char *collector; /* its name */
    uint32_t interval_ms;  /* 0: the exporter's; both in its ranges */
    uint32_t batch_size;   /* likewise */
};

struct tracez_exporter_config {
    size_t struct_bytes; /* set by tracez_exporter_config_init */

    const char *endpoint; /* "unix:/run/otel.sock"; NULL: http://localhost:4318, with zipkin
                             http://localhost:9411 */
    enum tracez_endpoint_form endpoint_form;
    enum tracez_format format;
    const struct tracez_header *headers; /* up to 32 */
    size_t header_count;
    const char *header_list; /* further ones: "name=value,name=value", values percent-encoded, 16
                                KiB; or NULL */
    enum tracez_compression compression; /* of bodies: none */

    /* TLS, in PEM. A text (copied) has precedence over a file, which create reads. */
    struct tracez_text trusted_certificate; /* authorities, in place of the system's; up to 1 MiB */
    struct tracez_text certificate;         /* our own, and those between it and its authority */
    struct tracez_text certificate_key;     /* without a password */
    const char *trusted_certificate_file;
    const char *certificate_file;
    const char *certificate_key_file;
    bool verify; /* who answers: true */

    /* Proxies, http or https, each with its port: "http://proxy:3128". */
    const char *proxy;       /* to whatever endpoint; "": none; NULL: by the next three */
    const char *http_proxy;  /* to http endpoints that are not on this machine; or NULL */
    const char *https_proxy; /* likewise, https */
    const char *no_proxy;    /* hosts without those two: "a.example,.b.example,10.0.0.0/8", "*" */

    uint32_t interval_ms; /* a batch leaves at the latest after: 5000; 10 to 3,600,000 */
    uint32_t batch_size;  /* spans a batch: 512; 1 to 65,536 */
    const struct tracez_collector_pace *paces; /* of some collectors; none has two */
    size_t pace_count;
    uint32_t max_batch_bytes;      /* one request body: 4 MiB; 64 KiB to 64 MiB */
    uint32_t connections;          /* requests in flight: 10; 1 to 100 */
    uint32_t keepalive_timeout_ms; /* connections idle for longer are not used again: 90,000 */
    uint32_t timeout_ms;           /* one request, start to end: 30,000; 1 to 3,600,000 */
    uint32_t connect_timeout_ms;   /* 2000 */
    uint32_t low_speed_timeout_ms; /* so long with under 64 bytes a second: 30,000; 1000 to
                                      3,600,000, in whole seconds */
    uint32_t retry_min_ms;         /* first and longest wait before trying again: 1000, 30,000 */
    uint32_t retry_max_ms;
    uint32_t retry_max_elapsed_ms; /* give a batch up after: 0, for ever */
    uint32_t shutdown_timeout_ms;  /* stop flushes for at most: 5000 */
    uint32_t max_threads;          /* exporters that may run in this process, this one included: 0,
                                    * any number; beyond it start is BUSY */

    /* For each lane of the tracer an eventfd that the host shares between processes (borrowed); -1:
     * one of its own. */
    int wake_fds[TRACEZ_LANES_MAX];
};

/* Fills in the defaults. [any] */
#define tracez_exporter_config_init(config)                                                        \
    tracez_exporter_config_init_bytes((config), sizeof(struct tracez_exporter_config))
TRACEZ_API void tracez_exporter_config_init_bytes(struct tracez_exporter_config *config,
                                                  size_t struct_bytes);

/* Sets interval_ms as the preset of this environment has it (tracez_config_apply_preset). Apply it
 * before anything that is set by itself. NULL or "": changes nothing. INVALID: the name is unknown;
 * the preset for such was applied. [any] */
TRACEZ_API enum tracez_result
tracez_exporter_config_apply_preset(struct tracez_exporter_config *config, const char *name);

/* What concerns the exporter, in OpenTelemetry's names and over them in tracez's:
 * OTEL_EXPORTER_OTLP_ENDPOINT (a base), _HEADERS, _COMPRESSION, _TIMEOUT, _CERTIFICATE,
 * _CLIENT_CERTIFICATE, _CLIENT_KEY, each also as
 * OTEL_EXPORTER_OTLP_TRACES_* (that endpoint is exact), OTEL_BSP_SCHEDULE_DELAY,
 * OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BSP_EXPORT_TIMEOUT; http_proxy, https_proxy, all_proxy,
 * no_proxy, also in capitals but for the first; TRACEZ_EXPORTER_ENDPOINT, _FORMAT, _HEADERS,
 * _COMPRESSION, _TIMEOUT_MS, _CONNECT_TIMEOUT_MS, _INTERVAL_MS, _BATCH_SIZE, _CONNECTIONS,
 * _SHUTDOWN_TIMEOUT_MS; before all, the preset that TRACEZ_ENVIRONMENT names (whether it is known,
 * tracez_config_read_environment tells). What of the others can't be had (another protocol) is
 * told. Values that are secret are not. [setup] */
TRACEZ_API void
tracez_exporter_config_read_environment(struct tracez_exporter_config *config,
                                        const struct tracez_environment *environment);

/* Checks everything in config without making anything: INVALID with a text that names value and
 * range. [any] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_exporter_check(const struct tracez_exporter_config *config, struct tracez_error *error);

/* Reads a PEM file of up to 1 MiB, for where create could not: before privileges are given up. The
 * text is the caller's, until it is wiped and freed by the second. Errors: INVALID, NO_MEMORY.
 * [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_exporter_read_pem(const char *path, struct tracez_text *pem, struct tracez_error *error);
TRACEZ_API void tracez_exporter_free_pem(struct tracez_text *pem);

struct tracez_exporter;

/* Set-up. config is copied, tracer borrowed until destroy. No thread and no socket yet. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_exporter_create(const struct tracez_exporter_config *config, struct tracez_tracer *tracer,
                       struct tracez_exporter **exporter, struct tracez_error *error);

/* Starts the thread, with no CPU affinity and all signals blocked, but SIGPROF where that has a
 * handler: the thread is profiled, too. Errors: SYSTEM, NO_MEMORY. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_exporter_start(struct tracez_exporter *exporter, struct tracez_error *error);

/* Flushes what is buffered, for at most timeout_ms, and ends the thread. What could not be sent by
 * then is counted as shutdown_deadline. With keep_rest another process goes on here: only requests
 * in flight may come to their end, for at most timeout_ms, and all else stays in the buffer.
 * TIMED_OUT: the thread still runs, and destroy will leak what it may touch; the tracer
 * must then be left alone as well. [owner] */
TRACEZ_API enum tracez_result tracez_exporter_stop(struct tracez_exporter *exporter,
                                                   uint32_t timeout_ms, bool keep_rest);

/* Orders what stop with keep_rest does and does not wait for it: for a process that goes on while
 * another exports. stop follows later; then start may begin anew. [any] */
TRACEZ_API void tracez_exporter_hand_over(struct tracez_exporter *exporter, uint32_t timeout_ms);

/* Stops if need be (with shutdown_timeout_ms) and frees. NULL is fine. [setup] */
TRACEZ_API void tracez_exporter_destroy(struct tracez_exporter *exporter);

/* Sends what is buffered now, without waiting for the interval; does not wait for it. [any] */
TRACEZ_API void tracez_exporter_flush(struct tracez_exporter *exporter);

enum tracez_exporter_state {
    TRACEZ_EXPORTER_WAITING, /* other processes hold all lanes, or not started */
    TRACEZ_EXPORTER_UP,      /* the last attempt succeeded, or there was none yet */
    TRACEZ_EXPORTER_DOWN     /* attempts fail; spans are kept and tried again */
};

/* How values are spread: in each bucket those up to its bound and above the one before, in the last
 * those above all bounds. */
#define TRACEZ_HISTOGRAM_BOUNDS 14

struct tracez_histogram {
    uint64_t buckets[TRACEZ_HISTOGRAM_BOUNDS + 1];
    uint64_t sum; /* of the values */
};

/* The bounds, which are values of the bucket below: 1, 2, 5, 10 ms ... 30 s; 1, 4, 16 ... 32,768.
 */
extern TRACEZ_API const uint64_t tracez_export_duration_bounds_ns[TRACEZ_HISTOGRAM_BOUNDS];
extern TRACEZ_API const uint64_t tracez_batch_spans_bounds[TRACEZ_HISTOGRAM_BOUNDS];

/* Of this exporter alone, since it was made. What all that share a buffer did is in the ledger
 * (tracez_tracer_stats), how full it is in tracez_collector_stats. Where OpenTelemetry's SDK
 * metrics have a name, it stands behind. */
struct tracez_exporter_stats {
    size_t struct_bytes;
    enum tracez_exporter_state state;
    uint32_t lanes; /* bit i: it reads lane i */

    /* spans */
    uint64_t exported;                   /* otel.sdk.exporter.span.exported */
    uint64_t dropped[TRACEZ_DROP_COUNT]; /* the same, with an error.type */
    uint64_t inflight;                   /* otel.sdk.exporter.span.inflight: on their way now */

    /* requests, one batch each */
    uint64_t attempts;          /* that ended, in whatever way */
    uint64_t batches;           /* of these, the ones that the backend accepted */
    uint64_t failed_attempts;   /* of these, the others: without a 2xx */
    uint64_t retries;           /* of attempts, those of a batch that had been sent before */
    uint64_t requests_inflight; /* on their way now */
    uint64_t malformed_responses;
    uint64_t connections_opened;
    uint64_t body_bytes;                        /* in accepted batches, uncompressed */
    uint64_t wire_bytes;                        /* the same as they were sent */
    struct tracez_histogram batch_spans;        /* of accepted batches */
    struct tracez_histogram duration_ns;        /* otel.sdk.exporter.operation.duration: likewise */
    struct tracez_histogram failed_duration_ns; /* the same, with an error.type */

    uint64_t last_success_unix_ns; /* 0: never */
    uint64_t last_error_unix_ns;   /* likewise */
    uint64_t down_since_unix_ns;   /* 0: it is not down */
    char last_error[128]; /* "HTTP 503", "connection refused"; empty when there was none; no secrets
                           */
    char endpoint[256];   /* as used, without user and password */
};

#define tracez_exporter_stats_init(stats)                                                          \
    ((stats)->struct_bytes = sizeof(struct tracez_exporter_stats))

/* [any] */
TRACEZ_API void tracez_exporter_stats(struct tracez_exporter *exporter,
                                      struct tracez_exporter_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
