/* SPDX-License-Identifier: MIT
 *
 * Pushing into and reading from one ring. The layout of a position, and who pairs with whom, is in
 * shard.h. */
#include "shard.h"

#include <string.h>

#define SKIP_MARK UINT32_MAX /* in place of record_bytes: go on at the ring's start */
#define POSITION_TRIES 4
#define MENDED_SPANS (1U << 30) /* further than any mark from before: those count for nothing */

static uint64_t position_make(uint32_t offset, uint32_t spans)
{
    return (uint64_t)offset << 32 | spans;
}

static uint32_t position_offset(uint64_t position)
{
    return (uint32_t)(position >> 32);
}

static bool position_is_sane(const struct shard_view *view, uint64_t position)
{
    return position_offset(position) < view->ring_bytes &&
           position_offset(position) % RECORD_ALIGNMENT == 0;
}

bool shard_positions_agree(const struct shard_view *view, const struct shard_positions *positions)
{
    uint32_t spans = position_spans(positions->acknowledged, positions->published);

    return position_is_sane(view, positions->acknowledged) &&
           position_is_sane(view, positions->read) &&
           position_is_sane(view, positions->published) && spans <= view->spans_max &&
           position_spans(positions->acknowledged, positions->read) <= spans;
}

bool shard_positions(const struct shard_view *view, struct shard_positions *positions)
{
    const struct shard *shard = view->shard;
    uint64_t before;
    int tries = 0;

    do {
        /* Acquire, in the order in which they chase each other: who sees one sees the next at
         * least as far. Pairs with the release in carry_out, in shard_read and in publish. */
        before = atomic_load_explicit(&shard->acknowledged, memory_order_acquire);
        positions->read = atomic_load_explicit(&shard->read, memory_order_acquire);
        positions->published = atomic_load_explicit(&shard->published, memory_order_acquire);
        positions->acknowledged = atomic_load_explicit(&shard->acknowledged, memory_order_relaxed);
        /* Who was overtaken by an acknowledgement looks again: the others went on meanwhile. */
    } while (positions->acknowledged != before && ++tries < POSITION_TRIES);
    positions->acknowledged = before;
    return shard_positions_agree(view, positions);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Finds room for bytes in one piece; false when there is none. */
static inline bool find_room(const struct shard_view *view, uint64_t published,
                             uint64_t acknowledged, uint32_t bytes, uint32_t *offset)
{
    uint32_t spans = position_spans(acknowledged, published);
    uint32_t write = position_offset(published);
    uint32_t freed = position_offset(acknowledged);

    if (spans >= view->spans_max || !position_is_sane(view, published) ||
        !position_is_sane(view, acknowledged)) {
        return false;
    }
    if (write < freed || (write == freed && spans > 0)) {
        *offset = write;
        return bytes <= freed - write;
    }
    if (bytes <= view->ring_bytes - write) {
        *offset = write;
        return true;
    }
    *offset = 0;
    return bytes <= freed;
}

static void write_skip_mark(const struct shard_view *view, uint32_t offset)
{
    const uint32_t mark = SKIP_MARK;

    memcpy(view->ring + offset, &mark, sizeof(mark));
}

/* Makes the span visible and counts it. A writer that dies in between leaves a note of both; on a
 * line that threads share, only the sum is right, and nobody can tell what such a note means. */
static inline void publish(struct shard *shard, uint64_t position, struct ledger_writer writer)
{
    ledger_counter *pushed = &writer.line->pushed;

    if (!writer.is_exclusive) {
        atomic_store_explicit(&shard->published, position, memory_order_release);
        atomic_fetch_add_explicit(pushed, 1, memory_order_relaxed);
        return;
    }
    /* Relaxed: the line is ours. */
    uint64_t counted = atomic_load_explicit(pushed, memory_order_relaxed) + 1;
    shard->publishing = position;
    shard->counted = counted;
    /* Release, each after the one before, as death may come between any two. The second pairs with
     * the acquire in shard_read as well: the record becomes visible together with its position. */
    atomic_store_explicit(&shard->is_publishing, 1, memory_order_release);
    atomic_store_explicit(&shard->published, position, memory_order_release);
    atomic_store_explicit(pushed, counted, memory_order_release);
    atomic_store_explicit(&shard->is_publishing, 0, memory_order_release);
}

static inline enum shard_push push_locked(const struct shard_view *view,
                                          struct ledger_writer writer,
                                          const struct record_header *record, uint32_t wake_spans)
{
    struct shard *shard = view->shard;
    /* Relaxed: only lock holders write it, and the lock was acquired. */
    uint64_t published = atomic_load_explicit(&shard->published, memory_order_relaxed);
    /* Acquire: pairs with the release in carry_out; the reader is done with those bytes. */
    uint64_t acknowledged = atomic_load_explicit(&shard->acknowledged, memory_order_acquire);
    uint32_t bytes = record->record_bytes;
    uint32_t offset;

    if (!find_room(view, published, acknowledged, bytes, &offset)) {
        return SHARD_FULL;
    }
    if (offset != position_offset(published)) {
        write_skip_mark(view, position_offset(published));
    }
    memcpy(view->ring + offset, record, bytes);

    uint32_t end = offset + bytes;
    uint32_t spans = (uint32_t)published + 1;
    publish(shard, position_make(end == view->ring_bytes ? 0 : end, spans), writer);
    shard->woken_bytes += bytes;
    if (spans - shard->woken_at >= wake_spans || shard->woken_bytes >= view->ring_bytes / 4) {
        shard->woken_at = spans;
        shard->woken_bytes = 0;
        return SHARD_PUSHED_BATCH;
    }
    return SHARD_PUSHED;
}

enum shard_push shard_push(const struct shard_view *view, struct ledger_writer writer,
                           const struct record_header *record, uint32_t wake_spans)
{
    struct shard *shard = view->shard;
    uint32_t unlocked = 0;

    /* Relaxed first look: a taken lock is not worth the exchange.
     * Acquire: pairs with the release below; we see what the last holder published. */
    if (atomic_load_explicit(&shard->lock, memory_order_relaxed) != 0 ||
        !atomic_compare_exchange_strong_explicit(&shard->lock, &unlocked, writer.index + 1,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return SHARD_TAKEN;
    }
    enum shard_push result = push_locked(view, writer, record, wake_spans);
    /* Release: pairs with the acquire above. */
    atomic_store_explicit(&shard->lock, 0, memory_order_release);
    return result;
}

void shard_take_over(const struct shard_view *view, uint32_t writer_index, struct ledger_line *line)
{
    struct shard *shard = view->shard;

    /* Relaxed: nobody else touches a shard that a dead writer holds. */
    uint32_t lock = atomic_load_explicit(&shard->lock, memory_order_relaxed);
    if (lock != writer_index + 1 && lock != SHARD_MENDING + writer_index) {
        return;
    }
    if (atomic_load_explicit(&shard->is_publishing, memory_order_relaxed) != 0) {
        uint64_t pushed = atomic_load_explicit(&line->pushed, memory_order_relaxed);
        /* A note of anything but the one span that was under way is not a writer's. */
        if (atomic_load_explicit(&shard->published, memory_order_relaxed) == shard->publishing &&
            shard->counted == pushed + 1) {
            atomic_store_explicit(&line->pushed, shard->counted, memory_order_relaxed);
        }
        atomic_store_explicit(&shard->is_publishing, 0, memory_order_relaxed);
    }
    /* Release: pairs with the acquire in shard_push. */
    atomic_store_explicit(&shard->lock, 0, memory_order_release);
}

/* ---- Mending --------------------------------------------------------------------------------- */

static bool is_lock(uint32_t value)
{
    return value <= LEDGER_LINES ||
           (value >= SHARD_MENDING && value < SHARD_MENDING + LEDGER_LINES);
}

bool shard_lock_is_sound(const struct shard_view *view)
{
    /* Relaxed: any value that it ever has will do. */
    return is_lock(atomic_load_explicit(&view->shard->lock, memory_order_relaxed));
}

/* With the lock held. Killed in between, it is still in contradiction, or already empty. */
static void empty(struct shard *shard)
{
    /* Relaxed: where it stood means nothing any more, only that marks of before are far behind. */
    uint64_t acknowledged = atomic_load_explicit(&shard->acknowledged, memory_order_relaxed);
    uint64_t begin = position_make(0, (uint32_t)acknowledged + MENDED_SPANS);

    shard->woken_at = (uint32_t)begin;
    shard->woken_bytes = 0;
    atomic_store_explicit(&shard->is_publishing, 0, memory_order_relaxed);
    /* Release, so that nobody sees the later one without the earlier: see shard_positions. */
    atomic_store_explicit(&shard->published, begin, memory_order_release);
    atomic_store_explicit(&shard->read, begin, memory_order_release);
    atomic_store_explicit(&shard->acknowledged, begin, memory_order_release);
}

void shard_mend(const struct shard_view *view, uint32_t writer_index)
{
    struct shard *shard = view->shard;
    struct shard_positions positions;
    /* Relaxed: a first look, the exchange below decides. */
    uint32_t lock = atomic_load_explicit(&shard->lock, memory_order_relaxed);
    bool is_sound = shard_positions(view, &positions);

    if ((is_sound && is_lock(lock)) || (lock != 0 && is_lock(lock))) {
        return;
    }
    /* Acquire: pairs with the release in shard_push; no writer is in the middle of anything. */
    if (!atomic_compare_exchange_strong_explicit(&shard->lock, &lock, SHARD_MENDING + writer_index,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return;
    }
    if (!shard_positions(view, &positions)) {
        empty(shard);
    }
    /* Release: pairs with the acquire in shard_push. */
    atomic_store_explicit(&shard->lock, 0, memory_order_release);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The bytes of the record at *offset, past a skip mark; 0 when what is there makes no sense. */
static uint32_t parse_at(const struct shard_view *view, uint32_t *offset, uint32_t end,
                         struct tracez_record *record)
{
    const unsigned char *at = view->ring + *offset;
    uint32_t available = (end > *offset ? end : view->ring_bytes) - *offset;
    uint32_t mark;

    memcpy(&mark, at, sizeof(mark));
    if (mark == SKIP_MARK && end <= *offset) {
        *offset = 0;
        at = view->ring;
        available = end;
    }
    return (uint32_t)record_parse(at, available, record);
}

size_t shard_read(const struct shard_view *view, size_t spans_max, tracez_read_fn fn, void *state,
                  bool *stopped)
{
    struct shard *shard = view->shard;
    /* Acquire: pairs with the release in push_locked. Relaxed: only the lease holder moves `read`.
     */
    uint64_t published = atomic_load_explicit(&shard->published, memory_order_acquire);
    uint64_t read = atomic_load_explicit(&shard->read, memory_order_relaxed);
    size_t taken = 0;
    struct tracez_record record;

    if (!shard_positions_agree(view,
                               &(struct shard_positions){
                                   atomic_load_explicit(&shard->acknowledged, memory_order_relaxed),
                                   read, published})) {
        return 0;
    }
    while (taken < spans_max && position_spans(read, published) > 0) {
        uint32_t offset = position_offset(read);
        uint32_t record_bytes = parse_at(view, &offset, position_offset(published), &record);

        if (record_bytes == 0) {
            read = published; /* what is lost shows in the counts: acknowledge calls it corrupt */
            break;
        }
        if (!fn(&record, state)) {
            *stopped = true;
            break;
        }
        uint32_t end = offset + record_bytes;
        read = position_make(end == view->ring_bytes ? 0 : end, (uint32_t)read + 1);
        taken++;
    }
    /* Release: pairs with the acquire in fill_of, which must not see `published` behind it. */
    atomic_store_explicit(&shard->read, read, memory_order_release);
    return taken;
}

uint32_t shard_bytes_between(const struct shard_view *view, uint64_t from, uint64_t to)
{
    uint32_t begin = position_offset(from);
    uint32_t end = position_offset(to);

    if (position_spans(from, to) == 0) {
        return 0;
    }
    return end > begin ? end - begin : view->ring_bytes - begin + end;
}
