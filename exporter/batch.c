/* SPDX-License-Identifier: MIT
 *
 * The pool of batches. A batch is a few KB and its body up to max_batch_bytes, so at most count_max
 * are kept while there is work, and the host trims the pool when there is none. */
#include "batch.h"

#include <stdlib.h>

static void destroy(struct batch *batch)
{
    body_deinit(&batch->body);
    gzip_body_deinit(&batch->compressed);
    free(batch);
}

struct batch *batch_take(struct batch_pool *pool)
{
    struct batch *batch = pool->first;

    if (batch == NULL) {
        batch = calloc(1, sizeof(*batch));
        if (batch != NULL) {
            body_init(&batch->body, pool->format, pool->body_bytes_max);
        }
        return batch;
    }
    pool->first = batch->next;
    pool->count--;
    body_clear(&batch->body);
    batch->compressed.bytes = 0;
    batch->next = NULL;
    batch->state = BATCH_WAITING;
    batch->outcome = (struct tracez_outcome){0};
    batch->first_sent_ns = 0;
    batch->attempts = 0;
    return batch;
}

void batch_return(struct batch_pool *pool, struct batch *batch)
{
    if (pool->count == pool->count_max) {
        destroy(batch);
        return;
    }
    batch->next = pool->first;
    pool->first = batch;
    pool->count++;
}

void batch_pool_trim(struct batch_pool *pool, uint32_t count)
{
    while (pool->count > count) {
        struct batch *batch = pool->first;
        pool->first = batch->next;
        pool->count--;
        destroy(batch);
    }
}
