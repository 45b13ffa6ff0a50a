/* SPDX-License-Identifier: MIT
 *
 * Which process and which thread is this? Forks are counted, so that a child recognises what it
 * merely inherited, and threads get small numbers, so that each can have counters and a shard of
 * its own. */
#ifndef TRACEZ_CORE_PROCESS_H
#define TRACEZ_CORE_PROCESS_H

#include <tracez/tracez.h>

#include <stdatomic.h>

/* No thread-local lookup function is called for these, also in a module that was loaded late. They
 * are few and small, as static TLS is scarce. */
#define THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

extern atomic_uint process_forks;

/* Starts counting forks. Any thread, any number of times; before the first process_fork_count. */
void process_init(void);

/* Differs between a process and its forked child. */
static inline unsigned process_fork_count(void)
{
    /* Relaxed: written only in a new child, before it has a second thread. */
    return atomic_load_explicit(&process_forks, memory_order_relaxed);
}

#define THREAD_NUMBER_SHARED TRACEZ_WRITERS_MAX

#define THREAD_NUMBER_NOT_TAKEN UINT32_MAX

extern THREAD_LOCAL uint32_t thread_own_number;

uint32_t thread_take_number(void);

/* 0 to TRACEZ_WRITERS_MAX - 1, held by no other living thread; or THREAD_NUMBER_SHARED. */
static inline uint32_t thread_number(void)
{
    uint32_t number = thread_own_number;

    return number != THREAD_NUMBER_NOT_TAKEN ? number : thread_take_number();
}

#endif
