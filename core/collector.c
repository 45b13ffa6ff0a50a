/* SPDX-License-Identifier: MIT
 *
 * The writing side of a collector and its stats. The reading side is lease.c.
 *
 * A writer tries its preferred shard, then the others in turn. Writers that have shards of their
 * own never meet. Where all shards were taken or full and at least one was merely taken, the round
 * is repeated a few times: a holder is done within about 100 ns unless it lost its processor. */
#include "collector.h"

#include "probes.h"
#include "result.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPIN_ROUNDS 64  /* about 2 us */
#define YIELD_ROUNDS 32 /* only when all shards are taken by writers that do not run */
#define WRITERS_DEFAULT_MIN 8
#define CAPACITY_INTERVALS 1.5
#define CAPACITY_MIN 100
#define CAPACITY_MAX 50000

static uint32_t round_up(uint32_t value, uint32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* As many as can run at once, and some: threads are often more than processors, and one that is
 * taken off its processor keeps its shard locked meanwhile. */
static uint32_t writers_here(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors < WRITERS_DEFAULT_MIN ? WRITERS_DEFAULT_MIN
           : processors > TRACEZ_SHARDS_MAX ? TRACEZ_SHARDS_MAX
                                            : (uint32_t)processors;
}

enum tracez_result collector_plan(const struct tracez_collector_config *config, uint32_t lanes,
                                  struct collector_geometry *geometry, struct tracez_error *error)
{
    uint32_t spans_max = config->spans_max != 0 ? config->spans_max : COLLECTOR_SPANS_DEFAULT;
    uint32_t writers = config->writers != 0 ? config->writers : writers_here();

    if (config->name == NULL || config->name[0] == '\0' ||
        strnlen(config->name, COLLECTOR_NAME_BYTES) == COLLECTOR_NAME_BYTES) {
        return fail(error, TRACEZ_INVALID, "collector name \"%.80s\" rejected: 1 to %d bytes",
                    config->name != NULL ? config->name : "", COLLECTOR_NAME_BYTES - 1);
    }
    if (spans_max > COLLECTOR_SPANS_MAX) {
        return fail(error, TRACEZ_INVALID, "spans_max %u of collector \"%s\" rejected: 1 to %u",
                    spans_max, config->name, COLLECTOR_SPANS_MAX);
    }
    if (writers > TRACEZ_WRITERS_MAX) {
        return fail(error, TRACEZ_INVALID, "writers %u of collector \"%s\" rejected: 1 to %d",
                    writers, config->name, TRACEZ_WRITERS_MAX);
    }
    /* A shard for each writer, as long as each gets 64 KiB out of 512 bytes a span. */
    uint64_t bytes = (uint64_t)spans_max * COLLECTOR_BYTES_PER_SPAN;
    uint64_t shards = bytes / SHARD_BYTES_MIN;
    shards = shards < 1 ? 1 : shards > writers ? writers : shards;
    bytes = bytes < SHARD_BYTES_MIN ? SHARD_BYTES_MIN : bytes;
    geometry->lane_count = lanes;
    geometry->shard_count = (uint32_t)shards;
    geometry->spans_max = spans_max;
    /* 2^24 spans in one shard are 8 GiB: a ring's offsets have 32 bits, so more spans make more
     * shards' worth. */
    uint64_t ring_bytes = bytes / shards;
    if (ring_bytes > UINT32_MAX - CACHE_LINE) {
        ring_bytes = UINT32_MAX - CACHE_LINE;
    }
    geometry->ring_bytes = round_up((uint32_t)ring_bytes, CACHE_LINE);
    geometry->bytes = sizeof(struct collector_memory) + lanes * sizeof(struct lane_memory) +
                      shards * sizeof(struct shard) + shards * (size_t)geometry->ring_bytes;
    return TRACEZ_OK;
}

uint32_t tracez_collector_capacity_for(uint32_t spans_per_second, uint32_t interval_ms)
{
    double spans = CAPACITY_INTERVALS * spans_per_second * interval_ms / 1000;

    return spans < CAPACITY_MIN   ? CAPACITY_MIN
           : spans > CAPACITY_MAX ? CAPACITY_MAX
                                  : (uint32_t)spans;
}

enum tracez_result collector_format(struct collector_memory *memory,
                                    const struct collector_geometry *geometry,
                                    struct tracez_error *error)
{
    struct lane_memory *lanes = (struct lane_memory *)(memory + 1);
    struct shard *shards = (struct shard *)(lanes + geometry->lane_count);

    /* The rings need no wiping: nothing before a position is ever read. */
    memset(memory, 0, sizeof(*memory));
    memset(lanes, 0, geometry->lane_count * sizeof(*lanes));
    memset(shards, 0, geometry->shard_count * sizeof(*shards));
    for (uint32_t i = 0; i < geometry->lane_count; i++) {
        if (!lease_init(&lanes[i].lease)) {
            return fail(error, TRACEZ_SYSTEM, "no robust, process-shared mutexes here");
        }
    }
    return TRACEZ_OK;
}

/* Finds lanes, shards and rings in the memory. */
static void init_views(struct tracez_collector *collector)
{
    struct lane_memory *lanes = (struct lane_memory *)(collector->memory + 1);
    struct shard *shards = (struct shard *)(lanes + collector->geometry.lane_count);
    unsigned char *rings = (unsigned char *)(shards + collector->geometry.shard_count);
    uint32_t count = collector->geometry.shard_count;

    for (uint32_t i = 0; i < collector->geometry.lane_count; i++) {
        collector->lanes[i] = (struct tracez_lane){
            .memory = &lanes[i], .collector = collector, .index = i, .next_shard = i};
    }

    for (uint32_t i = 0; i < count; i++) {
        uint32_t has_one_more = i < collector->geometry.spans_max % count;
        collector->shards[i] = (struct shard_view){
            .shard = &shards[i],
            .ring = rings + (size_t)i * collector->geometry.ring_bytes,
            .ring_bytes = collector->geometry.ring_bytes,
            .spans_max = collector->geometry.spans_max / count + has_one_more,
        };
    }
}

enum tracez_result collector_init(struct tracez_collector *collector,
                                  const struct tracez_collector_config *config,
                                  const struct collector_geometry *geometry,
                                  struct collector_memory *memory)
{
    *collector = (struct tracez_collector){
        .memory = memory,
        .geometry = *geometry,
        .match = config->match,
        .match_fn = config->match_fn,
        .match_state = config->match_state,
        .wake_spans = SHARD_NEVER_WAKE,
    };
    strncpy(collector->name, config->name, COLLECTOR_NAME_BYTES - 1);
    if (config->match == TRACEZ_MATCH_NAME) {
        collector->match_name = strdup(config->match_name);
        if (collector->match_name == NULL) {
            return TRACEZ_NO_MEMORY;
        }
        collector->match_name_bytes = strlen(collector->match_name);
    }
    init_views(collector);
    return TRACEZ_OK;
}

void collector_deinit(struct tracez_collector *collector)
{
    free(collector->match_name);
    collector->match_name = NULL;
}

void collector_take_over(struct tracez_collector *collector, uint32_t writer_index)
{
    for (uint32_t i = 0; i < collector->geometry.lane_count; i++) {
        lane_take_over(&collector->lanes[i], writer_index);
    }
    for (uint32_t i = 0; i < collector->geometry.shard_count; i++) {
        shard_take_over(&collector->shards[i], writer_index,
                        &collector->ledger->lines[writer_index]);
    }
}

static bool callback_wants(const struct tracez_collector *collector,
                           const struct record_header *header, bool only_name)
{
    struct tracez_record record;

    if (!record_view(header, header, &record)) {
        return false;
    }
    if (only_name) {
        return record.name.bytes == collector->match_name_bytes &&
               memcmp(record.name.text, collector->match_name, record.name.bytes) == 0;
    }
    return collector->match_fn(&record, collector->match_state);
}

bool collector_wants(const struct tracez_collector *collector, const struct record_header *record)
{
    switch (collector->match) {
    case TRACEZ_MATCH_ALL:
        return true;
    case TRACEZ_MATCH_ERRORS:
        return (record->status & ~RECORD_PARENT_IS_REMOTE) == TRACEZ_STATUS_ERROR;
    case TRACEZ_MATCH_NAME:
        return callback_wants(collector, record, true);
    case TRACEZ_MATCH_CALLBACK:
        return callback_wants(collector, record, false);
    case TRACEZ_MATCH_NAMED_ONLY:
    case TRACEZ_MATCH_NAMED_REST:
        break;
    }
    return false;
}

static void pause_briefly(int round)
{
    if (round >= SPIN_ROUNDS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* One round over all shards, from *at on; *at is where it was pushed. */
static enum shard_push push_somewhere(const struct tracez_collector *collector, uint32_t *at,
                                      struct ledger_writer writer,
                                      const struct record_header *record)
{
    uint32_t count = collector->geometry.shard_count;
    enum shard_push outcome = SHARD_FULL;

    for (uint32_t tried = 0; tried < count; tried++) {
        enum shard_push result =
            shard_push(&collector->shards[*at], writer, record, collector->wake_spans);
        if (result == SHARD_PUSHED || result == SHARD_PUSHED_BATCH) {
            return result;
        }
        if (result == SHARD_TAKEN) {
            outcome = SHARD_TAKEN;
        }
        *at = *at + 1 == count ? 0 : *at + 1;
    }
    return outcome;
}

/* The preferred shard was full or taken: all of them, as long as one is merely taken. */
static __attribute__((noinline)) enum shard_push
push_stubbornly(const struct tracez_collector *collector, uint32_t *at, struct ledger_writer writer,
                const struct record_header *record)
{
    enum shard_push result = push_somewhere(collector, at, writer, record);

    for (int round = 0; result == SHARD_TAKEN && round < SPIN_ROUNDS + YIELD_ROUNDS; round++) {
        pause_briefly(round);
        result = push_somewhere(collector, at, writer, record);
    }
    return result;
}

/* In the writer's line of the ledger, and for this collector. */
static void count_refused(const struct tracez_collector *collector, struct ledger_writer writer,
                          enum tracez_drop reason, ledger_counter *refused)
{
    probe_span_drop(reason, 1, collector->name);
    ledger_count(writer, &writer.line->dropped[reason]);
    /* Relaxed: it stands for itself. */
    atomic_fetch_add_explicit(refused, 1, memory_order_relaxed);
}

void collector_push(const struct tracez_collector *collector, struct ledger_writer writer,
                    const struct record_header *record)
{
    struct collector_memory *memory = collector->memory;
    uint32_t at = writer.index;

    if (record->record_bytes > collector->geometry.ring_bytes / 2) {
        count_refused(collector, writer, TRACEZ_DROP_OVERSIZE, &memory->refused_oversize);
        return;
    }
    if (at >= collector->geometry.shard_count) {
        at %= collector->geometry.shard_count;
    }
    enum shard_push result =
        shard_push(&collector->shards[at], writer, record, collector->wake_spans);
    if (result == SHARD_FULL || result == SHARD_TAKEN) {
        result = push_stubbornly(collector, &at, writer, record);
    }
    if (result == SHARD_FULL || result == SHARD_TAKEN) {
        count_refused(collector, writer, TRACEZ_DROP_QUEUE_FULL, &memory->refused_queue_full);
        return;
    }
    if (result == SHARD_PUSHED_BATCH && collector->wake != NULL) {
        collector->wake(collector->wake_state, at % collector->geometry.lane_count);
    }
}

void tracez_collector_on_batch(struct tracez_collector *collector, uint32_t batch_spans,
                               tracez_wake_fn wake, void *state)
{
    /* A small shard would be full before a batch is. Whoever is woken twice between empty and half
     * full sees it half full before it is full, whatever was read in between. */
    uint32_t quarter = (collector->shards[0].spans_max + 3) / 4;

    collector->wake = wake;
    collector->wake_state = state;
    collector->wake_spans = wake == NULL            ? SHARD_NEVER_WAKE
                            : batch_spans < quarter ? batch_spans
                                                    : quarter;
}

/* ---- Stats ----------------------------------------------------------------------------------- */

struct fill {
    uint64_t queued;
    uint64_t inflight;
    uint64_t used_bytes;
};

/* Of every step-th shard, from this one on. */
static struct fill fill_of(const struct tracez_collector *collector, uint32_t first, uint32_t step)
{
    struct fill fill = {0};

    for (uint32_t i = first; i < collector->geometry.shard_count; i += step) {
        const struct shard_view *view = &collector->shards[i];
        struct shard_positions positions;
        if (!shard_positions(view, &positions)) {
            fill.queued++; /* so that the reader comes, and mends it */
            continue;
        }
        fill.inflight += position_spans(positions.acknowledged, positions.read);
        fill.queued += position_spans(positions.read, positions.published);
        fill.used_bytes += shard_bytes_between(view, positions.acknowledged, positions.published);
    }
    return fill;
}

uint64_t collector_buffered(const struct tracez_collector *collector)
{
    struct fill fill = fill_of(collector, 0, 1);

    return fill.queued + fill.inflight;
}

/* What was read in this lane. */
static void add_lane(const struct tracez_lane *lane, struct tracez_collector_stats *stats)
{
    /* Relaxed: exact at rest. */
    stats->exported += atomic_load_explicit(&lane->memory->exported, memory_order_relaxed);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        stats->dropped[reason] +=
            atomic_load_explicit(&lane->memory->dropped[reason], memory_order_relaxed);
    }
}

void tracez_collector_stats(const struct tracez_collector *collector,
                            struct tracez_collector_stats *stats)
{
    const struct collector_memory *memory = collector->memory;
    struct tracez_collector_stats sum = {.struct_bytes = sizeof(sum)};
    struct fill fill = fill_of(collector, 0, 1);
    uint64_t spans_percent = (fill.queued + fill.inflight) * 100 / collector->geometry.spans_max;
    uint64_t bytes_percent =
        fill.used_bytes * 100 /
        ((uint64_t)collector->geometry.ring_bytes * collector->geometry.shard_count);
    uint64_t percent = spans_percent > bytes_percent ? spans_percent : bytes_percent;

    sum.name = collector->name;
    sum.spans_max = collector->geometry.spans_max;
    sum.queued = fill.queued;
    sum.inflight = fill.inflight;
    sum.pressure_percent = percent > 100 ? 100 : (uint32_t)percent;
    for (uint32_t i = 0; i < collector->geometry.lane_count; i++) {
        add_lane(&collector->lanes[i], &sum);
    }
    sum.dropped[TRACEZ_DROP_QUEUE_FULL] +=
        atomic_load_explicit(&memory->refused_queue_full, memory_order_relaxed);
    sum.dropped[TRACEZ_DROP_OVERSIZE] +=
        atomic_load_explicit(&memory->refused_oversize, memory_order_relaxed);
    size_t bytes = stats->struct_bytes < sizeof(sum) ? stats->struct_bytes : sizeof(sum);
    sum.struct_bytes = stats->struct_bytes;
    memcpy(stats, &sum, bytes);
}

static bool lane_is_sound(const struct tracez_lane *lane)
{
    return lease_is_whole(&lane->memory->lease) &&
           atomic_load_explicit(&lane->memory->redo.is_valid, memory_order_relaxed) <= 1;
}

bool collector_is_sound(struct collector_memory *memory, const struct collector_geometry *geometry)
{
    struct tracez_collector collector = {.memory = memory, .geometry = *geometry};
    struct shard_positions positions;
    bool is_sound = true;

    init_views(&collector);
    for (uint32_t i = 0; i < geometry->lane_count && is_sound; i++) {
        is_sound = lane_is_sound(&collector.lanes[i]);
    }
    for (uint32_t i = 0; i < geometry->shard_count && is_sound; i++) {
        is_sound = shard_positions(&collector.shards[i], &positions) &&
                   shard_lock_is_sound(&collector.shards[i]);
    }
    return is_sound;
}

uint64_t tracez_collector_unread(const struct tracez_collector *collector)
{
    return fill_of(collector, 0, 1).queued;
}

uint64_t tracez_lane_unread(const struct tracez_lane *lane)
{
    return fill_of(lane->collector, lane->index, lane->collector->geometry.lane_count).queued;
}

static bool is_pressed(const struct tracez_collector *collector, uint32_t first, uint32_t step)
{
    for (uint32_t i = first; i < collector->geometry.shard_count; i += step) {
        const struct shard_view *view = &collector->shards[i];
        /* Relaxed: an estimate. */
        uint64_t read = atomic_load_explicit(&view->shard->read, memory_order_relaxed);
        uint64_t published = atomic_load_explicit(&view->shard->published, memory_order_relaxed);
        if (position_spans(read, published) >= (view->spans_max + 1) / 2 ||
            shard_bytes_between(view, read, published) >= view->ring_bytes / 2) {
            return true;
        }
    }
    return false;
}

bool tracez_collector_is_pressed(const struct tracez_collector *collector)
{
    return is_pressed(collector, 0, 1);
}

bool tracez_lane_is_pressed(const struct tracez_lane *lane)
{
    return is_pressed(lane->collector, lane->index, lane->collector->geometry.lane_count);
}

struct tracez_lane *tracez_collector_lane(struct tracez_collector *collector, size_t index)
{
    return index < collector->geometry.lane_count ? &collector->lanes[index] : NULL;
}
