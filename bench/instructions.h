/* SPDX-License-Identifier: MIT
 *
 * Instructions, counted by callgrind: repeatable to a fraction of a percent where times drift by a
 * quarter. This program runs itself again under valgrind with two counts; the difference of the
 * instructions over the difference of the counts is what one more costs. */
#ifndef TRACEZ_BENCH_INSTRUCTIONS_H
#define TRACEZ_BENCH_INSTRUCTIONS_H

/* Runs "{this program} --count {what} {n}" and counts what happens in the function of this name.
 * A negative number: there is no valgrind, or it failed. */
double instructions_of(const char *what, const char *function);

#endif
