/* SPDX-License-Identifier: MIT
 *
 * tracez: spans for C servers, in the order of a span's life.
 *
 *   context   where in which trace we are; a plain value that travels in headers
 *   sampler   record this span, or not, and why
 *   tracer    what is set up once: buffers, limits, sampler
 *   span      start, tag, finish; a handle passed by value
 *   scope     the thread's current span, for code that gets no parent passed
 *   collector the bounded buffer of finished spans; <tracez/reader.h> takes them out again
 *   stats     the ledger: what became of every span
 *
 * Thread words: [any] from any thread at any time between the tracer's creation and destruction;
 * [owner] by one thread at a time; [setup] before sharing the object, or after all its users
 * stopped. Ownership words: borrowed (for the call), copied, taken, owned by the caller.
 *
 * Set-up functions return enum tracez_result and explain themselves in an optional struct
 * tracez_error. Span calls return nothing, allocate nothing, never block, never change errno: what
 * goes wrong is dropped and counted. None of them may be called from a signal handler. */
#ifndef TRACEZ_TRACEZ_H
#define TRACEZ_TRACEZ_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tracez/keys.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRACEZ_VERSION "0.1.0"

#if defined(__GNUC__)
#define TRACEZ_API __attribute__((visibility("default")))
#define TRACEZ_MUST_CHECK __attribute__((warn_unused_result))
#define TRACEZ_PRINTF(position, first) __attribute__((format(printf, position, first)))
#else
#define TRACEZ_API
#define TRACEZ_MUST_CHECK
#define TRACEZ_PRINTF(position, first)
#endif

/* The version of the library that is linked, as in "0.1.0". [any] */
TRACEZ_API const char *tracez_version(void);

/* ---- Results --------------------------------------------------------------------------------- */

#define TRACEZ_RESULTS(X)                                                                          \
    X(OK, "done")                                                                                  \
    X(INVALID, "a value is out of its range")                                                      \
    X(NO_MEMORY, "no memory")                                                                      \
    X(BUSY, "somebody else holds it")                                                              \
    X(TIMED_OUT, "not done before the deadline")                                                   \
    X(FOREIGN, "the memory holds something else, or another layout")                               \
    X(SYSTEM, "the operating system refused")

enum tracez_result {
#define TRACEZ_RESULT_NAME(name, text) TRACEZ_##name,
    TRACEZ_RESULTS(TRACEZ_RESULT_NAME)
#undef TRACEZ_RESULT_NAME
};

/* Why set-up failed, as a sentence that names the value and what would be allowed. */
struct tracez_error {
    enum tracez_result result;
    char text[252];
};

/* "a value is out of its range" for TRACEZ_INVALID. A static string, never NULL. [any] */
TRACEZ_API const char *tracez_result_text(enum tracez_result result);

/* For adapters: fills error, which may be NULL, and returns result, so that a check can end in
 * `return tracez_error_fill(...)`. [any] */
TRACEZ_API enum tracez_result tracez_error_fill(struct tracez_error *error,
                                                enum tracez_result result, const char *format, ...)
    TRACEZ_PRINTF(3, 4);

struct tracez_text {
    const char *text; /* borrowed; need not end in NUL, may hold any byte */
    size_t bytes;
};

/* ---- Context --------------------------------------------------------------------------------- */

#define TRACEZ_TRACE_ID_BYTES 16
#define TRACEZ_SPAN_ID_BYTES 8
#define TRACEZ_TRACEPARENT_TEXT_BYTES 56  /* 55 characters and a NUL */
#define TRACEZ_TRACESTATE_TEXT_BYTES 1024 /* what format_tracestate never exceeds, with its NUL */

/* W3C Trace Context level 2, section 3.2.2.5. */
#define TRACEZ_FLAG_SAMPLED 0x01
#define TRACEZ_FLAG_RANDOM 0x02

/* What B3 says beyond that; kept in this process, never part of a traceparent. */
#define TRACEZ_FLAG_DEBUG 0x40     /* sampled, whatever anybody's rate */
#define TRACEZ_FLAG_UNDECIDED 0x80 /* the caller leaves it to us to sample or not */

