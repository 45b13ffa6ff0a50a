/* SPDX-License-Identifier: MIT
 *
 * A token bucket: so many a second, and a burst of what was saved up.
 *
 * The bucket is one 64-bit word: the moment at which it will be full again if nobody takes more.
 * Each token that is taken moves it on by a token's time; what would move it further ahead of now
 * than a burst takes to fill is refused (the generic cell rate algorithm, ITU-T I.371). So
 * nothing runs in the background, nothing needs a lock, and whoever dies at any instruction has
 * taken a token or none. Zeroed memory is a full bucket.
 *
 * The word may lie in shared memory; rate and burst are what each process believes them to be, and
 * may differ for as long as a configuration takes over from another. A moment that is too far ahead
 * for that rate, by another configuration's or by anybody's garbage, is an empty bucket. The clock
 * is read after the word, each time that is looked at: who was put to sleep in between would take
 * what others wrote meanwhile for garbage, and fill the bucket up.
 *
 * Progress: lock-free. Cost: the clock, one load and one compare-and-swap where there is a token,
 * the clock and one load where there is none. */
#ifndef TRACEZ_CORE_BUCKET_H
#define TRACEZ_CORE_BUCKET_H

#include "clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BUCKET_RATE_MIN 0.001 /* tokens a second */
#define BUCKET_RATE_MAX 1e9
#define BUCKET_BURST_FACTOR 2 /* where nobody says: what comes in two seconds */

struct bucket {
    _Atomic uint64_t full_at; /* in ticks of the monotonic clock */
};

/* What a process knows about a bucket by itself. */
struct bucket_rate {
    uint64_t token_ticks; /* how long a token takes to come */
    uint64_t burst_ticks; /* how long an empty bucket takes to fill */
};

/* per_second within the bounds above; burst in tokens, at least one, 0: BUCKET_BURST_FACTOR times
 * the rate. */
struct bucket_rate bucket_rate_of(double per_second, double burst);

/* Takes a token; false: there is none. Any thread. */
bool bucket_take(struct bucket *bucket, const struct bucket_rate *rate, const struct clock *clock);

#endif
