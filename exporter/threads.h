/* SPDX-License-Identifier: MIT
 *
 * How many threads of exporters run in this process: a count that is kept for max_threads, and that
 * is looked at before a thread is made. A thread that could not be ended stays counted; a forked
 * child has none of its parent's. Any thread. */
#ifndef TRACEZ_EXPORTER_THREADS_H
#define TRACEZ_EXPORTER_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/* False: there are max already. 0: any number. */
bool threads_take(uint32_t max);
void threads_give_back(void);

#endif
