/* SPDX-License-Identifier: MIT
 *
 * The reading side of a collector: the lease, reading ahead, acknowledging.
 *
 * The lease is a robust mutex: when its holder dies, the next one gets it. An acknowledgement
 * changes many words that must agree (a position for each shard, the counts of what became of the
 * spans). So its outcome is first written down as absolute values in one redo record, which is
 * marked valid, carried out and unmarked; who takes the lease over after a death carries a valid
 * one out again, if it can be the one that was under way: anybody who shares the memory may have
 * written there. */
#include "collector.h"
#include "process.h"
#include "resources.h"

#include <errno.h>

static void carry_out(struct tracez_collector *collector)
{
    struct collector_memory *memory = collector->memory;
    const struct acknowledge_redo *redo = &memory->redo;
    struct ledger_delivery *delivery =
        &collector->ledger->deliveries[redo->writer % TRACEZ_WRITERS_MAX][collector->index];

    /* Relaxed: stats readers want each counter by itself; the valid mark orders them against death.
     */
    atomic_store_explicit(&memory->exported, redo->exported, memory_order_relaxed);
    atomic_store_explicit(&delivery->exported, redo->delivery_exported, memory_order_relaxed);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        atomic_store_explicit(&memory->dropped[reason], redo->dropped[reason],
                              memory_order_relaxed);
        atomic_store_explicit(&delivery->dropped[reason], redo->delivery_dropped[reason],
                              memory_order_relaxed);
    }
    for (uint32_t i = 0; i < collector->geometry.shard_count; i++) {
        /* Release: pairs with the acquire in push_locked; we are done with the bytes before it. */
        atomic_store_explicit(&collector->shards[i].shard->acknowledged, redo->position[i],
                              memory_order_release);
    }
}

/* Spans that acknowledging up to here would free. False: it is no position of this shard's, or one
 * of before it was mended. */
static bool is_ahead(const struct shard_view *view, uint64_t position, uint64_t *spans)
{
    struct shard_positions positions;

    if (!shard_positions(view, &positions)) {
        return false;
    }
    *spans = position_spans(positions.acknowledged, position);
    positions.read = position;
    return shard_positions_agree(view, &positions);
}

/* Can a counter have been about to go from here to there, or have gone already? */
static bool is_step(const struct tracez_collector *collector, const ledger_counter *from,
                    uint64_t to)
{
    return to - atomic_load_explicit(from, memory_order_relaxed) <= collector->geometry.spans_max;
}

static bool can_be_carried_out(const struct tracez_collector *collector)
{
    const struct acknowledge_redo *redo = &collector->memory->redo;
    const struct ledger_delivery *delivery =
        &collector->ledger->deliveries[redo->writer % TRACEZ_WRITERS_MAX][collector->index];
    bool can = redo->writer < TRACEZ_WRITERS_MAX &&
               is_step(collector, &collector->memory->exported, redo->exported) &&
               is_step(collector, &delivery->exported, redo->delivery_exported);
    uint64_t spans;

    for (int reason = 0; reason < TRACEZ_DROP_COUNT && can; reason++) {
        can = is_step(collector, &collector->memory->dropped[reason], redo->dropped[reason]) &&
              is_step(collector, &delivery->dropped[reason], redo->delivery_dropped[reason]);
    }
    for (uint32_t i = 0; i < collector->geometry.shard_count && can; i++) {
        can = is_ahead(&collector->shards[i], redo->position[i], &spans);
    }
    return can;
}

void tracez_collector_rewind(struct tracez_collector *collector)
{
    for (uint32_t i = 0; i < collector->geometry.shard_count; i++) {
        struct shard *shard = collector->shards[i].shard;
        /* Relaxed: both are ours while we hold the lease. */
        uint64_t acknowledged = atomic_load_explicit(&shard->acknowledged, memory_order_relaxed);
        atomic_store_explicit(&shard->read, acknowledged, memory_order_relaxed);
    }
}

enum tracez_result tracez_collector_lease(struct tracez_collector *collector)
{
    struct collector_memory *memory = collector->memory;

    if (collector->fork_count != process_fork_count()) {
        return TRACEZ_BUSY; /* the tracer is the parent's */
    }
    if (!lease_is_whole(&memory->lease)) {
        return TRACEZ_SYSTEM;
    }
    int status = pthread_mutex_trylock(&memory->lease);
    if (status == EOWNERDEAD) {
        status = pthread_mutex_consistent(&memory->lease);
    }
    if (status != 0) {
        return status == EBUSY || status == EDEADLK ? TRACEZ_BUSY : TRACEZ_SYSTEM;
    }
    /* Acquire: pairs with the release in acknowledge, should its author have died. */
    if (atomic_load_explicit(&memory->redo.is_valid, memory_order_acquire) != 0) {
        if (can_be_carried_out(collector)) {
            carry_out(collector);
        }
        atomic_store_explicit(&memory->redo.is_valid, 0, memory_order_release);
    }
    tracez_collector_rewind(collector);
    return TRACEZ_OK;
}