/* One span's identity as it travels. All zero means: no context. */
struct tracez_context {
    uint8_t trace_id[TRACEZ_TRACE_ID_BYTES];
    uint8_t span_id[TRACEZ_SPAN_ID_BYTES];
    uint8_t flags;          /* TRACEZ_FLAG_* */
    bool is_remote;         /* it came in with a request */
    uint64_t threshold;     /* 56-bit sampling threshold to publish as ot=th:, 0 for none */
    const char *tracestate; /* borrowed: lives as long as the header it was parsed from */
    size_t tracestate_bytes;
};

/* A trace id and a span id that are both not zero. [any] */
TRACEZ_API bool tracez_context_is_valid(const struct tracez_context *context);

/* Reads one traceparent header value (blanks around it allowed). False, and *context zeroed, when
 * W3C Trace Context level 2 calls it invalid. More than one such header: do not call, start anew.
 * [any] */
TRACEZ_API bool tracez_context_parse_traceparent(struct tracez_context *context, const char *text,
                                                 size_t text_bytes);

/* Checks a tracestate (several header lines joined with commas) and lets the context borrow it;
 * call it after parse_traceparent succeeded. False: the list is malformed or too long and is left
 * out. [any] */
TRACEZ_API bool tracez_context_parse_tracestate(struct tracez_context *context, const char *text,
                                                size_t text_bytes);

/* Reads one b3 header value (openzipkin/b3-propagation, single header). False, and *context zeroed,
 * when it is malformed. A decision without ids ("0", "1", "d") is a context whose ids are zero: as
 * the parent of a span it begins a trace, and is obeyed. [any] */
TRACEZ_API bool tracez_context_parse_b3(struct tracez_context *context, const char *text,
                                        size_t text_bytes);

/* The values of X-B3-TraceId, X-B3-SpanId, X-B3-Sampled and X-B3-Flags; empty where there is none.
 */
struct tracez_b3_headers {
    struct tracez_text trace_id;
    struct tracez_text span_id;
    struct tracez_text sampled;
    struct tracez_text flags;
};

/* The same of several headers. [any] */
TRACEZ_API bool tracez_context_parse_b3_headers(struct tracez_context *context,
                                                const struct tracez_b3_headers *headers);

/* Writes "00-{trace id}-{span id}-{flags}" with a NUL. [any] */
TRACEZ_API void tracez_context_format_traceparent(const struct tracez_context *context,
                                                  char text[TRACEZ_TRACEPARENT_TEXT_BYTES]);

/* Writes the tracestate to pass on: ot=th: first where a threshold is to be published, then the
 * list as it came; entries over 128 characters, then the last ones, go first when it does not fit.
 * Returns its length without the NUL, 0 when there is nothing to pass on. [any] */
TRACEZ_API size_t tracez_context_format_tracestate(const struct tracez_context *context, char *text,
                                                   size_t text_bytes);

/* Lower-case hex with a NUL: 32 and 16 digits. [any] */
TRACEZ_API void tracez_context_format_trace_id(const struct tracez_context *context, char text[33]);
TRACEZ_API void tracez_context_format_span_id(const struct tracez_context *context, char text[17]);

/* ---- Tags ------------------------------------------------------------------------------------ */

enum tracez_tag_type {
    TRACEZ_TAG_STRING = 1,
    TRACEZ_TAG_INT = 2,
    TRACEZ_TAG_DOUBLE = 3,
    TRACEZ_TAG_BOOL = 4,
    TRACEZ_TAG_STRINGS = 5 /* an array of strings */
};

struct tracez_tag {
    const char *key; /* NUL-terminated; a TRACEZ_KEY_* constant is stored in one byte */
    enum tracez_tag_type type;
    union {
        struct tracez_text string;
        int64_t integer;
        double real;
        bool boolean;
        struct {
            const struct tracez_text *items;
            size_t count;
        } strings;
    } value;
};

/* ---- Sampler --------------------------------------------------------------------------------- */

enum tracez_span_kind { /* OTLP's numbers */
                        TRACEZ_KIND_INTERNAL = 1,
                        TRACEZ_KIND_SERVER = 2,
                        TRACEZ_KIND_CLIENT = 3,
                        TRACEZ_KIND_PRODUCER = 4,
                        TRACEZ_KIND_CONSUMER = 5
};

struct tracez_sampling_query {
    const struct tracez_context *parent; /* NULL for a root; without ids: only a decision came in */
    const uint8_t *trace_id;             /* 16 bytes: the parent's, or the new one */
    enum tracez_span_kind kind;
    struct tracez_text name;
    struct tracez_tracer *tracer; /* who asks: for its clock, and the state of its collectors */
};

