/* SPDX-License-Identifier: MIT
 *
 * Collecting and sorting figures. */
#include "rounds.h"

#include <math.h>
#include <stdlib.h>

void rounds_add(struct rounds *rounds, double value)
{
    if (rounds->count < ROUNDS_MAX) {
        rounds->values[rounds->count++] = value;
    }
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static double nth(struct rounds *rounds, size_t index)
{
    qsort(rounds->values, rounds->count, sizeof(rounds->values[0]), compare);
    return rounds->count == 0 ? NAN : rounds->values[index];
}

double rounds_median(struct rounds *rounds)
{
    return nth(rounds, rounds->count / 2);
}

double rounds_low(struct rounds *rounds)
{
    return nth(rounds, rounds->count / 100);
}
