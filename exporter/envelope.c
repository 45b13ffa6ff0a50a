/* SPDX-License-Identifier: MIT
 *
 * The cache of envelopes. */
#include "envelope.h"

#include "format.h"

#include <stdlib.h>

static void destroy(struct envelope *envelope)
{
    if (envelope != NULL) {
        json_writer_deinit(&envelope->text);
        resource_tags_deinit(&envelope->tags);
        free(envelope);
    }
}

const struct envelope *envelopes_get(struct envelopes *envelopes, const struct format *format,
                                     const struct tracez_collector *collector, uint32_t resource)
{
    uint32_t row = resource < ENVELOPES_MAX ? resource : ENVELOPES_MAX;

    if (envelopes->by_resource[row] == NULL) {
        struct envelope *envelope = calloc(1, sizeof(*envelope));
        if (envelope != NULL) {
            json_writer_init(&envelope->text, ENVELOPE_BYTES_MAX);
            if (!format->build(envelope, collector, resource)) {
                destroy(envelope);
                envelope = NULL;
            }
        }
        envelopes->by_resource[row] = envelope;
    }
    return envelopes->by_resource[row];
}

bool envelope_resource(const struct tracez_collector *collector, uint32_t resource,
                       const unsigned char **entries, size_t *entries_bytes)
{
    return resource < ENVELOPES_MAX &&
           tracez_collector_resource(collector, resource, entries, entries_bytes);
}

void envelopes_deinit(struct envelopes *envelopes)
{
    for (uint32_t i = 0; i <= ENVELOPES_MAX; i++) {
        destroy(envelopes->by_resource[i]);
        envelopes->by_resource[i] = NULL;
    }
}
