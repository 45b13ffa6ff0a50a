/* SPDX-License-Identifier: MIT
 *
 * Formatting, checking and adding up the ledger. */
#include "ledger.h"

#include "probes.h"
#include "result.h"

#include <string.h>

#define LEDGER_MAGIC 0x3272676c7a637274U  /* "trczlgr2" */
#define COUNTER_MAX (UINT64_C(1) << 60)   /* a billion a second for thirty years */
#define SPANS_AT_ONCE (UINT64_C(1) << 20) /* that may move while the lines are read */

size_t tracez_ledger_bytes(void)
{
    return sizeof(struct ledger);
}

bool ledger_is_valid(const void *memory, size_t memory_bytes)
{
    const struct ledger *ledger = memory;

    return memory != NULL && (uintptr_t)memory % CACHE_LINE == 0 &&
           memory_bytes >= sizeof(*ledger) && ledger->magic == LEDGER_MAGIC &&
           ledger->bytes == sizeof(*ledger);
}

static uint64_t value_of(const ledger_counter *counter)
{
    /* Relaxed: sums are exact at rest, and right one by one while spans move. */
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_line(const struct ledger_line *line, struct tracez_stats *stats, uint64_t *pushed)
{
    stats->traced += value_of(&line->traced);
    stats->not_traced += value_of(&line->not_traced);
    stats->not_recorded += value_of(&line->not_recorded);
    stats->recorded += value_of(&line->recorded);
    stats->not_kept += value_of(&line->not_kept);
    stats->misuse += value_of(&line->misuse);
    stats->tags_set += value_of(&line->tags_set);
    stats->tags_refused += value_of(&line->tags_refused);
    *pushed += value_of(&line->pushed);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        stats->dropped[reason] += value_of(&line->dropped[reason]);
    }
}

static uint64_t delivered_in(const struct ledger *ledger)
{
    uint64_t delivered = 0;

    for (int i = 0; i < TRACEZ_WRITERS_MAX * TRACEZ_COLLECTORS_MAX; i++) {
        const struct ledger_delivery *delivery =
            &ledger->deliveries[i / TRACEZ_COLLECTORS_MAX][i % TRACEZ_COLLECTORS_MAX];
        delivered += value_of(&delivery->exported);
        for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
            delivered += value_of(&delivery->dropped[reason]);
        }
    }
    return delivered;
}

/* Counters from first to last, which lie in one piece. */
static bool are_plausible(const ledger_counter *first, const ledger_counter *last)
{
    while (first <= last && value_of(first) <= COUNTER_MAX) {
        first++;
    }
    return first > last;
}

static bool is_sound(const struct ledger *ledger)
{
    struct tracez_stats stats = {0};
    uint64_t pushed = 0;

    for (int i = 0; i < LEDGER_LINES; i++) {
        const struct ledger_line *line = &ledger->lines[i];
        if (!are_plausible(&line->traced, &line->dropped[TRACEZ_DROP_COUNT - 1])) {
            return false;
        }
        add_line(line, &stats, &pushed);
    }
    for (int i = 0; i < TRACEZ_WRITERS_MAX * TRACEZ_COLLECTORS_MAX; i++) {
        const struct ledger_delivery *delivery =
            &ledger->deliveries[i / TRACEZ_COLLECTORS_MAX][i % TRACEZ_COLLECTORS_MAX];
        if (!are_plausible(&delivery->exported, &delivery->dropped[TRACEZ_DROP_COUNT - 1])) {
            return false;
        }
    }
    uint64_t over = pushed + stats.not_kept;
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        over += stats.dropped[reason];
    }
    return value_of(&ledger->missing) <= COUNTER_MAX && over <= stats.recorded + SPANS_AT_ONCE &&
           delivered_in(ledger) <= pushed + SPANS_AT_ONCE;
}

enum tracez_result tracez_ledger_check(const void *memory, size_t memory_bytes,
                                       struct tracez_error *error)
{
    if (!ledger_is_valid(memory, memory_bytes) || !is_sound(memory)) {
        return fail(error, TRACEZ_FOREIGN,
                    "ledger memory of %zu bytes at %p rejected: not formatted by tracez, or "
                    "overwritten",
                    memory_bytes, memory);
    }
    return TRACEZ_OK;
}

enum tracez_result tracez_ledger_format(void *memory, size_t memory_bytes, bool *was_kept,
                                        struct tracez_error *error)
{
    struct ledger *ledger = memory;
    bool keep = tracez_ledger_check(memory, memory_bytes, NULL) == TRACEZ_OK;