struct tracez_keep;

struct tracez_sampling_decision {
    bool record;          /* keep the span in this process */
    bool sampled;         /* the flag to pass on */
    double rate;          /* probability that led here, 0 to 1 */
    uint64_t threshold;   /* 56 bits, 0 when nothing is to be published */
    const char *reason;   /* static: "always", "never", "ratio", "parent", "name" ... */
    const char *strategy; /* static; tagged together with rate and reason; NULL: nothing is */
    const struct tracez_keep *keep; /* decides at the end (sampler.h); NULL: it is decided */
};

struct tracez_sampler;

typedef void (*tracez_sampler_fn)(const struct tracez_sampler *sampler,
                                  const struct tracez_sampling_query *query,
                                  struct tracez_sampling_decision *decision);

/* A plain value: a function with what it needs. Your own sampler sets decide and state; it runs on
 * the request path, from any thread. */
struct tracez_sampler {
    tracez_sampler_fn decide;
    const void *state; /* borrowed for as long as the sampler is in use */
    double rate;
    uint64_t threshold;
};

TRACEZ_API struct tracez_sampler tracez_sampler_always(void);
TRACEZ_API struct tracez_sampler tracez_sampler_never(void);

/* Keeps this share of all traces, chosen by the right-most 56 bits of the trace id, so that all
 * services that see a trace decide alike. A rate outside 0..1 or NaN is taken for the nearest bound
 * (NaN: 0). */
TRACEZ_API struct tracez_sampler tracez_sampler_ratio(double rate);

/* Follows the parent's sampled flag; asks root (borrowed while in use) where there is no parent, or
 * one that left it undecided. */
TRACEZ_API struct tracez_sampler tracez_sampler_parent_based(const struct tracez_sampler *root);

/* ---- Tracer ---------------------------------------------------------------------------------- */

#define TRACEZ_COLLECTORS_MAX 16
#define TRACEZ_RESOURCES_MAX 64
#define TRACEZ_LANES_MAX 16
#define TRACEZ_TAGS_MAX 128  /* a span */
#define TRACEZ_EVENTS_MAX 32 /* a span */
#define TRACEZ_LINKS_MAX 8   /* a span */
#define TRACEZ_WRITERS_MAX                                                                         \
    64 /* threads or processes with counters of their own; further ones share */

struct tracez_tracer;
struct tracez_collector;
struct tracez_record; /* a finished span, read-only: <tracez/reader.h> */

/* Who sends the spans: service.name and further resource attributes. */
struct tracez_resource {
    const char *service_name;      /* copied; NULL: that of attributes, else "unknown_service" */
    const struct tracez_tag *tags; /* copied */
    size_t tag_count;
    const char *attributes; /* copied; further ones, "key=value,key=value", values percent-encoded;
                               of the same key tags win; or NULL */
};

enum tracez_match {
    TRACEZ_MATCH_ALL,
    TRACEZ_MATCH_ERRORS, /* spans whose status is error */
    TRACEZ_MATCH_NAME,   /* spans of exactly this name */
    TRACEZ_MATCH_CALLBACK,
    TRACEZ_MATCH_NAMED_ONLY, /* spans started with options.collector set to this one */
    TRACEZ_MATCH_NAMED_REST  /* those of them that no other collector wants */
};

typedef bool (*tracez_match_fn)(const struct tracez_record *record, void *state);

/* A bounded buffer of finished spans. A span goes to the first of the tracer's collectors that
 * wants it. */
struct tracez_collector_config {
    const char *name;   /* copied, up to 63 bytes; unique in the tracer */
    uint32_t spans_max; /* 1 to 16,777,216; 8192 where 0 */
    uint32_t writers;   /* how many threads or processes write; 1 to 64; where 0, the processors,
                         * and at least 8 */
    enum tracez_match match;
    const char *match_name;
    tracez_match_fn match_fn; /* runs on the request path */
    void *match_state;
};

/* How many spans a collector should hold that gets so many a second and is sent this often: half as
 * many again as come in an interval, 100 to 50,000. For spans_max. [any] */
TRACEZ_API uint32_t tracez_collector_capacity_for(uint32_t spans_per_second, uint32_t interval_ms);

/* Replaceable in tests. Both return nanoseconds and must be callable from any thread. */
struct tracez_clock {
    uint64_t (*monotonic_ns)(void *state);
    uint64_t (*unix_ns)(void *state);
    void *state;
};

