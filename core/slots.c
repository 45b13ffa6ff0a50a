/* SPDX-License-Identifier: MIT
 *
 * Taking, locking and returning slots. The lists are Treiber stacks of indexes whose heads count
 * their changes, so that a head seen again after a slot came and went is not taken for the same. */
#include "slots.h"

#include "buffer.h"
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define SLOT_SPINS 64
#define SLOT_YIELDS 1000
#define SLOT_NAPS 10000 /* more than a second in all */
#define SLOT_NAP_NS 100000

static struct slot *slot_at(const struct slot_pool *pool, uint32_t index)
{
    return (struct slot *)(pool->memory + (size_t)index * SLOT_BYTES);
}

bool slot_pool_init(struct slot_pool *pool, struct tracez_tracer *tracer, uint32_t slots_max,
                    uint32_t span_bytes_max, uint64_t bytes_max)
{
    pool->tracer = tracer;
    pool->slots_max = slots_max;
    pool->area_bytes = span_bytes_max / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
    pool->memory_bytes = (size_t)slots_max * (SLOT_BYTES + pool->area_bytes);
    atomic_init(&pool->left_bytes, bytes_max);
    pool->memory = memory_reserve(pool->memory_bytes);
    if (pool->memory == NULL) {
        return false;
    }
    /* A huge page would bring along 2 MiB that nobody paid for. Refused only where none are. */
    (void)madvise(pool->memory, pool->memory_bytes, MADV_NOHUGEPAGE);
    return true;
}

void slot_pool_deinit(struct slot_pool *pool)
{
    memory_free(pool->memory, pool->memory_bytes);
    pool->memory = NULL;
}

static struct slot *pop(struct slot_pool *pool, struct slot_list *list)
{
    /* Acquire: pairs with the release in push; next_free is that of this head. */
    uint64_t head = atomic_load_explicit(&list->head, memory_order_acquire);

    while ((uint32_t)head != 0) {
        struct slot *slot = slot_at(pool, (uint32_t)head - 1);
        /* Relaxed: should the slot be taken meanwhile, the change count in head differs. */
        uint32_t next = atomic_load_explicit(&slot->next_free, memory_order_relaxed);
        uint64_t changes = (head >> 32) + 1;

        if (atomic_compare_exchange_weak_explicit(&list->head, &head, changes << 32 | next,
                                                  memory_order_acquire, memory_order_acquire)) {
            return slot;
        }
    }
    return NULL;
}

static void push(struct slot_list *list, struct slot *slot)
{
    /* Relaxed: only a guess, the exchange decides. */
    uint64_t head = atomic_load_explicit(&list->head, memory_order_relaxed);
    uint64_t next_head;

    do {
        atomic_store_explicit(&slot->next_free, (uint32_t)head, memory_order_relaxed);
        next_head = ((head >> 32) + 1) << 32 | (slot->index + 1);
        /* Release: pairs with the acquire in pop. */
    } while (!atomic_compare_exchange_weak_explicit(&list->head, &head, next_head,
                                                    memory_order_release, memory_order_relaxed));
}

