/* SPDX-License-Identifier: MIT
 *
 * The bounds, and finding a value's bucket. */
#include "histogram.h"

#define MS UINT64_C(1000000)

/* To the default of timeout_ms. */
const uint64_t tracez_export_duration_bounds_ns[TRACEZ_HISTOGRAM_BOUNDS] = {
    1 * MS,   2 * MS,   5 * MS,    10 * MS,   20 * MS,   50 * MS,    100 * MS,
    200 * MS, 500 * MS, 1000 * MS, 2000 * MS, 5000 * MS, 10000 * MS, 30000 * MS,
};

/* With the default of batch_size. */
const uint64_t tracez_batch_spans_bounds[TRACEZ_HISTOGRAM_BOUNDS] = {
    1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
};

void histogram_add(struct tracez_histogram *histogram,
                   const uint64_t bounds[TRACEZ_HISTOGRAM_BOUNDS], uint64_t value)
{
    size_t bucket = 0;

    while (bucket < TRACEZ_HISTOGRAM_BOUNDS && value > bounds[bucket]) {
        bucket++;
    }
    histogram->buckets[bucket]++;
    histogram->sum += value;
}
