/* SPDX-License-Identifier: MIT
 *
 * Figures from many short rounds. Others share the processor and its caches, the clock rate drifts:
 * the median tells what was usual, the lowest hundredth of the rounds what the code itself costs.
 * The one lowest would be a glitch of the clock now and then: a thread's time may stand still. */
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
double rounds_low(struct rounds *rounds);

#endif