/* False, and nothing paid: the limit is reached. */
static bool pay(struct slot_pool *pool, uint32_t bytes)
{
    /* Relaxed, here and below: a number that stands for itself. */
    uint64_t left_bytes = atomic_load_explicit(&pool->left_bytes, memory_order_relaxed);

    do {
        if (left_bytes < bytes) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&pool->left_bytes, &left_bytes,
                                                    left_bytes - bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool slot_pool_is_used_up(const struct slot_pool *pool)
{
    return atomic_load_explicit(&pool->fresh, memory_order_relaxed) >= pool->slots_max;
}

static struct slot *take_fresh(struct slot_pool *pool)
{
    /* Relaxed: an index is only a number; nobody else knows the slot yet. */
    uint32_t index = atomic_load_explicit(&pool->fresh, memory_order_relaxed);

    if (index >= pool->slots_max || !pay(pool, SLOT_BYTES)) {
        return NULL;
    }
    do {
        if (index >= pool->slots_max) {
            atomic_fetch_add_explicit(&pool->left_bytes, SLOT_BYTES, memory_order_relaxed);
            return NULL;
        }
    } while (!atomic_compare_exchange_weak_explicit(&pool->fresh, &index, index + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    struct slot *slot = slot_at(pool, index);
    slot->index = index;
    slot->tracer = pool->tracer;
    /* Relaxed: it becomes known to others together with the handle. */
    atomic_store_explicit(&slot->state, SLOT_GENERATION_STEP, memory_order_relaxed);
    return slot;
}

struct slot *slot_take(struct slot_pool *pool, uint32_t writer_index, uint64_t *generation)
{
    struct slot *slot = pop(pool, &pool->lists[writer_index]);

    if (slot == NULL) {
        slot = take_fresh(pool);
    }
    for (uint32_t i = 0; i < LEDGER_LINES && slot == NULL; i++) {
        slot = pop(pool, &pool->lists[i]);
    }
    if (slot != NULL) {
        slot->home = writer_index;
        slot->entries = slot->inline_entries;
        slot->entries_capacity = SLOT_INLINE_BYTES;
        slot->known_keys = 0;
        slot->text_keys = 0;
        /* Relaxed: the slot is ours; its generation was set before it was returned. */
        *generation = atomic_load_explicit(&slot->state, memory_order_relaxed);
    }
    return slot;
}

void slot_return(struct slot_pool *pool, struct slot *slot)
{
    uint32_t home = slot->home;
    /* Relaxed: we hold the lock, and who takes the slot next synchronises with push. */
    uint64_t locked = atomic_load_explicit(&slot->state, memory_order_relaxed);

    atomic_store_explicit(&slot->state, locked - SLOT_LOCKED, memory_order_relaxed);
    push(&pool->lists[home], slot);
}

/* Whoever holds the lock lost its processor: it may get ours, or else time to get one. */
static void give_way(int round)
{
    static const struct timespec nap = {.tv_nsec = SLOT_NAP_NS};
    int saved_errno = errno;

    if (round >= SLOT_SPINS + SLOT_YIELDS) {
        nanosleep(&nap, NULL);
    } else if (round >= SLOT_SPINS) {
        sched_yield();
    }
    errno = saved_errno;
}

bool slot_lock_contended(struct slot *slot, uint64_t generation)
{
    for (int round = 0; round < SLOT_SPINS + SLOT_YIELDS + SLOT_NAPS; round++) {
        uint64_t state = generation;

        /* Acquire: pairs with the release in slot_unlock. */
        if (atomic_compare_exchange_strong_explicit(&slot->state, &state, generation | SLOT_LOCKED,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
        /* In a forked child the thread that holds it may not exist. */
        if (state != (generation | SLOT_LOCKED) || tracer_is_inert(slot->tracer)) {
            return false;
        }
        give_way(round);
    }
    return false;
}

bool slot_move_to_area(struct slot_pool *pool, struct slot *slot, size_t bytes)
{
    uint32_t used = slot->record.entries_bytes;

    uint32_t area_capacity = pool->area_bytes - (uint32_t)sizeof(struct record_header);
    if (slot->entries != slot->inline_entries || bytes > area_capacity - used ||
        (!slot->has_area && !pay(pool, pool->area_bytes))) {
        return false;
    }
    slot->has_area = true;
    unsigned char *area = pool->memory + (size_t)pool->slots_max * SLOT_BYTES +
                          (size_t)slot->index * pool->area_bytes;
    slot->entries = area + sizeof(struct record_header); /* see slot_record */
    memcpy(slot->entries, slot->inline_entries, used);
    slot->entries_capacity = area_capacity;
    return true;
}

const struct record_header *slot_record_in_area(struct slot *slot)
{
    struct record_header *header = (struct record_header *)(void *)slot->entries - 1;

    *header = slot->record;
    return header;
}
