/* SPDX-License-Identifier: MIT
 *
 * Fork counting and thread numbers.
 *
 * A thread takes the lowest free number at its first span and gives it back when it ends, through
 * the destructor of a pthread key. Number, once taken, is exclusive: whatever is indexed by it has
 * one writer at a time, and taking over a number synchronises with the thread that had it before.
 * What a forked child inherited by number is inert there, so it may give all numbers anew. */
#include "process.h"

#include <pthread.h>

atomic_uint process_forks;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_exit;
static bool numbers_work;
static _Atomic uint64_t taken_numbers;

THREAD_LOCAL uint32_t thread_own_number = THREAD_NUMBER_NOT_TAKEN;

_Static_assert(TRACEZ_WRITERS_MAX == 64, "thread numbers are the bits of one word");

/* In the child, which has only the thread that forked: the others' numbers are free. */
static void begin_child(void)
{
    uint64_t own_bit = thread_own_number < TRACEZ_WRITERS_MAX ? 1ULL << thread_own_number : 0;

    /* Relaxed: there is nobody else yet. */
    atomic_fetch_add_explicit(&process_forks, 1, memory_order_relaxed);
    atomic_store_explicit(&taken_numbers, own_bit, memory_order_relaxed);
}

static void give_number_back(void *number_plus_one)
{
    uint64_t bit = 1ULL << ((uintptr_t)number_plus_one - 1);

    /* Spans that other destructors of this thread still finish are counted on the shared line. */
    thread_own_number = THREAD_NUMBER_SHARED;
    /* Release: pairs with the acquire in find_number; the next holder sees our counters. */
    atomic_fetch_and_explicit(&taken_numbers, ~bit, memory_order_release);
}

static void init_once(void)
{
    pthread_atfork(NULL, NULL, begin_child);
    numbers_work = pthread_key_create(&at_thread_exit, give_number_back) == 0;
}

void process_init(void)
{
    pthread_once(&once, init_once);
}

static uint32_t find_number(void)
{
    /* Relaxed: only a first guess, the exchange below decides. */
    uint64_t taken = atomic_load_explicit(&taken_numbers, memory_order_relaxed);

    while (numbers_work && ~taken != 0) {
        uint32_t number = (uint32_t)__builtin_ctzll(~taken);

        /* Acquire: pairs with the release in give_number_back. */
        if (!atomic_compare_exchange_weak_explicit(&taken_numbers, &taken, taken | 1ULL << number,
                                                   memory_order_acquire, memory_order_relaxed)) {
            continue;
        }
        if (pthread_setspecific(at_thread_exit, (void *)((uintptr_t)number + 1)) == 0) {
            return number;
        }
        atomic_fetch_and_explicit(&taken_numbers, ~(1ULL << number), memory_order_release);
        break;
    }
    return THREAD_NUMBER_SHARED;
}

uint32_t thread_take_number(void)
{
    thread_own_number = find_number();
    return thread_own_number;
}
