/* SPDX-License-Identifier: MIT
 *
 * The reading side of a collector: a lane's lease, reading ahead, acknowledging.
 *
 * The lease is a robust mutex: when its holder dies, the next one gets it. An acknowledgement
 * changes many words that must agree (a position for each shard, the counts of what became of the
 * spans). So its outcome is first written down as absolute values in one redo record, which is
 * marked valid, carried out and unmarked; who takes the lease over after a death carries a valid
 * one out again, if it can be the one that was under way: anybody who shares the memory may have
 * written there. */
#include "collector.h"
#include "probes.h"
#include "process.h"
#include "resources.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#define SETTLE_ROUNDS 1000 /* of waiting for somebody to end what a dead process began */

bool lease_init(pthread_mutex_t *lease)
{
    pthread_mutexattr_t attributes;
    int failed = pthread_mutexattr_init(&attributes);

    if (failed == 0) {
        failed |= pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
        failed |= pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        failed |= pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        failed |= pthread_mutex_init(lease, &attributes);
        pthread_mutexattr_destroy(&attributes);
    }
    return failed == 0;
}

bool lease_is_whole(const pthread_mutex_t *lease)
{
    pthread_mutex_t fresh;
    unsigned char expected[sizeof(fresh)];
    unsigned char found[sizeof(fresh)];

    memset(&fresh, 0, sizeof(fresh));
    if (!lease_init(&fresh)) {
        return true; /* nobody knows; there was a lock once */
    }
    memcpy(expected, &fresh, sizeof(fresh));
    memcpy(found, lease, sizeof(fresh));
    /* A fresh lock has its kind set and nothing else, and locking leaves that alone. */
    for (size_t i = 0; i < sizeof(fresh); i++) {
        if (expected[i] != 0 && expected[i] != found[i]) {
            return false;
        }
    }
    return true;
}

/* The next shard of the lane. */
static uint32_t after(const struct tracez_lane *lane, uint32_t shard)
{
    return shard + lane->collector->geometry.lane_count;
}

static struct shard_view *shard_of(const struct tracez_lane *lane, uint32_t index)
{
    return &lane->collector->shards[index];
}

/* The last shard of the lane is before this. */
static uint32_t end_of(const struct tracez_lane *lane)
{
    return lane->collector->geometry.shard_count;
}

/* The line that the author of the note counts deliveries on. */
static struct ledger_delivery *delivery_of(const struct tracez_lane *lane)
{
    const struct tracez_collector *collector = lane->collector;
    uint32_t writer = lane->memory->redo.writer % TRACEZ_WRITERS_MAX;

    return &collector->ledger->deliveries[writer][collector->index];
}

