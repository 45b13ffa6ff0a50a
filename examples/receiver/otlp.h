/* SPDX-License-Identifier: MIT
 *
 * Reads OTLP/HTTP JSON (an ExportTraceServiceRequest) into spans. Unknown members are ignored, as
 * the OTLP specification asks of receivers; a span without proper ids or times is rejected and
 * counted, the others are taken. */
#ifndef RECEIVER_OTLP_H
#define RECEIVER_OTLP_H

#include <jansson.h>

#include "span.h"

struct otlp_result {
    size_t accepted;
    size_t rejected;
    const char *reason; /* of the first rejection; static */
};

/* The span is taken. */
typedef void (*otlp_span_fn)(struct span *span, void *state);

/* Calls fn for each good span. False when the body is not an ExportTraceServiceRequest at all. */
bool otlp_read(const json_t *body, otlp_span_fn fn, void *state, struct otlp_result *result);

#endif
