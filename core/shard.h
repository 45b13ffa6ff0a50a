/* SPDX-License-Identifier: MIT
 *
 * A shard: one byte ring of finished spans. Writers take the try-lock, the reader holds the
 * collector's lease.
 *
 * Who may run beside whom ("-" freely, "x" never):       push  read  acknowledge
 *                                            push          x     -        -
 *                                            read          -     x        x
 *                                            acknowledge   -     x        x
 *
 * A position is where in the ring, and how many spans up to there, in one 64-bit word, so that
 * place and count always agree, also after SIGKILL. Three positions chase each other round the
 * ring:
 *
 *   acknowledged <= read <= published        (freed)|..in flight..|..queued..|(free)
 *
 * `published` moves after the record is complete: a writer killed at any instruction leaves nothing
 * half-written, the record it was writing does not exist. That its own count agrees with what it
 * published is seen to by who takes its place, through a note that it makes beforehand. A record
 * never wraps: where it does not fit before the end of the ring, a skip mark says so and it starts
 * at 0.
 *
 * Progress: push never waits; it finds the shard free, taken, or full. The shard's geometry is
 * never read from shared memory, and a position is checked before it is used. A shard whose
 * positions contradict each other was written by somebody else: it is full for writers until the
 * reader mends it, which empties it. */
#ifndef TRACEZ_CORE_SHARD_H
#define TRACEZ_CORE_SHARD_H

#include "ledger.h"
#include "record.h"

#define SHARD_BYTES_MIN 65536
#define SHARD_MENDING 128U /* in lock, with the index of the writer whose process mends it */

struct shard {
    /* Written by the writer that holds the lock. */
    _Alignas(CACHE_LINE) _Atomic uint32_t lock; /* 0, or the writer's index + 1; SHARD_MENDING */
    uint32_t woken_at;                          /* span count at the last wake */
    _Atomic uint64_t published;
    uint32_t woken_bytes; /* pushed since the last wake */
    /* What the holder of the lock is about to do, should it die in the middle: its line's count is
     * `counted` once `published` is `publishing`. */
    _Atomic uint32_t is_publishing;
    uint64_t publishing;
    uint64_t counted;

    /* Written by the holder of the lease. */
    _Alignas(CACHE_LINE) _Atomic uint64_t read;
    _Atomic uint64_t acknowledged;
};

/* A shard and what this process knows about it by itself. */
struct shard_view {
    struct shard *shard;
    unsigned char *ring;
    uint32_t ring_bytes; /* a multiple of RECORD_ALIGNMENT */
    uint32_t spans_max;
};

enum shard_push {
    SHARD_PUSHED,
    SHARD_PUSHED_BATCH, /* and wake_spans, or a quarter of the ring, since this was last returned */
    SHARD_TAKEN,
    SHARD_FULL
};

#define SHARD_NEVER_WAKE UINT32_MAX

/* Copies a finished span in, the header and its entries behind it, and counts it in the writer's
 * line; after wake_spans spans, or many bytes, SHARD_PUSHED_BATCH. */
enum shard_push shard_push(const struct shard_view *view, struct ledger_writer writer,
                           const struct record_header *record, uint32_t wake_spans);

/* Ends what a writer of this index was doing here when it died; line is its line. */
void shard_take_over(const struct shard_view *view, uint32_t writer_index,
                     struct ledger_line *line);

/* Hands records to fn until spans_max were taken, fn says no (*stopped), or none is left. Moves
 * `read`. */
size_t shard_read(const struct shard_view *view, size_t spans_max, tracez_read_fn fn, void *state,
                  bool *stopped);

/* The three positions at one moment. False: they contradict each other; *positions are useless. */
struct shard_positions {
    uint64_t acknowledged;
    uint64_t read;
    uint64_t published;
};
bool shard_positions(const struct shard_view *view, struct shard_positions *positions);
bool shard_positions_agree(const struct shard_view *view, const struct shard_positions *positions);

/* Can the lock be what a writer, or one who mends, left there? */
bool shard_lock_is_sound(const struct shard_view *view);

/* By the holder of the lease: empties a shard whose positions contradict each other, and opens one
 * whose lock names nobody. What a writer is in the middle of is left for the next time. */
void shard_mend(const struct shard_view *view, uint32_t writer_index);

/* Spans between two positions. */
static inline uint32_t position_spans(uint64_t from, uint64_t to)
{
    return (uint32_t)to - (uint32_t)from;
}

/* Bytes of the ring between two positions, of which the second is not before the first. */
uint32_t shard_bytes_between(const struct shard_view *view, uint64_t from, uint64_t to);

#endif
