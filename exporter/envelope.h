/* SPDX-License-Identifier: MIT
 *
 * What stands around the spans of one resource in an OTLP body: a resourceSpans entry up to its
 * first span, and from its last span on. Built once for each resource, by jansson, and kept. */
#ifndef TRACEZ_EXPORTER_ENVELOPE_H
#define TRACEZ_EXPORTER_ENVELOPE_H

#include "json.h"

#include <tracez/reader.h>

#define ENVELOPES_MAX 256 /* resources from here on share one, of no known service */

struct envelope {
    struct json_writer text; /* the entry with an empty list of spans */
    size_t head_bytes;       /* the rest is the tail */
};

/* Zero is empty. */
struct envelopes {
    struct envelope *by_resource[ENVELOPES_MAX + 1];
};

/* The envelope of a resource of this collector; it lives until deinit. NULL: no memory. */
const struct envelope *envelopes_get(struct envelopes *envelopes,
                                     const struct tracez_collector *collector, uint32_t resource);
void envelopes_deinit(struct envelopes *envelopes);

#endif
