/* SPDX-License-Identifier: MIT
 *
 * Measuring the distance between the monotonic and the wall clock. */
#include "clock.h"

static uint64_t read_unix_ns(const struct clock *clock)
{
    struct timespec now;

    if (clock->source.unix_ns != NULL) {
        return clock->source.unix_ns(clock->source.state);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void clock_measure(struct clock *clock)
{
    /* The wall clock is read between two monotonic readings and set against their middle. */
    uint64_t before_ns = clock_monotonic_ns(clock);
    uint64_t unix_ns = read_unix_ns(clock);
    uint64_t after_ns = clock_monotonic_ns(clock);
    uint64_t middle_ns = before_ns + (after_ns - before_ns) / 2;

    /* Relaxed: see clock_unix_ns. */
    atomic_store_explicit(&clock->offset_ns, unix_ns - middle_ns, memory_order_relaxed);
    atomic_store_explicit(&clock->measured_ns, before_ns, memory_order_relaxed);
}

void clock_init(struct clock *clock, const struct tracez_clock *source)
{
    clock->source = *source;
    clock_measure(clock);
}