static void carry_out(struct tracez_lane *lane)
{
    struct lane_memory *memory = lane->memory;
    const struct acknowledge_redo *redo = &memory->redo;
    struct ledger_delivery *delivery = delivery_of(lane);

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
    for (uint32_t i = lane->index; i < end_of(lane); i = after(lane, i)) {
        /* Release: pairs with the acquire in push_locked; we are done with the bytes before it. */
        atomic_store_explicit(&shard_of(lane, i)->shard->acknowledged, redo->position[i],
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
static bool is_step(const struct tracez_lane *lane, const ledger_counter *from, uint64_t to)
{
    return to - atomic_load_explicit(from, memory_order_relaxed) <=
           lane->collector->geometry.spans_max;
}

static bool can_be_carried_out(const struct tracez_lane *lane)
{
    const struct lane_memory *memory = lane->memory;
    const struct acknowledge_redo *redo = &memory->redo;
    const struct ledger_delivery *delivery = delivery_of(lane);
    bool can = redo->writer < TRACEZ_WRITERS_MAX &&
               is_step(lane, &memory->exported, redo->exported) &&
               is_step(lane, &delivery->exported, redo->delivery_exported);
    uint64_t spans;

    for (int reason = 0; reason < TRACEZ_DROP_COUNT && can; reason++) {
        can = is_step(lane, &memory->dropped[reason], redo->dropped[reason]) &&
              is_step(lane, &delivery->dropped[reason], redo->delivery_dropped[reason]);
    }
    for (uint32_t i = lane->index; i < end_of(lane) && can; i = after(lane, i)) {
        can = is_ahead(shard_of(lane, i), redo->position[i], &spans);
    }
    return can;
}

void tracez_lane_rewind(struct tracez_lane *lane)
{
    for (uint32_t i = lane->index; i < end_of(lane); i = after(lane, i)) {
        struct shard *shard = shard_of(lane, i)->shard;
        /* Relaxed: both are ours while we hold the lease. */
        uint64_t acknowledged = atomic_load_explicit(&shard->acknowledged, memory_order_relaxed);
        atomic_store_explicit(&shard->read, acknowledged, memory_order_relaxed);
    }
}

enum tracez_result tracez_lane_lease(struct tracez_lane *lane)
{
    struct lane_memory *memory = lane->memory;

    if (lane->collector->fork_count != process_fork_count()) {
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
        if (can_be_carried_out(lane)) {
            carry_out(lane);
        }
        /* Release: pairs with the acquire in lane_take_over. */
        atomic_store_explicit(&memory->redo.is_valid, 0, memory_order_release);
    }
    tracez_lane_rewind(lane);
    return TRACEZ_OK;
}

void tracez_lane_release(struct tracez_lane *lane)
{
    tracez_lane_rewind(lane);
    if (lease_is_whole(&lane->memory->lease)) {
        pthread_mutex_unlock(&lane->memory->lease);
    }
}

void tracez_lane_ask(struct tracez_lane *lane)
{
    /* Relaxed: it says nothing about anything else. */
    atomic_store_explicit(&lane->memory->is_asked_for, 1, memory_order_relaxed);
}

bool tracez_lane_is_asked_for(struct tracez_lane *lane)
{
    /* Relaxed: as above. */
    return atomic_exchange_explicit(&lane->memory->is_asked_for, 0, memory_order_relaxed) != 0;
}

/* A note's counts are absolute, and the dead process's delivery line has its next writer once it
 * was taken over: by then the note must be carried out, or that one's counts would be undone. */
void lane_take_over(struct tracez_lane *lane, uint32_t writer_index)
{
    const struct acknowledge_redo *redo = &lane->memory->redo;

    for (int round = 0; round < SETTLE_ROUNDS; round++) {
        /* Acquire: pairs with the release in lease; the counts are there. */
        if (atomic_load_explicit(&redo->is_valid, memory_order_acquire) == 0 ||
            redo->writer != writer_index) {
            return;
        }
        if (tracez_lane_lease(lane) == TRACEZ_OK) {
            tracez_lane_release(lane);
            return;
        }
        sched_yield(); /* who has the lease now carries it out first of all */
    }
}

size_t tracez_lane_read(struct tracez_lane *lane, size_t spans_max, tracez_read_fn fn, void *state,
                        struct tracez_mark *mark)
{
    uint32_t at = lane->next_shard;
    bool stopped = false;
    size_t taken = 0;

    for (uint32_t tried = lane->index; tried < end_of(lane) && !stopped && taken < spans_max;
         tried = after(lane, tried)) {
        shard_mend(shard_of(lane, at), lane->collector->writer);
        taken += shard_read(shard_of(lane, at), spans_max - taken, fn, state, &stopped);
        at = after(lane, at) < end_of(lane) ? after(lane, at) : lane->index;
    }
    lane->next_shard = at; /* the next batch begins elsewhere: no writer is starved */
    for (uint32_t i = lane->index; i < end_of(lane); i = after(lane, i)) {
        mark->position[i] =
            atomic_load_explicit(&shard_of(lane, i)->shard->read, memory_order_relaxed);
    }
    return taken;
}

/* Where an acknowledgement of the mark leads; returns the spans up to there. */
static uint64_t plan(const struct tracez_lane *lane, const struct tracez_mark *mark,
                     uint64_t *position)
{
    uint64_t sum = 0;

    for (uint32_t i = lane->index; i < end_of(lane); i = after(lane, i)) {
        const struct shard_view *view = shard_of(lane, i);
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

/* The outcome less so many spans: those of a shard that was emptied while they were under way,
 * which an audit may have counted as corrupt. None is counted twice. */
static struct tracez_outcome without(const struct tracez_outcome *outcome, uint64_t spans)
{
    struct tracez_outcome rest = *outcome;
    uint64_t fewer = spans < rest.exported ? spans : rest.exported;

    rest.exported -= fewer;
    spans -= fewer;
    for (int reason = 0; reason < TRACEZ_DROP_COUNT && spans > 0; reason++) {
        fewer = spans < rest.dropped[reason] ? spans : rest.dropped[reason];
        rest.dropped[reason] -= fewer;
        spans -= fewer;
    }
    return rest;
}

void tracez_lane_acknowledge(struct tracez_lane *lane, const struct tracez_mark *mark,
                             const struct tracez_outcome *outcome)
{
    struct lane_memory *memory = lane->memory;
    struct acknowledge_redo *redo = &memory->redo;
    struct ledger_delivery *delivery = lane->collector->delivery;
    uint64_t known = outcome->exported;

    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        known += outcome->dropped[reason];
    }
    uint64_t spans = plan(lane, mark, redo->position);
    uint64_t corrupt = spans > known ? spans - known : 0; /* skipped by reading */
    struct tracez_outcome freed = without(outcome, known > spans ? known - spans : 0);
    outcome = &freed;

    /* Relaxed: the holder of the lease is the only writer of all of these. */
    redo->writer = lane->collector->writer;
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
        if (more > 0) {
            probe_span_drop((enum tracez_drop)reason, more, lane->collector->name);
        }
    }
    /* Release: pairs with the acquire in lease; the record is complete before it is valid. */
    atomic_store_explicit(&redo->is_valid, 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* and valid before anything of it is carried out */
    carry_out(lane);
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

/* All lanes, or none: they are counted on one line of this process. */
static bool lease_all(struct tracez_collector *collector)
{
    uint32_t leased = 0;

    while (leased < collector->geometry.lane_count &&
           tracez_lane_lease(&collector->lanes[leased]) == TRACEZ_OK) {
        leased++;
    }
    if (leased == collector->geometry.lane_count) {
        return true;
    }
    while (leased > 0) {
        tracez_lane_release(&collector->lanes[--leased]);
    }
    return false;
}

size_t tracez_collector_drain(struct tracez_collector *collector, size_t spans_max,
                              tracez_drain_fn fn, void *state)
{
    struct drain drain = {fn, state};
    size_t drained = 0;

    if (!lease_all(collector)) {
        return 0;
    }
    for (uint32_t i = 0; i < collector->geometry.lane_count; i++) {
        struct tracez_lane *lane = &collector->lanes[i];
        struct tracez_outcome outcome = {0};
        struct tracez_mark mark;
        outcome.exported = tracez_lane_read(lane, spans_max - drained, drain_one, &drain, &mark);
        tracez_lane_acknowledge(lane, &mark, &outcome);
        tracez_lane_release(lane);
        drained += (size_t)outcome.exported;
    }
    return drained;
}
