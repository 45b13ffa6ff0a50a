/* SPDX-License-Identifier: MIT
 *
 * Slots: where unfinished spans live, already in the shape of the record that they will become.
 *
 * A slot is 1 KiB with about 800 bytes of entries in it; a span that outgrows that moves, once, to
 * an area of span_bytes_max that belongs to its slot. Both are address space only, until they are
 * touched; the slot freed last is used first, so that few are ever touched. Touching one for the
 * first time is paid for out of what the tracer's memory limit leaves; what was touched stays paid.
 *
 * A slot's state is its generation and a lock bit in one word: one compare-and-swap tells whether a
 * handle is still good and locks the slot for the call. A finished span's slot gets the next
 * generation, and all its old handles are recognised.
 *
 * Free slots lie on lists, one for each writer, so that writers do not meet; a slot returns to the
 * list of the writer that took it. Who finds none on his own list takes a fresh one, then one of
 * anybody's: none left means none left at all.
 *
 * Progress: taking and returning are lock-free. Locking waits for another thread's call on the same
 * span, which takes well under a microsecond unless that thread lost its processor; no code of the
 * caller's runs meanwhile (samplers, matches and callbacks run before and after). Should that
 * thread never go on, the wait is given up after a second. */
#ifndef TRACEZ_CORE_SLOTS_H
#define TRACEZ_CORE_SLOTS_H

#include "ledger.h"
#include "record.h"

#define SLOT_BYTES 1024
#define SLOT_LOCKED 1U
#define SLOT_GENERATION_STEP 2U

struct slot {
    _Atomic uint64_t state;       /* generation | SLOT_LOCKED; generations are even, from 2 */
    _Atomic uint32_t next_free;   /* index + 1 */
    uint32_t index;               /* this and tracer are set when the slot is used first: */
    struct tracez_tracer *tracer; /* stale handles read them without the lock */
    uint32_t home;                /* the list that it returns to */
    bool has_area;                /* it was touched, and paid for */

    /* The rest belongs to whoever holds the lock. */
    uint32_t entries_capacity;
    uint32_t max_tag_bytes;
    uint32_t short_bytes_max; /* values up to here are stored as they are, without a call */
    struct tracez_collector *collector; /* NULL: the first that wants the span */
    const struct tracez_keep *keep;     /* NULL: kept in any case */
    const char *keep_reason;            /* that the caller gave; or NULL */
    uint64_t start_monotonic_ns;
    uint64_t known_keys; /* filter: bit key.filter is set when such a key may be there */
    uint64_t text_keys;  /* the same for keys that are not well known */
    unsigned char *entries;
    struct record_header record;
    unsigned char inline_entries[]; /* behind the header, as in a record */
};

#define SLOT_INLINE_BYTES (SLOT_BYTES - offsetof(struct slot, inline_entries))

struct slot_list {
    _Alignas(CACHE_LINE) _Atomic uint64_t head; /* changes << 32 | index + 1 */
};

struct slot_pool {
    struct tracez_tracer *tracer; /* of all slots */
    unsigned char *memory;        /* slots, then one area for each */
    size_t memory_bytes;
    uint32_t slots_max;
    uint32_t area_bytes;
    _Alignas(CACHE_LINE) _Atomic uint32_t fresh; /* slots that were ever used */
    _Atomic uint64_t left_bytes;                 /* that slots and areas may still touch */
    struct slot_list lists[LEDGER_LINES];
};

bool slot_pool_init(struct slot_pool *pool, struct tracez_tracer *tracer, uint32_t slots_max,
                    uint32_t span_bytes_max, uint64_t bytes_max);
void slot_pool_deinit(struct slot_pool *pool);

/* NULL: none left, or no memory for another one. *generation goes into the handle. */
struct slot *slot_take(struct slot_pool *pool, uint32_t writer_index, uint64_t *generation);

/* Was every slot used already? Then memory was not what one could not be had for. */
bool slot_pool_is_used_up(const struct slot_pool *pool);

/* Gives the slot back after slot_end. */
void slot_return(struct slot_pool *pool, struct slot *slot);

/* Waits for another thread's call; false when the handle went stale meanwhile, or on giving up. */
bool slot_lock_contended(struct slot *slot, uint64_t generation);

/* Locks the slot for a call on this handle; false: it is stale, or another thread's call is on its
 * way. */
static inline bool slot_try_lock(struct slot *slot, uint64_t generation)
{
    /* Acquire: pairs with the release in slot_unlock. */
    return atomic_compare_exchange_strong_explicit(&slot->state, &generation,
                                                   generation | SLOT_LOCKED, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void slot_unlock(struct slot *slot, uint64_t generation)
{
    /* Release: pairs with the acquire in slot_try_lock. */
    atomic_store_explicit(&slot->state, generation, memory_order_release);
}

/* Ends the generation: its handles are stale from here on, so that nobody waits while the span is
 * delivered. The caller keeps the lock until slot_return. */
static inline void slot_end(struct slot *slot, uint64_t generation)
{
    /* Relaxed: what the slot holds stays ours. */
    atomic_store_explicit(&slot->state, (generation + SLOT_GENERATION_STEP) | SLOT_LOCKED,
                          memory_order_relaxed);
}

/* Moves the entries to the slot's area, if that makes room for bytes more. */
bool slot_move_to_area(struct slot_pool *pool, struct slot *slot, size_t bytes);

/* Makes room for bytes more of entries. */
static inline bool slot_make_room(struct slot_pool *pool, struct slot *slot, size_t bytes)
{
    return bytes <= slot->entries_capacity - slot->record.entries_bytes ||
           slot_move_to_area(pool, slot, bytes);
}

/* The header with the entries behind it, also where they moved to the area. */
const struct record_header *slot_record_in_area(struct slot *slot);

static inline const struct record_header *slot_record(struct slot *slot)
{
    return slot->entries == slot->inline_entries ? &slot->record : slot_record_in_area(slot);
}

#endif