struct tracez_config {
    size_t struct_bytes; /* set by tracez_config_init */

    const struct tracez_resource
        *resources;                  /* the first is the default; NULL: one with service_name */
    size_t resource_count;           /* up to TRACEZ_RESOURCES_MAX */
    const char *service_name;        /* the default resource where resources is NULL */
    const char *resource_attributes; /* and its attributes; or NULL */

    const struct tracez_collector_config *collectors; /* NULL: one, "default", of spans_max */
    size_t collector_count;                           /* up to TRACEZ_COLLECTORS_MAX */
    uint32_t spans_max;                               /* of the default collector: 8192 */

    uint32_t live_spans_max; /* spans that may be unfinished at once: 4096; 1 to 1,048,576 */
    uint32_t span_bytes_max; /* one span with its tags: 16384; 2048 to 65536 */
    uint32_t max_tag_bytes;  /* one string value: 1000; 16 to 32000; longer ones are cut */

    /* Bounds on what tracing may cost. What is over them is dropped before it costs anything, as
     * TRACEZ_DROP_RATE and TRACEZ_DROP_MEMORY_LIMIT. 0: no bound. */
    uint32_t max_spans_per_second; /* recorded; up to 1,000,000,000 */
    uint32_t spans_burst;          /* recorded at once, after a while with fewer; 0: twice those */
    size_t max_memory;             /* bytes of buffer, ledger and live spans together */

    double sample_rate;            /* share of new traces to keep: 1; 0 to 1 */
    struct tracez_sampler sampler; /* where its function is NULL: by the parent's decision, and by
                                      sample_rate where there is none */
    bool is_disabled;              /* nothing is recorded, contexts are handed on as they came in */
    struct tracez_clock clock;     /* the system's, where its functions are NULL */

    /* For processes that share one buffer (nginx's workers); all NULL and 0 for a tracer of its
     * own. Memory is borrowed until the tracer is destroyed, aligned to 64, and was formatted by
     * tracez_buffer_format and tracez_ledger_format. */
    void *buffer_memory;
    size_t buffer_bytes;
    void *ledger_memory;
    size_t ledger_bytes;
    uint32_t writer; /* with ledger_memory: this process's line, 0 to TRACEZ_WRITERS_MAX - 1 */
    bool is_single_threaded; /* only one thread of this process makes span calls: they cost less,
                                and after SIGKILL the books are exact to the span */

    /* Into how many lanes the shards of each collector are divided: 1; 1 to TRACEZ_LANES_MAX. Each
     * has a lease of its own, so that as many processes can read at once. */
    uint32_t lanes;
};

/* Fills in the defaults. [any] */
#define tracez_config_init(config) tracez_config_init_bytes((config), sizeof(struct tracez_config))
TRACEZ_API void tracez_config_init_bytes(struct tracez_config *config, size_t struct_bytes);

/* Set-up. *tracer is owned by the caller on TRACEZ_OK, NULL otherwise. Everything in config but the
 * memory and the states of callbacks is copied. Errors: INVALID, NO_MEMORY, FOREIGN. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_tracer_create(const struct tracez_config *config, struct tracez_tracer **tracer,
                     struct tracez_error *error);

/* Frees the tracer and, where it has memory of its own, what is still buffered. Every span handle
 * is void after this. NULL is fine. [setup] */
TRACEZ_API void tracez_tracer_destroy(struct tracez_tracer *tracer);

/* The tracer's monotonic clock: a moment for options.start_monotonic_ns, so that a span whose start
 * was taken before it was known to be one costs no clock read more. [any] */
TRACEZ_API uint64_t tracez_tracer_now_ns(const struct tracez_tracer *tracer);

/* For memory that is shared: ends what the writer of a process that died left unfinished. Its live
 * spans are counted as TRACEZ_DROP_WORKER_LOST, and what it had locked in the buffer is freed.
 * Nobody else may use that writer meanwhile, and nobody but the caller may before it is done; done
 * twice, it is done once. [any] */
TRACEZ_API void tracez_tracer_take_over(struct tracez_tracer *tracer, uint32_t writer);

/* The least max_memory for this configuration: buffer and ledger, and one live span. 0: it is
 * invalid, error says why. [any] */
TRACEZ_API size_t tracez_memory_bytes_min(const struct tracez_config *config,
                                          struct tracez_error *error);

