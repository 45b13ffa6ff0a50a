/* SPDX-License-Identifier: MIT
 *
 * Making rates, and taking tokens. */
#include "bucket.h"

#define TICKS_PER_NS 16 /* so that a million tokens a second are a million, to a ten-thousandth */
#define TICKS_PER_SECOND (UINT64_C(1000000000) * TICKS_PER_NS)
#define BURST_TICKS_MAX (UINT64_C(1) << 62) /* nine years */

struct bucket_rate bucket_rate_of(double per_second, double burst)
{
    double tokens = burst > 0 ? burst : BUCKET_BURST_FACTOR * per_second;
    double token_ticks = (double)TICKS_PER_SECOND / per_second;
    double burst_ticks = (tokens < 1 ? 1 : tokens) * token_ticks;
    struct bucket_rate rate = {.token_ticks = (uint64_t)token_ticks};

    rate.burst_ticks =
        burst_ticks < (double)BURST_TICKS_MAX ? (uint64_t)burst_ticks : BURST_TICKS_MAX;
    return rate;
}

bool bucket_take(struct bucket *bucket, const struct bucket_rate *rate, const struct clock *clock)
{
    /* Acquire, here and below: the clock is read after the word. Else relaxed: it stands for
     * itself. */
    uint64_t full_at = atomic_load_explicit(&bucket->full_at, memory_order_acquire);
    uint64_t empty;
    uint64_t next;

    do {
        uint64_t now = clock_monotonic_ns(clock) * TICKS_PER_NS;

        empty = now + rate->burst_ticks;
        next = (full_at > now ? full_at : now) + rate->token_ticks;
        /* Clocks of two processors may differ a little. More than a second was nobody who counts
         * as we do. */
        if (full_at > empty + TICKS_PER_SECOND) {
            next = empty;
        } else if (next > empty) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&bucket->full_at, &full_at, next,
                                                    memory_order_acquire, memory_order_acquire));
    return full_at <= empty + TICKS_PER_SECOND;
}
