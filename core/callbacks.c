/* SPDX-License-Identifier: MIT
 *
 * Adding, calling and removing finish callbacks.
 *
 * Who may run beside whom ("-" freely, "x" never):   call  add  remove
 *                                           call      -     -    -
 *                                           add       -     x    x
 *                                           remove    -     x    x   (waits for the calls inside)
 *
 * A caller enters a row by adding one to its count, and leaves again at once when the row was not
 * ready. Removal clears the ready bit, after which nobody stays, and waits until the count is zero.
 */
#include "callbacks.h"

#include "result.h"
#include "tracer.h"

#include <sched.h>

#define CALLBACK_READY (1ULL << 32)

void callbacks_init(struct callbacks *callbacks)
{
    pthread_mutex_init(&callbacks->edit, NULL);
}

void callbacks_deinit(struct callbacks *callbacks)
{
    pthread_mutex_destroy(&callbacks->edit);
}

static void call_row(struct callback *row, const struct tracez_record *record)
{
    /* Relaxed: rows that are not in use are passed over without a write. */
    if ((atomic_load_explicit(&row->calls, memory_order_relaxed) & CALLBACK_READY) == 0) {
        return;
    }
    /* Acquire: pairs with the release in add; function and state are there. */
    if ((atomic_fetch_add_explicit(&row->calls, 1, memory_order_acquire) & CALLBACK_READY) != 0) {
        row->fn(record, row->state);
    }
    /* Release: pairs with the acquire in remove; our call is over before its state is freed. */
    atomic_fetch_sub_explicit(&row->calls, 1, memory_order_release);
}

void callbacks_call(struct callbacks *callbacks, const struct record_header *header)
{
    struct tracez_record record;

    if (!record_view(header, header, &record)) {
        return;
    }
    for (int i = 0; i < CALLBACKS_MAX; i++) {
        call_row(&callbacks->rows[i], &record);
    }
}

enum tracez_result tracez_tracer_on_finish(struct tracez_tracer *tracer, tracez_finish_fn fn,
                                           void *state)
{
    struct callbacks *callbacks = &tracer->callbacks;
    enum tracez_result result = TRACEZ_BUSY;

    if (fn == NULL) {
        return TRACEZ_INVALID;
    }
    pthread_mutex_lock(&callbacks->edit);
    for (int i = 0; i < CALLBACKS_MAX && result != TRACEZ_OK; i++) {
        struct callback *row = &callbacks->rows[i];

        /* Relaxed: who looked in on its way touched nothing of a row that was not ready. */
        if (atomic_load_explicit(&row->calls, memory_order_relaxed) == 0) {
            row->fn = fn;
            row->state = state;
            /* Release: pairs with the acquire in call_row. */
            atomic_fetch_or_explicit(&row->calls, CALLBACK_READY, memory_order_release);
            atomic_store_explicit(&callbacks->any, true, memory_order_relaxed);
            result = TRACEZ_OK;
        }
    }
    pthread_mutex_unlock(&callbacks->edit);
    return result;
}

void tracez_tracer_remove_on_finish(struct tracez_tracer *tracer, tracez_finish_fn fn, void *state)
{
    struct callbacks *callbacks = &tracer->callbacks;
    bool any = false;

    pthread_mutex_lock(&callbacks->edit);
    for (int i = 0; i < CALLBACKS_MAX; i++) {
        struct callback *row = &callbacks->rows[i];
        bool is_ready =
            (atomic_load_explicit(&row->calls, memory_order_relaxed) & CALLBACK_READY) != 0;

        if (is_ready && row->fn == fn && row->state == state) {
            /* Acquire: pairs with the release in call_row, for the last call that was inside. */
            atomic_fetch_and_explicit(&row->calls, ~CALLBACK_READY, memory_order_acquire);
            while (atomic_load_explicit(&row->calls, memory_order_acquire) != 0) {
                sched_yield();
            }
        } else if (is_ready) {
            any = true;
        }
    }
    atomic_store_explicit(&callbacks->any, any, memory_order_relaxed);
    pthread_mutex_unlock(&callbacks->edit);
}