/* Bytes of buffer_memory that this configuration needs, 0 when it is invalid (error says why); and
 * of ledger_memory, always the same. [any] */
TRACEZ_API size_t tracez_buffer_bytes(const struct tracez_config *config,
                                      struct tracez_error *error);
TRACEZ_API size_t tracez_ledger_bytes(void);

/* Prepares shared memory, before any process uses it or while others do. What it finds there is
 * kept when it is a buffer of the same layout that makes sense (new resources are added to it), and
 * reset otherwise; *was_kept (optional) tells. Errors: INVALID (too little memory, too many
 * resources in all). [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_buffer_format(const struct tracez_config *config, void *memory, size_t memory_bytes,
                     bool *was_kept, struct tracez_error *error);
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_ledger_format(void *memory, size_t memory_bytes, bool *was_kept, struct tracez_error *error);

/* Would formatting keep it? FOREIGN: no; who does not want memory reset under those who still use
 * it gives the new ones other memory. [any] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_buffer_check(const struct tracez_config *config, void *memory, size_t memory_bytes,
                    struct tracez_error *error);
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_ledger_check(const void *memory, size_t memory_bytes, struct tracez_error *error);

/* Counts as TRACEZ_DROP_CORRUPT, and returns, what the ledger calls buffered and the buffer does
 * not hold: spans whose memory was overwritten or given up. While others count and read it may find
 * less than there is, never more; at rest it closes the books. Only while no tracer over other
 * buffer memory uses the same ledger: is_alone is asked for that at the one moment when it matters;
 * NULL: there is none. [any] */
typedef bool (*tracez_alone_fn)(void *state);
TRACEZ_API uint64_t tracez_tracer_audit(struct tracez_tracer *tracer, tracez_alone_fn is_alone,
                                        void *state);

/* ---- Span ------------------------------------------------------------------------------------ */

/* {0} records nothing; every call on it is a cheap no-op. Copy it freely; its members are private.
 */
struct tracez_span {
    void *slot;
    uint64_t generation;
};

/* Everything a span can start from. Zero is a good default for each. */
struct tracez_span_options {
    enum tracez_span_kind kind;                /* 0: INTERNAL */
    struct tracez_text name;                   /* copied */
    const struct tracez_context *parent;       /* borrowed; NULL or without ids: a root */
    const struct tracez_sampler *sampler;      /* borrowed; NULL: the tracer's */
    struct tracez_collector *collector;        /* NULL: the first that wants it */
    uint32_t resource;                         /* index into config.resources */
    uint32_t max_tag_bytes;                    /* 0: the tracer's; else 16 to 32000 */
    uint64_t start_unix_ns;                    /* 0: now */
    uint64_t start_monotonic_ns;               /* likewise, as tracez_tracer_now_ns gave it out */
    struct tracez_sampling_decision *decision; /* optional: filled in */
};

/* Starts a span. own_context (optional) gets the span's own identity, also when nothing is
 * recorded, so that the trace id still travels; its tracestate borrows from the parent's. tracer
 * may be NULL: nothing is recorded and the parent is handed on. [any] */
TRACEZ_API struct tracez_span tracez_span_start(struct tracez_tracer *tracer,
                                                enum tracez_span_kind kind, const char *name,
                                                const struct tracez_context *parent,
                                                struct tracez_context *own_context);
TRACEZ_API struct tracez_span tracez_span_start_with(struct tracez_tracer *tracer,
                                                     const struct tracez_span_options *options,
                                                     struct tracez_context *own_context);

/* Ask before building expensive tags. [any] */
TRACEZ_API bool tracez_span_is_recording(struct tracez_span span);

/* Tags: a later value for the same key replaces the earlier one; string values over max_tag_bytes
 * are cut at a UTF-8 boundary and end in "...[truncated]"; more than TRACEZ_TAGS_MAX, or what no
 * longer fits into span_bytes_max, is refused and counted (droppedAttributesCount). Keys and values
 * are copied. [any] */
TRACEZ_API void tracez_span_set_bytes(struct tracez_span span, const char *key, const char *value,
                                      size_t value_bytes);
