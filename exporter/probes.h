/* SPDX-License-Identifier: MIT
 *
 * Static probes (USDT) in a batch's life, like those of core (core/probes.h) in a span's: each
 * attempt to send one has a start and an end, but those that a stop cuts off. batch: a number by
 * which an end finds its start, of no other use. docs/production.md describes them. */
#ifndef TRACEZ_EXPORTER_PROBES_H
#define TRACEZ_EXPORTER_PROBES_H

#include "batch.h"
#include "transport.h"

#if !defined(TRACEZ_WITHOUT_PROBES) && __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#else
#define DTRACE_PROBE4(provider, name, first, second, third, fourth)                                \
    ((void)(first), (void)(second), (void)(third), (void)(fourth))
#define DTRACE_PROBE5(provider, name, first, second, third, fourth, fifth)                         \
    ((void)(first), (void)(second), (void)(third), (void)(fourth), (void)(fifth))
#endif

/* attempts: this one included. body_bytes: as they go over the wire. */
static inline void probe_batch_start(const struct batch *batch, size_t body_bytes)
{
    DTRACE_PROBE4(tracez, batch_start, batch, batch->body.spans, body_bytes, batch->attempts);
}

/* status: HTTP's; 0 where there was no answer. text: "HTTP 503", "connection refused". */
static inline void probe_batch_end(const struct batch *batch, const struct transport_result *result,
                                   uint64_t now_ns)
{
    const char *text = result->text;

    DTRACE_PROBE5(tracez, batch_end, batch, batch->body.spans, result->status, text,
                  now_ns - batch->sent_ns);
}

#endif