void tracez_collector_release(struct tracez_collector *collector)
{
    tracez_collector_rewind(collector);
    if (lease_is_whole(&collector->memory->lease)) {
        pthread_mutex_unlock(&collector->memory->lease);
    }
}

size_t tracez_collector_read(struct tracez_collector *collector, size_t spans_max,
                             tracez_read_fn fn, void *state, struct tracez_mark *mark)
{
    uint32_t count = collector->geometry.shard_count;
    uint32_t at = collector->next_shard % count;
    bool stopped = false;
    size_t taken = 0;

    for (uint32_t tried = 0; tried < count && !stopped && taken < spans_max; tried++) {
        shard_mend(&collector->shards[at], collector->writer);
        taken += shard_read(&collector->shards[at], spans_max - taken, fn, state, &stopped);
        at = at + 1 == count ? 0 : at + 1;
    }
    collector->next_shard = at; /* the next batch begins elsewhere: no writer is starved */
    for (uint32_t i = 0; i < count; i++) {
        mark->position[i] =
            atomic_load_explicit(&collector->shards[i].shard->read, memory_order_relaxed);
    }
    return taken;
}

/* Where an acknowledgement of the mark leads; returns the spans up to there. */
static uint64_t plan(const struct tracez_collector *collector, const struct tracez_mark *mark,
                     uint64_t *position)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < collector->geometry.shard_count; i++) {
        const struct shard_view *view = &collector->shards[i];
        uint64_t spans;
        if (is_ahead(view, mark->position[i], &spans)) {
            position[i] = mark->position[i];
            sum += spans;
        } else {
            position[i] = atomic_load_explicit(&view->shard->acknowledged, memory_order_relaxed);
        }
    }
    return sum;
}

void tracez_collector_acknowledge(struct tracez_collector *collector,
                                  const struct tracez_mark *mark,
                                  const struct tracez_outcome *outcome)
{
    struct collector_memory *memory = collector->memory;
    struct acknowledge_redo *redo = &memory->redo;
    struct ledger_delivery *delivery = collector->delivery;
    uint64_t known = outcome->exported;

    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        known += outcome->dropped[reason];
    }
    uint64_t spans = plan(collector, mark, redo->position);
    uint64_t corrupt = spans > known ? spans - known : 0; /* skipped by reading */

    /* Relaxed: the holder of the lease is the only writer of all of these. */
    redo->writer = collector->writer;
    redo->exported =
        atomic_load_explicit(&memory->exported, memory_order_relaxed) + outcome->exported;
    redo->delivery_exported =
        atomic_load_explicit(&delivery->exported, memory_order_relaxed) + outcome->exported;
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        uint64_t more = outcome->dropped[reason] + (reason == TRACEZ_DROP_CORRUPT ? corrupt : 0);
        redo->dropped[reason] =
            atomic_load_explicit(&memory->dropped[reason], memory_order_relaxed) + more;
        redo->delivery_dropped[reason] =
            atomic_load_explicit(&delivery->dropped[reason], memory_order_relaxed) + more;
    }
    /* Release: pairs with the acquire in lease; the record is complete before it is valid. */
    atomic_store_explicit(&redo->is_valid, 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* and valid before anything of it is carried out */
    carry_out(collector);
    /* Release: all of it is done before it is unmarked. */
    atomic_store_explicit(&redo->is_valid, 0, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* and unmarked before the next one is written */
}

bool tracez_collector_resource(const struct tracez_collector *collector, uint32_t index,
                               const unsigned char **entries, size_t *entries_bytes)
{
    return resource_table_get(collector->resources, index, entries, entries_bytes);
}

/* ---- Draining by hand ------------------------------------------------------------------------ */

struct drain {
    tracez_drain_fn fn;
    void *state;
};

static bool drain_one(const struct tracez_record *record, void *state)
{
    const struct drain *drain = state;

    drain->fn(record, drain->state);
    return true;
}

size_t tracez_collector_drain(struct tracez_collector *collector, size_t spans_max,
                              tracez_drain_fn fn, void *state)
{
    struct drain drain = {fn, state};
    struct tracez_outcome outcome = {0};
    struct tracez_mark mark;

    if (tracez_collector_lease(collector) != TRACEZ_OK) {
        return 0;
    }
    outcome.exported = tracez_collector_read(collector, spans_max, drain_one, &drain, &mark);
    tracez_collector_acknowledge(collector, &mark, &outcome);
    tracez_collector_release(collector);
    return (size_t)outcome.exported;
}
