/* SPDX-License-Identifier: MIT
 *
 * A collector: a named, bounded buffer of finished spans, made of shards, which are read in lanes:
 * of n lanes, every n-th shard belongs to one. This header has its two halves: what lies in the
 * (perhaps shared) memory, and what this process keeps beside it: geometry, match rule, wake.
 *
 * Geometry always comes from the configuration, never from the memory: a process that shares the
 * memory and went wrong can spoil spans, but can't make others write beyond their rings. */
#ifndef TRACEZ_CORE_COLLECTOR_H
#define TRACEZ_CORE_COLLECTOR_H

#include "shard.h"

#include <pthread.h>

#define COLLECTOR_NAME_BYTES 64
#define COLLECTOR_SPANS_DEFAULT 8192
#define COLLECTOR_SPANS_MAX (1U << 24)
#define COLLECTOR_BYTES_PER_SPAN 512

/* What an acknowledgement is about to do, as absolute values: doing it twice is doing it once. */
struct acknowledge_redo {
    _Atomic uint32_t is_valid;
    _Atomic uint32_t writer; /* whose delivery line */
    uint64_t exported;
    uint64_t dropped[TRACEZ_DROP_COUNT];
    uint64_t delivery_exported;
    uint64_t delivery_dropped[TRACEZ_DROP_COUNT];
    uint64_t position[TRACEZ_SHARDS_MAX];
};

struct lane_memory {
    _Alignas(CACHE_LINE) pthread_mutex_t lease; /* robust, process-shared */
    _Atomic uint32_t is_asked_for;              /* set by anybody, cleared by the holder */
    /* Written by the holder of the lease. */
    ledger_counter exported;
    ledger_counter dropped[TRACEZ_DROP_COUNT];
    struct acknowledge_redo redo;
};

/* In memory, followed by the lanes, the shards, and the shards' rings. */
struct collector_memory {
    /* Added to by any writer that is refused, and by nobody else: a span that finds room never
     * touches this line. The books balance without it, by the writers' own lines of the ledger. */
    _Alignas(CACHE_LINE) ledger_counter refused_queue_full;
    ledger_counter refused_oversize;
};

struct collector_geometry {
    uint32_t lane_count;
    uint32_t shard_count;
    uint32_t spans_max;
    uint32_t ring_bytes;
    size_t bytes; /* of memory in all, a multiple of CACHE_LINE */
};

struct tracez_lane {
    struct lane_memory *memory;
    struct tracez_collector *collector;
    uint32_t index;      /* in the collector, and of its first shard */
    uint32_t next_shard; /* lease holder only: where the next read begins */
};

struct tracez_collector {
    struct collector_memory *memory;
    struct ledger_delivery *delivery; /* of this process */
    struct ledger *ledger;
    const struct resource_table *resources;
    struct collector_geometry geometry;
    struct tracez_lane lanes[TRACEZ_LANES_MAX];
    struct shard_view shards[TRACEZ_SHARDS_MAX];
    uint32_t index;      /* in the tracer */
    uint32_t writer;     /* this process's delivery lines */
    unsigned fork_count; /* of the process that made it: a child gets no lease */

    char name[COLLECTOR_NAME_BYTES];
    enum tracez_match match;
    char *match_name; /* owned */
    size_t match_name_bytes;
    tracez_match_fn match_fn;
    void *match_state;

    uint32_t wake_spans; /* SHARD_NEVER_WAKE without wake */
    tracez_wake_fn wake;
    void *wake_state;
};

/* Checks and computes; error may be NULL. */
enum tracez_result collector_plan(const struct tracez_collector_config *config, uint32_t lanes,
                                  struct collector_geometry *geometry, struct tracez_error *error);

/* Prepares fresh memory. */
enum tracez_result collector_format(struct collector_memory *memory,
                                    const struct collector_geometry *geometry,
                                    struct tracez_error *error);

/* False: no robust, process-shared mutexes here. */
bool lease_init(pthread_mutex_t *lease);

/* Is what lies there a lock of the kind that lease_init makes, whoever holds it? To be asked
 * before the C library is: that one believes what it finds. */
bool lease_is_whole(const pthread_mutex_t *lease);

/* Spans in the shards, read or not. */
uint64_t collector_buffered(const struct tracez_collector *collector);

/* Does everything in the memory make sense, also while others write and read? */
bool collector_is_sound(struct collector_memory *memory, const struct collector_geometry *geometry);

/* Makes the process's half for memory that was formatted. */
enum tracez_result collector_init(struct tracez_collector *collector,
                                  const struct tracez_collector_config *config,
                                  const struct collector_geometry *geometry,
                                  struct collector_memory *memory);
void collector_deinit(struct tracez_collector *collector);

/* Ends an acknowledgement that a writer's process was in the middle of when it died, if it was not
 * ended by who took the lease over. */
void lane_take_over(struct tracez_lane *lane, uint32_t writer_index);

/* Ends what a writer was doing in the shards when it died, and its process in the lanes. */
void collector_take_over(struct tracez_collector *collector, uint32_t writer_index);

/* Does this collector want the span? Only asked when it wasn't named by the caller. */
bool collector_wants(const struct tracez_collector *collector, const struct record_header *record);

/* Request path: buffers the span (header and entries in one piece), or counts why not. */
void collector_push(const struct tracez_collector *collector, struct ledger_writer writer,
                    const struct record_header *record);

#endif
