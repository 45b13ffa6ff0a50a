/* SPDX-License-Identifier: MIT
 *
 * One clock read a moment: times come from the monotonic clock, and the wall clock is its reading
 * plus an offset that is measured anew every second. So a span costs two clock reads instead of
 * three, durations are never negative, and a wall clock that jumps is followed within a second. */
#ifndef TRACEZ_CORE_CLOCK_H
#define TRACEZ_CORE_CLOCK_H

#include <tracez/tracez.h>

#include <stdatomic.h>
#include <time.h>

struct clock {
    struct tracez_clock source; /* the system's where its functions are NULL */
    _Atomic uint64_t offset_ns; /* wall clock minus monotonic clock, modulo 2^64 */
    _Atomic uint64_t measured_ns;
};

void clock_init(struct clock *clock, const struct tracez_clock *source);

/* Measures the offset again. Any thread; two at once are harmless, both measure the same. */
void clock_measure(struct clock *clock);

static inline uint64_t clock_monotonic_ns(const struct clock *clock)
{
    struct timespec now;

    if (clock->source.monotonic_ns != NULL) {
        return clock->source.monotonic_ns(clock->source.state);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* The wall clock at a moment of the monotonic clock, now or in the past. */
static inline uint64_t clock_unix_ns(struct clock *clock, uint64_t monotonic_ns)
{
    /* Relaxed: each word stands for itself; an offset from a moment ago is as good. */
    uint64_t measured_ns = atomic_load_explicit(&clock->measured_ns, memory_order_relaxed);

    if (monotonic_ns > measured_ns + 1000000000U) {
        clock_measure(clock);
    }
    return monotonic_ns + atomic_load_explicit(&clock->offset_ns, memory_order_relaxed);
}

#endif
