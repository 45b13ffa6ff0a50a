/* SPDX-License-Identifier: MIT
 *
 * Formatting and adding up the ledger. */
#include "ledger.h"

#include "result.h"

#include <string.h>

#define LEDGER_MAGIC 0x3172676c7a637274U /* "trczlgr1" */

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

enum tracez_result tracez_ledger_format(void *memory, size_t memory_bytes, bool *was_kept,
                                        struct tracez_error *error)
{
    struct ledger *ledger = memory;
    bool keep = ledger_is_valid(memory, memory_bytes);

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
    stats->tags_refused += value_of(&line->tags_refused);
    *pushed += value_of(&line->pushed);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        stats->dropped[reason] += value_of(&line->dropped[reason]);
    }
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
    }
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
    for (int i = 0; i < TRACEZ_WRITERS_MAX * TRACEZ_COLLECTORS_MAX; i++) {
        const struct ledger_delivery *delivery =
            &ledger->deliveries[i / TRACEZ_COLLECTORS_MAX][i % TRACEZ_COLLECTORS_MAX];
        stats->exported += value_of(&delivery->exported);
        for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
            stats->dropped[reason] += value_of(&delivery->dropped[reason]);
        }
    }
    stats->requests = stats->traced + stats->not_traced;
    stats->started = stats->not_recorded + stats->recorded;
    /* While spans move, a span may be seen pushed before it is seen recorded. */
    stats->live = stats->recorded > over ? stats->recorded - over : 0;
}
