/* SPDX-License-Identifier: MIT
 *
 * What a format says of a resource: text around the spans of it, or in each of them. It is made
 * once for each resource, and kept. */
#ifndef TRACEZ_EXPORTER_ENVELOPE_H
#define TRACEZ_EXPORTER_ENVELOPE_H

#include "json.h"
#include "tags.h"

#include <tracez/reader.h>

#define ENVELOPES_MAX 256             /* resources from here on share one, of no known service */
#define ENVELOPE_BYTES_MAX (1U << 20) /* a resource is at most 64 KiB; escaped, six times that */
#define UNKNOWN_SERVICE "unknown_service"

struct format;

struct envelope {
    struct json_writer text; /* owns head and tail; else the format's own */
    struct tracez_text head; /* before the first span of the resource, and after the last one; */
    struct tracez_text tail; /* empty where spans are not grouped */
    struct resource_tags tags;
};

/* Zero is empty. */
struct envelopes {
    struct envelope *by_resource[ENVELOPES_MAX + 1];
};

/* The envelope of a resource of this collector; it lives until deinit. NULL: no memory. */
const struct envelope *envelopes_get(struct envelopes *envelopes, const struct format *format,
                                     const struct tracez_collector *collector, uint32_t resource);
void envelopes_deinit(struct envelopes *envelopes);

/* For formats: tracez_collector_resource, of resources that have an envelope of their own. */
bool envelope_resource(const struct tracez_collector *collector, uint32_t resource,
                       const unsigned char **entries, size_t *entries_bytes);

#endif
