/* SPDX-License-Identifier: MIT
 *
 * The count, and whose it is, in one word: what a forked child inherits is another process's. */
#include "threads.h"

#include <stdatomic.h>
#include <unistd.h>

static _Atomic uint64_t counted; /* process << 32 | threads */

static uint32_t threads_in(uint64_t word, uint64_t process)
{
    return word >> 32 == process ? (uint32_t)word : 0;
}

bool threads_take(uint32_t max)
{
    uint64_t process = (uint32_t)getpid();
    /* Relaxed, here and below: the word stands for itself. */
    uint64_t word = atomic_load_explicit(&counted, memory_order_relaxed);
    uint64_t next;

    do {
        uint32_t threads = threads_in(word, process);
        if (max != 0 && threads >= max) {
            return false;
        }
        next = process << 32 | (threads + 1);
    } while (!atomic_compare_exchange_weak_explicit(&counted, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void threads_give_back(void)
{
    atomic_fetch_sub_explicit(&counted, 1, memory_order_relaxed);
}
