/* SPDX-License-Identifier: MIT
 *
 * The tracer: what set-up makes and every span uses. All of it is constant after creation, but for
 * the parts that guard themselves (slots, collectors, ledger, callbacks, clock). */
#ifndef TRACEZ_CORE_TRACER_H
#define TRACEZ_CORE_TRACER_H

#include "buffer.h"
#include "callbacks.h"
#include "clock.h"
#include "collector.h"
#include "process.h"
#include "slots.h"

struct tracez_tracer {
    struct ledger *ledger;
    struct buffer *buffer;
    size_t buffer_bytes;
    bool owns_memory;
    bool has_fixed_writer; /* the ledger is shared with other processes */
    bool is_single_threaded;
    uint32_t writer;
    uint32_t max_tag_bytes;
    unsigned fork_count; /* of the process that made it: in a child the tracer is inert. A disabled
                            one has one of no process */
    struct bucket_rate spans_rate; /* of the ledger's bucket; zero: no bound */
    struct tracez_sampler sampler;
    struct tracez_sampler root; /* what sampler asks, where it is the usual one */
    uint32_t resource_rows[TRACEZ_RESOURCES_MAX];
    uint32_t resource_count;
    uint32_t collector_count;
    struct tracez_collector *takes_all; /* the first collector, if it wants every span; or NULL */
    struct clock clock;
    struct callbacks callbacks;
    struct slot_pool slots;
    struct tracez_collector collectors[TRACEZ_COLLECTORS_MAX];
};

/* The calling thread's line of the ledger. Where the ledger is shared, threads of this process
 * share a line, too, if it has more than one that calls. */
static inline struct ledger_writer tracer_writer(const struct tracez_tracer *tracer)
{
    uint32_t index = tracer->has_fixed_writer ? tracer->writer : thread_number();
    bool is_exclusive =
        tracer->has_fixed_writer ? tracer->is_single_threaded : index != THREAD_NUMBER_SHARED;

    return (struct ledger_writer){&tracer->ledger->lines[index], index, is_exclusive};
}

static inline bool tracer_is_inert(const struct tracez_tracer *tracer)
{
    return tracer->fork_count != process_fork_count();
}

#endif