TRACEZ_API void tracez_span_set_int(struct tracez_span span, const char *key, int64_t value);
TRACEZ_API void tracez_span_set_double(struct tracez_span span, const char *key, double value);
TRACEZ_API void tracez_span_set_bool(struct tracez_span span, const char *key, bool value);
TRACEZ_API void tracez_span_set_tag(struct tracez_span span, const struct tracez_tag *tag);
TRACEZ_API void tracez_span_remove_tag(struct tracez_span span, const char *key);

/* NULL is the empty string. Inline, so that the length of a constant is one. [any] */
static inline void tracez_span_set_string(struct tracez_span span, const char *key,
                                          const char *value)
{
    if (span.slot != NULL) {
        tracez_span_set_bytes(span, key, value, value == NULL ? 0 : strlen(value));
    }
}

/* Like printf, up to 1023 bytes; the arguments are evaluated by C, the format only when recording.
 * [any] */
TRACEZ_API void tracez_span_set_format(struct tracez_span span, const char *key, const char *format,
                                       ...) TRACEZ_PRINTF(3, 4);

/* Copies a tag's value as text into buffer, with a NUL. Returns its whole length, like snprintf; -1
 * when there is no such tag or the span is over. [any] */
TRACEZ_API int tracez_span_get(struct tracez_span span, const char *key, char *buffer,
                               size_t buffer_bytes);

TRACEZ_API void tracez_span_set_name(struct tracez_span span, const char *name, size_t name_bytes);
TRACEZ_API void tracez_span_set_kind(struct tracez_span span, enum tracez_span_kind kind);

enum tracez_status { TRACEZ_STATUS_UNSET = 0, TRACEZ_STATUS_OK = 1, TRACEZ_STATUS_ERROR = 2 };

/* A message (NULL for none) is kept with TRACEZ_STATUS_ERROR only. [any] */
TRACEZ_API void tracez_span_set_status(struct tracez_span span, enum tracez_status status,
                                       const char *message);

/* Status error and the error.type tag: a class of low cardinality ("timeout", "503"). [any] */
TRACEZ_API void tracez_span_set_error(struct tracez_span span, const char *type,
                                      const char *message);

/* A moment within the span, with tags of its own (borrowed, copied). [any] */
TRACEZ_API void tracez_span_add_event(struct tracez_span span, const char *name,
                                      const struct tracez_tag *tags, size_t tag_count);
/* A relation to a span elsewhere. [any] */
TRACEZ_API void tracez_span_add_link(struct tracez_span span, const struct tracez_context *target,
                                     const struct tracez_tag *tags, size_t tag_count);

/* The span's own identity; false when it is over or records nothing. [any] */
TRACEZ_API bool tracez_span_context(struct tracez_span span, struct tracez_context *context);

/* Ends the span: one record, copied into its collector, or dropped and counted. Finishing twice is
 * counted as misuse and does nothing else. finish_after sets the duration instead of reading the
 * clock. [any] */
TRACEZ_API void tracez_span_finish(struct tracez_span span);
TRACEZ_API void tracez_span_finish_after(struct tracez_span span, uint64_t duration_ns);

/* Ends the span without a record, counted as not_kept. [any] */
TRACEZ_API void tracez_span_discard(struct tracez_span span);

typedef void (*tracez_finish_fn)(const struct tracez_record *record, void *state);

/* Calls fn with each finished span, on the thread that finishes it, before it is buffered. Up to 8.
 * Removal returns when no call is running any more, so that state may be freed; not from within fn.
 * [any] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_tracer_on_finish(struct tracez_tracer *tracer, tracez_finish_fn fn, void *state);
TRACEZ_API void tracez_tracer_remove_on_finish(struct tracez_tracer *tracer, tracez_finish_fn fn,
                                               void *state);

/* ---- Scope: the thread's current span -------------------------------------------------------- */

/* What leave restores. Members are private. */
struct tracez_scope {
    struct tracez_tracer *tracer;
    struct tracez_span span;
    struct tracez_context context;
};

/* Makes this the thread's current span until leave, which must happen on the same thread, inner
 * scopes first. The context's tracestate stays borrowed for that time. [any] */
TRACEZ_API struct tracez_scope tracez_scope_enter(struct tracez_tracer *tracer,
                                                  struct tracez_span span,
                                                  const struct tracez_context *context);
TRACEZ_API void tracez_scope_leave(const struct tracez_scope *scope);

/* Of this thread: {0}, false, NULL outside any scope. The tracer is NULL also where it traces
 * nothing (it is disabled, or this is a forked child): ask before work that is for spans only, and
 * tracez_span_is_recording before work that is for this span's tags. [any] */
