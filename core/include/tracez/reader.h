/* SPDX-License-Identifier: MIT
 *
 * The reading side of a collector, for exporters, finish callbacks and tests: records, the lease,
 * reading, acknowledging.
 *
 * Records stay in the collector while they are on their way: reading moves a private cursor, and
 * only acknowledging frees the space. Who takes the lease over after a crash starts again at the
 * last acknowledgement: delivery is at least once. */
#ifndef TRACEZ_READER_H
#define TRACEZ_READER_H

#include <tracez/tracez.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Record: a finished span ----------------------------------------------------------------- */

enum tracez_entry_type {
    /* 1 to 5 are enum tracez_tag_type */
    TRACEZ_ENTRY_NAME = 16,
    TRACEZ_ENTRY_TRACESTATE = 17,
    TRACEZ_ENTRY_STATUS_MESSAGE = 18,
    TRACEZ_ENTRY_EVENT = 19,
    TRACEZ_ENTRY_LINK = 20
};

/* Points into the collector: valid until the record is acknowledged, or the callback returns. Text
 * may hold any byte; check UTF-8 before it leaves the process. */
struct tracez_record {
    const uint8_t *trace_id;       /* 16 bytes */
    const uint8_t *span_id;        /* 8 bytes */
    const uint8_t *parent_span_id; /* 8 bytes, all zero for a root */
    struct tracez_text name;
    struct tracez_text tracestate;
    struct tracez_text status_message;
    uint64_t start_unix_ns;
    uint64_t duration_ns;
    enum tracez_span_kind kind;
    enum tracez_status status;
    uint8_t flags; /* W3C */
    bool parent_is_remote;
    uint32_t resource; /* index for tracez_collector_resource */
    uint32_t tag_count, event_count, link_count;
    uint32_t tags_refused, events_refused, links_refused;
    const unsigned char *entries; /* for tracez_entry_next */
    size_t entries_bytes;
};

/* One tag, event or link. For tags, key and value; for events, key is the name, unix_ns the time
 * and nested the tags; for links, context and nested. */
struct tracez_entry {
    uint32_t type;   /* enum tracez_tag_type or enum tracez_entry_type */
    uint32_t key_id; /* enum tracez_key_id, 0 where the key is not well known */
    struct tracez_text key;
    struct tracez_text string;     /* the value's bytes, whatever its type */
    int64_t integer;               /* INT, BOOL */
    double real;                   /* DOUBLE */
    uint64_t unix_ns;              /* EVENT */
    struct tracez_context context; /* LINK */
    const unsigned char *nested;   /* EVENT, LINK: tags, for tracez_entry_next */
    size_t nested_bytes;
};

/* Walks entries: *position starts at 0. False at the end, or where the bytes make no sense. [any]
 */
TRACEZ_API bool tracez_entry_next(const unsigned char *entries, size_t entries_bytes,
                                  size_t *position, struct tracez_entry *entry);

/* Walks the items of a TRACEZ_TAG_STRINGS value likewise. [any] */
TRACEZ_API bool tracez_strings_next(struct tracez_text strings, size_t *position,
                                    struct tracez_text *item);

/* Reads the bytes of one record, believing none of its lengths before checking. [any] */
TRACEZ_API bool tracez_record_parse(const void *bytes, size_t available_bytes,
                                    struct tracez_record *record);

/* The resource that records of this index refer to: its tags, service.name among them, for
 * tracez_entry_next. False: no such resource. It never changes or moves while the buffer lives.
 * [any] */
TRACEZ_API bool tracez_collector_resource(const struct tracez_collector *collector, uint32_t index,
                                          const unsigned char **entries, size_t *entries_bytes);

/* ---- Lanes and their leases ------------------------------------------------------------------ */

/* A lane: a lease, and the collector's shards that are read under it. A collector has one, unless
 * the configuration says more; each may be read by another process. Of one process, one thread at a
 * time may hold lanes of a collector. */
struct tracez_lane;

/* The lane of this index; NULL beyond config.lanes. [any] */
TRACEZ_API struct tracez_lane *tracez_collector_lane(struct tracez_collector *collector,
                                                     size_t index);

/* Takes the right to read, over all processes that share the collector: TRACEZ_OK, or TRACEZ_BUSY
 * at once (always, for a forked child on its parent's tracer). The thread that took it must release
 * it; when it dies, the next one gets it, and what it had read and not acknowledged is read again.
 */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result tracez_lane_lease(struct tracez_lane *lane);
TRACEZ_API void tracez_lane_release(struct tracez_lane *lane);

/* Who holds no lane asks for one; who holds several and is asked for one lets it go as soon as that
 * costs nothing. Asking is forgotten when the holder has heard of it. [any] */
TRACEZ_API void tracez_lane_ask(struct tracez_lane *lane);
TRACEZ_API bool tracez_lane_is_asked_for(struct tracez_lane *lane);

/* ---- Reading and acknowledging: by the holder of the lease only ------------------------------ */

#define TRACEZ_SHARDS_MAX 64

/* How far a batch reaches. Members are private; a plain value that stays valid while the lease is
 * held. */
struct tracez_mark {
    uint64_t position[TRACEZ_SHARDS_MAX];
};

/* False: leave this record, and stop. */
typedef bool (*tracez_read_fn)(const struct tracez_record *record, void *state);

/* Hands unread records to fn until spans_max were taken, fn says no, or there are no more: oldest
 * first within each shard, and so within each writer whose shard was never full or taken. Returns
 * how many were taken; *mark is where reading now stands. Records that make no sense are dropped as
 * TRACEZ_DROP_CORRUPT. */
TRACEZ_API size_t tracez_lane_read(struct tracez_lane *lane, size_t spans_max, tracez_read_fn fn,
                                   void *state, struct tracez_mark *mark);

/* What became of the spans between two marks. */
struct tracez_outcome {
    uint64_t exported;
    uint64_t dropped[TRACEZ_DROP_COUNT];
};

/* Frees everything up to mark and counts what became of it: the sum of outcome must be the number
 * of spans read since the mark before. Marks are acknowledged in the order in which they were read.
 * Survives being killed at any instruction: either all of it happened, or, after the next lease,
 * all or nothing. */
TRACEZ_API void tracez_lane_acknowledge(struct tracez_lane *lane, const struct tracez_mark *mark,
                                        const struct tracez_outcome *outcome);

/* Makes everything unacknowledged unread again. */
TRACEZ_API void tracez_lane_rewind(struct tracez_lane *lane);

/* ---- How full it is -------------------------------------------------------------------------- */

/* Unread spans. [any] */
TRACEZ_API uint64_t tracez_lane_unread(const struct tracez_lane *lane);
TRACEZ_API uint64_t tracez_collector_unread(const struct tracez_collector *collector);

/* Is any shard at least half full of unread spans? Then do not wait for a full batch. [any] */
TRACEZ_API bool tracez_lane_is_pressed(const struct tracez_lane *lane);
TRACEZ_API bool tracez_collector_is_pressed(const struct tracez_collector *collector);

/* Calls wake on the request path, with the lane that they are in, after about every batch_spans
 * finished spans of one writer (fewer where the buffer is small or the spans are large): at most
 * once a batch. It must not block, allocate or log. [setup] */
typedef void (*tracez_wake_fn)(void *state, uint32_t lane);
TRACEZ_API void tracez_collector_on_batch(struct tracez_collector *collector, uint32_t batch_spans,
                                          tracez_wake_fn wake, void *state);

#ifdef __cplusplus
}
#endif

#endif
