/* SPDX-License-Identifier: MIT
 *
 * The ledger: what became of every span, in counters with one writer each.
 *
 * A line belongs to a writer: a thread of a tracer with memory of its own, or a process where
 * memory is shared; who found none free uses the shared last line. A delivery line belongs to a
 * process and a collector, and is written by who holds that collector's lease. Stats are sums over
 * all lines; nothing is ever subtracted, and nothing is counted in two places: live spans follow
 * from the equation. What is in no buffer, though by the books it should be, an audit counts.
 *
 * The layout has a constant size, so that the books survive a change of the buffers. */
#ifndef TRACEZ_CORE_LEDGER_H
#define TRACEZ_CORE_LEDGER_H

#include "bucket.h"

#include <tracez/tracez.h>

#include <stdatomic.h>

#define LEDGER_LINES (TRACEZ_WRITERS_MAX + 1) /* the last one is shared */
#define CACHE_LINE 64

typedef _Atomic uint64_t ledger_counter;

struct ledger_line {
    _Alignas(CACHE_LINE) ledger_counter traced;
    ledger_counter not_traced;
    ledger_counter not_recorded;
    ledger_counter recorded;
    ledger_counter not_kept;
    ledger_counter pushed; /* into a collector */
    ledger_counter tags_set;
    ledger_counter misuse;
    ledger_counter tags_refused;
    ledger_counter dropped[TRACEZ_DROP_COUNT];
};

struct ledger_delivery {
    _Alignas(CACHE_LINE) ledger_counter exported;
    ledger_counter dropped[TRACEZ_DROP_COUNT];
};

struct ledger {
    uint64_t magic; /* written last */
    uint64_t bytes;
    _Alignas(CACHE_LINE) ledger_counter missing; /* found by audits; any process, by exchange */
    _Alignas(CACHE_LINE) struct bucket spans;    /* of max_spans_per_second: all share it */
    struct ledger_line lines[LEDGER_LINES];
    struct ledger_delivery deliveries[TRACEZ_WRITERS_MAX][TRACEZ_COLLECTORS_MAX];
};

/* Whose line, and whether others may write it at the same moment. */
struct ledger_writer {
    struct ledger_line *line;
    uint32_t index; /* 0 to LEDGER_LINES - 1 */
    bool is_exclusive;
};

static inline void ledger_add(struct ledger_writer writer, ledger_counter *counter, uint64_t count)
{
    if (writer.is_exclusive) {
        /* Relaxed: one writer, and readers want each counter by itself. */
        uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
        atomic_store_explicit(counter, value + count, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
    }
}

static inline void ledger_count(struct ledger_writer writer, ledger_counter *counter)
{
    ledger_add(writer, counter, 1);
}

/* Is this a ledger of ours? Only its header tells. */
bool ledger_is_valid(const void *memory, size_t memory_bytes);

/* Counts what was pushed and is neither delivered nor among `buffered` spans, which must have been
 * looked up after `pushed` was; returns it. */
uint64_t ledger_pushed(const struct ledger *ledger);
uint64_t ledger_audit(struct ledger *ledger, uint64_t pushed, uint64_t buffered);

/* Counts what the line's last owner, who died, left unfinished as TRACEZ_DROP_WORKER_LOST. */
void ledger_take_over(struct ledger_line *line);

/* Adds up all lines. queued and inflight are the caller's to fill in: the collectors know them. */
void ledger_sum(const struct ledger *ledger, struct tracez_stats *stats);

#endif
