/* SPDX-License-Identifier: MIT
 *
 * The traces that the receiver has: the newest ones, within fixed bounds of number and memory. The
 * oldest trace goes when a bound is reached. Shared by the server's thread, which adds, and the
 * main thread, which prints: every function takes the store's lock. */
#ifndef RECEIVER_STORE_H
#define RECEIVER_STORE_H

#include <jansson.h>
#include <stdio.h>

#include "span.h"
#include "tree.h"

#define STORE_TRACES_MAX 1024
#define STORE_TRACE_SPANS_MAX 256
#define STORE_BYTES_MAX ((size_t)64 << 20)

struct store;

/* Owned by the caller; NULL without memory. drop_one: the first SERVER span gets lost, for a test
 * that somebody notices. */
struct store *store_create(bool drop_one);
void store_destroy(struct store *store);

/* The span is taken. */
void store_add(struct store *store, struct span *span);

/* Writes the traces that nothing was added to for quiet_ms, and that were not written since, as
 * trees, in the order in which they began; at most traces_max, the others it only counts. Flushes;
 * false with errno when that failed. */
bool store_write_quiet(struct store *store, unsigned quiet_ms, size_t traces_max,
                       const struct tree_style *style, FILE *out);

/* Everything as JSON: {"spans": […], "received": n, "evicted": n, "unwritten": traces}. New
 * reference; NULL without memory. */
json_t *store_json(struct store *store);

#endif
