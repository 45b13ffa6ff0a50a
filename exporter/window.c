/* SPDX-License-Identifier: MIT
 *
 * Reading into batches and acknowledging them. Every span that was read is in exactly one batch's
 * outcome when that is acknowledged; what reading skipped as corrupt lies between two marks and is
 * counted by the acknowledgement itself. */
#include "window.h"

struct reading {
    struct batch *batch;
    struct envelopes *envelopes;
    const struct tracez_collector *collector;
    bool lacks_memory;
};

static bool read_one(const struct tracez_record *record, void *state)
{
    struct reading *reading = state;
    struct batch *batch = reading->batch;

    switch (body_add(&batch->body, reading->envelopes, reading->collector, record)) {
    case BODY_ADDED:
        return true;
    case BODY_FULL:
        if (batch->body.spans > 0) {
            return false;
        }
        batch->outcome.dropped[TRACEZ_DROP_OVERSIZE]++;
        return true;
    case BODY_NO_MEMORY:
        break;
    }
    reading->lacks_memory = true;
    return false;
}

static void append(struct window *window, struct batch *batch)
{
    if (window->last != NULL) {
        window->last->next = batch;
    } else {
        window->first = batch;
    }
    window->last = batch;
    window->count++;
}

struct batch *window_read(struct window *window, struct batch_pool *pool,
                          struct envelopes *envelopes, uint32_t spans_max)
{
    struct reading reading = {batch_take(pool), envelopes, window->collector, false};

    if (reading.batch == NULL) {
        return NULL;
    }
    size_t taken =
        tracez_lane_read(window->lane, spans_max, read_one, &reading, &reading.batch->mark);
    if (taken == 0 && reading.lacks_memory) {
        batch_return(pool, reading.batch);
        return NULL;
    }
    /* Nothing left to read, though more were due: somebody's estimate, or corrupt ones. */
    window->due_spans = taken == 0 || taken > window->due_spans ? 0 : window->due_spans - taken;
    reading.batch->state = reading.batch->body.spans > 0 ? BATCH_WAITING : BATCH_DONE;
    append(window, reading.batch);
    return reading.batch;
}

void window_make_due(struct window *window)
{
    window->due_spans = tracez_lane_unread(window->lane);
}

struct batch *window_find(const struct window *window, enum batch_state state)
{
    struct batch *batch = window->first;

    while (batch != NULL && batch->state != state) {
        batch = batch->next;
    }
    return batch;
}

static struct batch *remove_first(struct window *window)
{
    struct batch *batch = window->first;

    window->first = batch->next;
    window->last = window->first == NULL ? NULL : window->last;
    window->count--;
    return batch;
}

/* What became of them is told to the collector, and added to sum. */
static void acknowledge(const struct window *window, const struct tracez_mark *mark,
                        const struct tracez_outcome *outcome, struct tracez_outcome *sum)
{
    tracez_lane_acknowledge(window->lane, mark, outcome);
    sum->exported += outcome->exported;
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        sum->dropped[reason] += outcome->dropped[reason];
    }
}

void window_settle(struct window *window, struct batch_pool *pool, struct tracez_outcome *sum)
{
    while (window->first != NULL && window->first->state == BATCH_DONE) {
        struct batch *batch = remove_first(window);
        acknowledge(window, &batch->mark, &batch->outcome, sum);
        batch_return(pool, batch);
    }
    /* A done batch that has to wait needs its body no more, in neither form. */
    for (struct batch *batch = window->first; batch != NULL; batch = batch->next) {
        if (batch->state == BATCH_DONE) {
            body_deinit(&batch->body);
            gzip_body_deinit(&batch->compressed);
        }
    }
}

static bool skip(const struct tracez_record *record, void *state)
{
    (void)record;
    (void)state;
    return true;
}

void window_give_up(struct window *window, struct batch_pool *pool, enum tracez_drop reason,
                    struct tracez_outcome *sum)
{
    struct tracez_outcome outcome = {0};
    struct tracez_mark mark;

    for (struct batch *batch = window->first; batch != NULL; batch = batch->next) {
        if (batch->state != BATCH_DONE) {
            batch->outcome.dropped[reason] += batch->body.spans;
            batch->state = BATCH_DONE;
        }
    }
    window_settle(window, pool, sum);
    /* Only what is there now: writers may go on for ever. */
    outcome.dropped[reason] =
        tracez_lane_read(window->lane, tracez_lane_unread(window->lane), skip, NULL, &mark);
    acknowledge(window, &mark, &outcome, sum);
    window->due_spans = 0;
}

void window_abandon(struct window *window, struct batch_pool *pool)
{
    while (window->first != NULL) {
        batch_return(pool, remove_first(window));
    }
    window->due_spans = 0;
    tracez_lane_rewind(window->lane);
}
