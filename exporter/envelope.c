/* SPDX-License-Identifier: MIT
 *
 * Building envelopes. A resource's attributes obey the same rules as a span's, so the same code
 * writes them; jansson reads them back (which also proves them valid before they go around every
 * batch), puts the constants around and writes the whole. */
#include "envelope.h"

#include "attributes.h"

#include <jansson.h>
#include <stdlib.h>

#define ENVELOPE_BYTES_MAX (1U << 20) /* a resource is at most 64 KiB; escaped, six times that */
#define SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"
#define SPANS "\"spans\":[" /* can't occur in a string: there its quotes would be escaped */

static json_t *unknown_service(void)
{
    return json_pack("[{s:s, s:{s:s}}]", "key", "service.name", "value", "stringValue",
                     "unknown_service");
}

static json_t *read_attributes(const struct tracez_collector *collector, uint32_t resource)
{
    const unsigned char *entries;
    size_t entries_bytes;
    struct json_writer text;

    if (resource >= ENVELOPES_MAX ||
        !tracez_collector_resource(collector, resource, &entries, &entries_bytes)) {
        return unknown_service();
    }
    json_writer_init(&text, ENVELOPE_BYTES_MAX);
    attributes_write(&text, entries, entries_bytes);
    json_t *attributes = text.failure == JSON_FAILURE_NONE
                             ? json_loadb(text.text, text.bytes, JSON_ALLOW_NUL, NULL)
                             : NULL;
    json_writer_deinit(&text);
    return attributes;
}

static int append(const char *buffer, size_t bytes, void *state)
{
    struct json_writer *writer = state;

    json_write_raw(writer, buffer, bytes);
    return writer->failure == JSON_FAILURE_NONE ? 0 : -1;
}

static bool build(struct envelope *envelope, json_t *attributes)
{
    json_t *entry =
        json_pack("{s:{s:O}, s:[{s:{s:s, s:s}, s:[], s:s}], s:s}", "resource", "attributes",
                  attributes, "scopeSpans", "scope", "name", "tracez", "version", tracez_version(),
                  "spans", "schemaUrl", SCHEMA_URL, "schemaUrl", SCHEMA_URL);
    json_writer_init(&envelope->text, ENVELOPE_BYTES_MAX);
    bool is_written =
        entry != NULL && json_dump_callback(entry, append, &envelope->text, JSON_COMPACT) == 0;
    json_decref(entry);
    if (!is_written) {
        return false;
    }
    const char *spans = memmem(envelope->text.text, envelope->text.bytes, SPANS, strlen(SPANS));
    if (spans == NULL) {
        return false;
    }
    envelope->head_bytes = (size_t)(spans - envelope->text.text) + strlen(SPANS);
    return true;
}

static void envelope_destroy(struct envelope *envelope)
{
    if (envelope != NULL) {
        json_writer_deinit(&envelope->text);
        free(envelope);
    }
}

const struct envelope *envelopes_get(struct envelopes *envelopes,
                                     const struct tracez_collector *collector, uint32_t resource)
{
    uint32_t row = resource < ENVELOPES_MAX ? resource : ENVELOPES_MAX;

    if (envelopes->by_resource[row] == NULL) {
        struct envelope *envelope = calloc(1, sizeof(*envelope));
        json_t *attributes = envelope != NULL ? read_attributes(collector, resource) : NULL;
        if (attributes == NULL || !build(envelope, attributes)) {
            envelope_destroy(envelope);
            envelope = NULL;
        }
        json_decref(attributes);
        envelopes->by_resource[row] = envelope;
    }
    return envelopes->by_resource[row];
}

void envelopes_deinit(struct envelopes *envelopes)
{
    for (uint32_t i = 0; i <= ENVELOPES_MAX; i++) {
        envelope_destroy(envelopes->by_resource[i]);
        envelopes->by_resource[i] = NULL;
    }
}
