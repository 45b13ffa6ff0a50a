/* SPDX-License-Identifier: MIT
 *
 * Figures from many short rounds. Another process may take the processor, the clock rate may drift:
 * the median tells what is usual, the minimum what the code itself costs. */
#ifndef TRACEZ_BENCH_ROUNDS_H
#define TRACEZ_BENCH_ROUNDS_H

#include <stddef.h>

#define ROUNDS_MAX 10000

struct rounds {
    double values[ROUNDS_MAX];
    size_t count; /* further ones are left out */
};

void rounds_add(struct rounds *rounds, double value);

/* Sorts the values. */
double rounds_median(struct rounds *rounds);
double rounds_minimum(struct rounds *rounds);

#endif
