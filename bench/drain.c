/* SPDX-License-Identifier: MIT
 *
 * Emptying a collector in batches. */
#include "drain.h"

#include <err.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct batch {
    struct drain *drain;
    const unsigned char *last_entries;
    size_t last_bytes;
};

static bool read_one(const struct tracez_record *record, void *state)
{
    struct batch *batch = state;
    struct drain *drain = batch->drain;
    uint64_t word;

    for (size_t at = 0; at + sizeof(word) <= record->entries_bytes; at += sizeof(word)) {
        memcpy(&word, record->entries + at, sizeof(word));
        drain->checksum += word;
    }
    /* Records lie one behind the other, but for the end of the ring and other shards. */
    ptrdiff_t step = record->entries - batch->last_entries;
    if (batch->last_entries != NULL && step > 0 && step < (ptrdiff_t)batch->last_bytes + 128) {
        drain->record_bytes += (uint64_t)step;
        drain->record_steps++;
    }
    batch->last_entries = record->entries;
    batch->last_bytes = record->entries_bytes;
    return true;
}

size_t drain_batch(struct drain *drain)
{
    struct batch batch = {.drain = drain};
    struct tracez_outcome outcome = {0};
    struct tracez_mark mark;

    outcome.exported = tracez_lane_read(tracez_collector_lane(drain->collector, 0),
                                        DRAIN_BATCH_SPANS, read_one, &batch, &mark);
    tracez_lane_acknowledge(tracez_collector_lane(drain->collector, 0), &mark, &outcome);
    drain->spans += outcome.exported;
    drain->batches++;
    return (size_t)outcome.exported;
}

static void *run(void *state)
{
    struct drain *drain = state;
    uint64_t ignored;

    if (tracez_lane_lease(tracez_collector_lane(drain->collector, 0)) != TRACEZ_OK) {
        errx(1, "somebody else reads the collector");
    }
    /* Acquire: pairs with the release in drain_stop; all spans are there to be read. */
    while (!atomic_load_explicit(&drain->stop, memory_order_acquire)) {
        struct pollfd woken = {.fd = drain->wake_fd, .events = POLLIN};
        if (poll(&woken, 1, 1000) == 1 &&
            read(drain->wake_fd, &ignored, sizeof(ignored)) != sizeof(ignored)) {
            err(1, "eventfd");
        }
        while (tracez_collector_unread(drain->collector) >= DRAIN_BATCH_SPANS) {
            drain_batch(drain);
        }
    }
    while (drain_batch(drain) > 0) {
    }
    tracez_lane_release(tracez_collector_lane(drain->collector, 0));
    return NULL;
}

static void wake(void *state, uint32_t lane)
{
    (void)lane;
    const struct drain *drain = state;
    const uint64_t one = 1;

    if (write(drain->wake_fd, &one, sizeof(one)) != sizeof(one)) {
        err(1, "eventfd");
    }
}

void drain_start(struct drain *drain, struct tracez_collector *collector)
{
    drain->collector = collector;
    drain->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (drain->wake_fd < 0) {
        err(1, "eventfd");
    }
    tracez_collector_on_batch(collector, DRAIN_BATCH_SPANS, wake, drain);
    if (pthread_create(&drain->thread, NULL, run, drain) != 0) {
        errx(1, "no thread to be had");
    }
}

void drain_wait(struct drain *drain)
{
    while (tracez_collector_unread(drain->collector) >= DRAIN_BATCH_SPANS) {
        wake(drain, 0);
        sched_yield();
    }
}

void drain_stop(struct drain *drain)
{
    atomic_store_explicit(&drain->stop, true, memory_order_release);
    wake(drain, 0);
    pthread_join(drain->thread, NULL);
    tracez_collector_on_batch(drain->collector, 0, NULL, NULL);
    close(drain->wake_fd);
}
