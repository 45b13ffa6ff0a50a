/* SPDX-License-Identifier: MIT
 *
 * OTLP/HTTP JSON: what a batch looks like on the wire (an ExportTraceServiceRequest). Streams from
 * records to text, with no tree in between; spans of one resource stand together in one
 * resourceSpans entry, whose envelope comes from envelope.h. */
#ifndef TRACEZ_EXPORTER_OTLP_H
#define TRACEZ_EXPORTER_OTLP_H

#include "envelope.h"
#include "json.h"

#include <tracez/reader.h>

#define OTLP_PATH "/v1/traces"
#define OTLP_SEGMENTS_MAX 64 /* resources in one body; one more waits for the next body */

struct otlp_segment {
    uint32_t resource;
    const struct envelope *envelope; /* borrowed */
    struct json_writer json;         /* envelope and spans, without the envelope's tail */
};

/* A body under construction, then finished. */
struct otlp_body {
    struct otlp_segment segments[OTLP_SEGMENTS_MAX]; /* the first one becomes the whole body */
    uint32_t segment_count;
    size_t bytes;     /* of the finished body, so far */
    size_t bytes_max; /* of the finished body */
    uint32_t spans;
    bool is_finished;
};

enum otlp_add { OTLP_ADDED, OTLP_FULL, OTLP_NO_MEMORY };

void otlp_body_init(struct otlp_body *body, size_t bytes_max);
void otlp_body_deinit(struct otlp_body *body);

/* Empties the body for the next batch; keeps the memory of the first segment only. */
void otlp_body_clear(struct otlp_body *body);

/* Adds a span, or leaves the body as it was. OTLP_FULL from an empty body: this span alone is
 * longer than bytes_max. */
enum otlp_add otlp_body_add(struct otlp_body *body, struct envelopes *envelopes,
                            const struct tracez_collector *collector,
                            const struct tracez_record *record);

/* Closes the body, once; the text never changes after that, until clear. NULL: no memory, try
 * again. A body without spans must not be finished. */
const struct json_writer *otlp_body_finish(struct otlp_body *body);

#endif
