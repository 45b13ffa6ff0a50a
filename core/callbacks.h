/* SPDX-License-Identifier: MIT
 *
 * Finish callbacks: a few rows of function and state. Each row counts the calls that are inside it,
 * so that removal can wait for them. */
#ifndef TRACEZ_CORE_CALLBACKS_H
#define TRACEZ_CORE_CALLBACKS_H

#include "record.h"

#include <pthread.h>
#include <stdatomic.h>

#define CALLBACKS_MAX 8

struct callback {
    _Atomic uint64_t calls; /* inside, and CALLBACK_READY when it may be entered */
    tracez_finish_fn fn;    /* constant while the row is ready */
    void *state;
};

struct callbacks {
    atomic_bool any;      /* false: nothing to look at */
    pthread_mutex_t edit; /* adding and removing */
    struct callback rows[CALLBACKS_MAX];
};

void callbacks_init(struct callbacks *callbacks);
void callbacks_deinit(struct callbacks *callbacks);

/* Request path. Worth calling only where there are any. */
void callbacks_call(struct callbacks *callbacks, const struct record_header *header);

static inline bool callbacks_any(const struct callbacks *callbacks)
{
    /* Relaxed: a callback added at this moment need not see this span. */
    return atomic_load_explicit(&callbacks->any, memory_order_relaxed);
}

#endif
