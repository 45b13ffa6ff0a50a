/* SPDX-License-Identifier: MIT
 *
 * Counts every allocation of the program, by any thread and from within libc too: malloc, calloc,
 * realloc and the aligned ones are defined here and handed on to glibc. */
#ifndef TRACEZ_BENCH_ALLOCATIONS_H
#define TRACEZ_BENCH_ALLOCATIONS_H

#include <stdint.h>

/* Since the program began. */
uint64_t allocations_count(void);

#endif
