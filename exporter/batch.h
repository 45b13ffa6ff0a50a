/* SPDX-License-Identifier: MIT
 *
 * A batch: spans that travel together in one body, from being read to being acknowledged. The body
 * is encoded once and kept until then, so that an attempt after an unclear one is byte for byte the
 * same. */
#ifndef TRACEZ_EXPORTER_BATCH_H
#define TRACEZ_EXPORTER_BATCH_H

#include "body.h"
#include "gzip.h"

enum batch_state {
    BATCH_WAITING, /* to be sent, perhaps again */
    BATCH_SENT,    /* in flight */
    BATCH_DONE     /* outcome is known; waits for the batches before it */
};

struct batch {
    struct batch *next; /* in its window, or in the pool */
    enum batch_state state;
    struct body body;
    struct gzip_body compressed; /* the same, once it is needed so */
    struct tracez_mark mark;
    struct tracez_outcome outcome;
    uint32_t round;         /* of the last attempt: retry.h */
    uint64_t first_sent_ns; /* 0: never */
    uint64_t sent_ns;       /* the last time */
    uint32_t attempts;      /* begun */
};

/* Batches that are not in use keep their bodies' memory for the next ones. */
struct batch_pool {
    struct batch *first;
    uint32_t count;
    uint32_t count_max;
    const struct format *format;
    size_t body_bytes_max;
};

struct batch *batch_take(struct batch_pool *pool); /* NULL: no memory */
void batch_return(struct batch_pool *pool, struct batch *batch);

/* Gives memory back until only so many are kept. */
void batch_pool_trim(struct batch_pool *pool, uint32_t count);

#endif