TRACEZ_API struct tracez_span tracez_current_span(void);
TRACEZ_API bool tracez_current_context(struct tracez_context *context);
TRACEZ_API struct tracez_tracer *tracez_current_tracer(void);

/* ---- Stats: the ledger ----------------------------------------------------------------------- */

/* Why a recorded span was not exported. */
#define TRACEZ_DROPS(X)                                                                            \
    X(QUEUE_FULL, "queue_full")                                                                    \
    X(NO_SLOT, "no_slot")                                                                          \
    X(OVERSIZE, "oversize")                                                                        \
    X(RATE, "rate")                                                                                \
    X(MEMORY_LIMIT, "memory_limit")                                                                \
    X(REJECTED, "rejected")                                                                        \
    X(PARTIAL_REJECTED, "partial_rejected")                                                        \
    X(RETRY_EXHAUSTED, "retry_exhausted")                                                          \
    X(SHUTDOWN_DEADLINE, "shutdown_deadline")                                                      \
    X(WORKER_LOST, "worker_lost")                                                                  \
    X(CORRUPT, "corrupt")

enum tracez_drop {
#define TRACEZ_DROP_NAME(name, text) TRACEZ_DROP_##name,
    TRACEZ_DROPS(TRACEZ_DROP_NAME)
#undef TRACEZ_DROP_NAME
        TRACEZ_DROP_COUNT
};

/* "queue_full" for TRACEZ_DROP_QUEUE_FULL. [any] */
TRACEZ_API const char *tracez_drop_text(enum tracez_drop reason);

/* At rest, with tolerance zero:
 *   requests = traced + not_traced
 *   started  = not_recorded + recorded
 *   recorded = live + not_kept + queued + inflight + exported + sum of dropped[] */
struct tracez_stats {
    size_t struct_bytes;
    uint64_t requests, traced, not_traced;
    uint64_t started, not_recorded, recorded;
    uint64_t live, not_kept, queued, inflight, exported;
    uint64_t dropped[TRACEZ_DROP_COUNT];
    uint64_t finished;     /* recorded spans that ended, whatever became of them then */
    uint64_t misuse;       /* calls on spans that were over */
    uint64_t tags_set;     /* that finished spans had, but for discarded ones */
    uint64_t tags_refused; /* tags, events and links beyond their bounds */
};

#define tracez_stats_init(stats) ((stats)->struct_bytes = sizeof(struct tracez_stats))

/* Over all writers that share the ledger. Exact at rest; while spans move, each counter is right by
 * itself. [any] */
TRACEZ_API void tracez_tracer_stats(const struct tracez_tracer *tracer, struct tracez_stats *stats);

/* Adapters: one main request is over; traced tells whether it has a SERVER span. [any] */
TRACEZ_API void tracez_tracer_count_request(struct tracez_tracer *tracer, bool traced);

/* ---- Collector ------------------------------------------------------------------------------- */

struct tracez_collector_stats {
    size_t struct_bytes;
    const char *name; /* lives as long as the tracer */
    uint64_t spans_max;
    uint64_t queued, inflight, exported;
    uint64_t dropped[TRACEZ_DROP_COUNT];
    uint32_t pressure_percent; /* the fuller of spans and bytes, 0 to 100 */
};

#define tracez_collector_stats_init(stats)                                                         \
    ((stats)->struct_bytes = sizeof(struct tracez_collector_stats))

/* By position in config.collectors; by name. NULL when there is none. [any] */
TRACEZ_API struct tracez_collector *tracez_tracer_collector(struct tracez_tracer *tracer,
                                                            size_t index);
TRACEZ_API struct tracez_collector *tracez_tracer_find_collector(struct tracez_tracer *tracer,
                                                                 const char *name);
TRACEZ_API void tracez_collector_stats(const struct tracez_collector *collector,
                                       struct tracez_collector_stats *stats);

/* Hands up to spans_max finished spans to fn and takes them out of the collector; they count as
 * exported. Returns how many; 0 also while an exporter holds the collector. [any, one at a time
 * succeeds] */
typedef void (*tracez_drain_fn)(const struct tracez_record *record, void *state);
TRACEZ_API size_t tracez_collector_drain(struct tracez_collector *collector, size_t spans_max,
                                         tracez_drain_fn fn, void *state);

#ifdef __cplusplus
}
#endif

#endif
