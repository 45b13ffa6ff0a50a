/* SPDX-License-Identifier: MIT
 *
 * A body: what is sent of a batch. Streams from records to text, with no tree in between. What a
 * span looks like is its format's affair; here spans stand one after another, those of one resource
 * together in one envelope where the format has such a thing. */
#ifndef TRACEZ_EXPORTER_BODY_H
#define TRACEZ_EXPORTER_BODY_H

#include "envelope.h"
#include "format.h"
#include "json.h"

#include <tracez/reader.h>

#define BODY_SEGMENTS_MAX 64 /* resources in one body; one more waits for the next body */

struct body_segment {
    uint32_t resource;
    const struct envelope *envelope; /* borrowed */
    struct json_writer json;         /* envelope and spans, without the envelope's tail */
};

/* A body under construction, then finished. */
struct body {
    const struct format *format;
    struct body_segment segments[BODY_SEGMENTS_MAX]; /* the first one becomes the whole body */
    uint32_t segment_count;
    size_t bytes;     /* of the finished body, so far */
    size_t bytes_max; /* of the finished body */
    uint32_t spans;
    bool is_finished;
};

enum body_add { BODY_ADDED, BODY_FULL, BODY_NO_MEMORY };

void body_init(struct body *body, const struct format *format, size_t bytes_max);
void body_deinit(struct body *body);

/* Empties the body for the next batch; keeps the memory of the first segment only. */
void body_clear(struct body *body);

/* Adds a span, or leaves the body as it was. BODY_FULL from an empty body: this span alone is
 * longer than bytes_max. The envelopes are this format's alone. */
enum body_add body_add(struct body *body, struct envelopes *envelopes,
                       const struct tracez_collector *collector,
                       const struct tracez_record *record);

/* Closes the body, once; the text never changes after that, until clear. NULL: no memory, try
 * again. A body without spans must not be finished. */
const struct json_writer *body_finish(struct body *body);

#endif