    if (was_kept != NULL) {
        *was_kept = keep;
    }
    if (keep) {
        return TRACEZ_OK;
    }
    if (memory == NULL || (uintptr_t)memory % CACHE_LINE != 0 || memory_bytes < sizeof(*ledger)) {
        return fail(error, TRACEZ_INVALID,
                    "ledger memory of %zu bytes at %p rejected: at least %zu bytes, aligned to %d",
                    memory_bytes, memory, sizeof(*ledger), CACHE_LINE);
    }
    memset(ledger, 0, sizeof(*ledger));
    ledger->bytes = sizeof(*ledger);
    ledger->magic = LEDGER_MAGIC;
    return TRACEZ_OK;
}

/* Recorded spans of this line that are not live any more. */
static uint64_t over_in(const struct ledger_line *line)
{
    uint64_t over = value_of(&line->pushed) + value_of(&line->not_kept);

    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        over += value_of(&line->dropped[reason]);
    }
    return over;
}

void ledger_take_over(struct ledger_line *line)
{
    uint64_t recorded = value_of(&line->recorded);
    uint64_t over = over_in(line);
    ledger_counter *lost = &line->dropped[TRACEZ_DROP_WORKER_LOST];

    if (recorded > over) {
        /* Relaxed: the line has no other writer. */
        atomic_store_explicit(lost, value_of(lost) + (recorded - over), memory_order_relaxed);
        probe_span_drop(TRACEZ_DROP_WORKER_LOST, recorded - over, NULL);
    }
}

/* Of the spans that are over, those that ended: without what never was, or died unfinished. A sum
 * of counters that only grow, so that it never goes back, also while spans move. */
static uint64_t finished_of(const struct tracez_stats *lines, uint64_t over)
{
    static const enum tracez_drop unfinished[] = {
        TRACEZ_DROP_NO_SLOT,
        TRACEZ_DROP_RATE,
        TRACEZ_DROP_MEMORY_LIMIT,
        TRACEZ_DROP_WORKER_LOST,
    };

    for (size_t i = 0; i < sizeof(unfinished) / sizeof(unfinished[0]); i++) {
        over -= lines->dropped[unfinished[i]];
    }
    return over;
}

void ledger_sum(const struct ledger *ledger, struct tracez_stats *stats)
{
    uint64_t over = 0; /* recorded spans that are not live any more */

    for (int i = 0; i < LEDGER_LINES; i++) {
        add_line(&ledger->lines[i], stats, &over);
    }
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        over += stats->dropped[reason];
    }
    over += stats->not_kept;
    stats->finished = finished_of(stats, over);
    for (int i = 0; i < TRACEZ_WRITERS_MAX * TRACEZ_COLLECTORS_MAX; i++) {
        const struct ledger_delivery *delivery =
            &ledger->deliveries[i / TRACEZ_COLLECTORS_MAX][i % TRACEZ_COLLECTORS_MAX];
        stats->exported += value_of(&delivery->exported);
        for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
            stats->dropped[reason] += value_of(&delivery->dropped[reason]);
        }
    }
    stats->dropped[TRACEZ_DROP_CORRUPT] += value_of(&ledger->missing);
    stats->requests = stats->traced + stats->not_traced;
    stats->started = stats->not_recorded + stats->recorded;
    /* While spans move, a span may be seen pushed before it is seen recorded. */
    stats->live = stats->recorded > over ? stats->recorded - over : 0;
}

uint64_t ledger_pushed(const struct ledger *ledger)
{
    uint64_t pushed = 0;

    for (int i = 0; i < LEDGER_LINES; i++) {
        /* Acquire: pairs with the release in publish; what is counted here was in a shard. */
        pushed += atomic_load_explicit(&ledger->lines[i].pushed, memory_order_acquire);
    }
    return pushed;
}

uint64_t ledger_audit(struct ledger *ledger, uint64_t pushed, uint64_t buffered)
{
    uint64_t missing = value_of(&ledger->missing);
    uint64_t accounted = missing + buffered + delivered_in(ledger);

    /* Relaxed: it stands for itself. Who loses the exchange was counting the same spans. */
    if (pushed <= accounted || !atomic_compare_exchange_strong_explicit(
                                   &ledger->missing, &missing, missing + pushed - accounted,
                                   memory_order_relaxed, memory_order_relaxed)) {
        return 0;
    }
    probe_span_drop(TRACEZ_DROP_CORRUPT, pushed - accounted, NULL);
    return pushed - accounted;
}
