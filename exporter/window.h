/* SPDX-License-Identifier: MIT
 *
 * A window: the batches of one lane that were read and not yet acknowledged, in the order of
 * reading. They may end in any order; they are acknowledged in this one, so a batch that is done
 * early waits for those before it. The exporter thread's only, and only while it holds the lease.
 */
#ifndef TRACEZ_EXPORTER_WINDOW_H
#define TRACEZ_EXPORTER_WINDOW_H

#include "batch.h"
#include "pace.h"

#define WINDOW_BATCHES_MAX 128 /* done ones that wait for a slow one included */

struct window {
    struct tracez_lane *lane; /* borrowed, as its collector */
    struct tracez_collector *collector;
    struct pace *pace; /* the collector's; borrowed */
    bool is_leased;
    bool is_leaving; /* another process wants it: nothing more is read */
    struct batch *first;
    struct batch *last;
    uint32_t count;
    uint64_t due_spans;  /* these leave without waiting for a full batch */
    uint64_t half_spans; /* half of what the lane holds */
};

/* Reads up to spans_max unread spans into a new batch. It is BATCH_WAITING, or BATCH_DONE at once
 * when there is nothing to send in it (spans that are too long for any body are counted as
 * oversize). NULL: no memory. */
struct batch *window_read(struct window *window, struct batch_pool *pool,
                          struct envelopes *envelopes, uint32_t spans_max);

/* Everything unread is due now. */
void window_make_due(struct window *window);

/* The first batch in this state, or NULL. */
struct batch *window_find(const struct window *window, enum batch_state state);

/* Acknowledges what is done, up to the first batch that is not. What became of its spans is added
 * to sum. */
void window_settle(struct window *window, struct batch_pool *pool, struct tracez_outcome *sum);

/* Ends all batches that are not done, and takes the unread spans out of the collector, for this
 * reason. Likewise added to sum, with what had been done and waited. */
void window_give_up(struct window *window, struct batch_pool *pool, enum tracez_drop reason,
                    struct tracez_outcome *sum);

/* Forgets the batches; their spans become unread again. */
void window_abandon(struct window *window, struct batch_pool *pool);

#endif
