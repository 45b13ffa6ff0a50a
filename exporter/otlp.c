/* SPDX-License-Identifier: MIT
 *
 * OTLP/HTTP JSON (an ExportTraceServiceRequest): spans of one resource stand together in one
 * resourceSpans entry. The rules that bite (opentelemetry-proto, "JSON Protobuf Encoding"):
 * lowerCamelCase keys; ids in lower hex; 64-bit integers as decimal strings; enums as numbers;
 * nothing that is unset is written, status least of all. Receivers ignore unknown keys, so a
 * misspelt one silently loses data. */
#include "attributes.h"
#include "format.h"

#include <jansson.h>

#define SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"
#define SPANS "\"spans\":[" /* can't occur in a string: there its quotes would be escaped */

/* opentelemetry-proto, SpanFlags */
#define FLAG_REMOTENESS_KNOWN 0x100U
#define FLAG_PARENT_IS_REMOTE 0x200U

/* ---- A span ---------------------------------------------------------------------------------- */

static void write_nested(struct json_writer *writer, const struct tracez_entry *entry)
{
    if (entry->nested_bytes > 0) {
        JSON_WRITE(writer, ",\"attributes\":");
        attributes_write(writer, entry->nested, entry->nested_bytes);
    }
}

static void write_event(struct json_writer *writer, const struct tracez_entry *event)
{
    JSON_WRITE(writer, "{\"timeUnixNano\":\"");
    json_write_unsigned(writer, event->unix_ns);
    JSON_WRITE(writer, "\",\"name\":");
    json_write_string(writer, event->key);
    write_nested(writer, event);
    JSON_WRITE(writer, "}");
}

static void write_link(struct json_writer *writer, const struct tracez_entry *link)
{
    JSON_WRITE(writer, "{\"traceId\":");
    json_write_hex(writer, link->context.trace_id, TRACEZ_TRACE_ID_BYTES);
    JSON_WRITE(writer, ",\"spanId\":");
    json_write_hex(writer, link->context.span_id, TRACEZ_SPAN_ID_BYTES);
    write_nested(writer, link);
    JSON_WRITE(writer, ",\"flags\":");
    json_write_unsigned(writer, link->context.flags);
    JSON_WRITE(writer, "}");
}

typedef void (*write_entry_fn)(struct json_writer *writer, const struct tracez_entry *entry);

/* The entries of this type as an array. */
static void write_each(struct json_writer *writer, const struct tracez_record *record,
                       uint32_t type, write_entry_fn write)
{
    struct tracez_entry entry;
    size_t position = 0;
    bool is_first = true;

    JSON_WRITE(writer, "[");
    while (tracez_entry_next(record->entries, record->entries_bytes, &position, &entry)) {
        if (entry.type != type) {
            continue;
        }
        if (!is_first) {
            JSON_WRITE(writer, ",");
        }
        write(writer, &entry);
        is_first = false;
    }
    JSON_WRITE(writer, "]");
}

static void write_ids(struct json_writer *writer, const struct tracez_record *record)
{
    static const uint8_t none[TRACEZ_SPAN_ID_BYTES];
    uint32_t flags = record->flags | FLAG_REMOTENESS_KNOWN |
                     (record->parent_is_remote ? FLAG_PARENT_IS_REMOTE : 0);

    JSON_WRITE(writer, "{\"traceId\":");
    json_write_hex(writer, record->trace_id, TRACEZ_TRACE_ID_BYTES);
    JSON_WRITE(writer, ",\"spanId\":");
    json_write_hex(writer, record->span_id, TRACEZ_SPAN_ID_BYTES);
    if (record->tracestate.bytes > 0) {
        JSON_WRITE(writer, ",\"traceState\":");
        json_write_string(writer, record->tracestate);
    }
    if (memcmp(record->parent_span_id, none, sizeof(none)) != 0) {
        JSON_WRITE(writer, ",\"parentSpanId\":");
        json_write_hex(writer, record->parent_span_id, TRACEZ_SPAN_ID_BYTES);
    }
    JSON_WRITE(writer, ",\"flags\":");
    json_write_unsigned(writer, flags);
}

/* Name, kind and times. */
static void write_head(struct json_writer *writer, const struct tracez_record *record)
{
    uint64_t end_unix_ns = record->start_unix_ns + record->duration_ns;

    JSON_WRITE(writer, ",\"name\":");
    json_write_string(writer, record->name);
    JSON_WRITE(writer, ",\"kind\":");
    json_write_unsigned(writer, (uint64_t)record->kind);
    JSON_WRITE(writer, ",\"startTimeUnixNano\":\"");
    json_write_unsigned(writer, record->start_unix_ns);
    JSON_WRITE(writer, "\",\"endTimeUnixNano\":\"");
    json_write_unsigned(writer, end_unix_ns < record->start_unix_ns ? UINT64_MAX : end_unix_ns);
    JSON_WRITE(writer, "\"");
}

static void write_refused(struct json_writer *writer, const char *key, uint32_t count)
{
    if (count > 0) {
        json_write_raw(writer, key, strlen(key));
        json_write_unsigned(writer, count);
    }
}

static void write_status(struct json_writer *writer, const struct tracez_record *record)
{
    if (record->status == TRACEZ_STATUS_UNSET) {
        return;
    }
    JSON_WRITE(writer, ",\"status\":{\"code\":");
    json_write_unsigned(writer, (uint64_t)record->status);
    if (record->status == TRACEZ_STATUS_ERROR && record->status_message.bytes > 0) {
        JSON_WRITE(writer, ",\"message\":");
        json_write_string(writer, record->status_message);
    }
    JSON_WRITE(writer, "}");
}

static void write_span(struct json_writer *writer, const struct tracez_record *record,
                       const struct envelope *envelope)
{
    (void)envelope; /* around the spans */
    write_ids(writer, record);
    write_head(writer, record);
    if (record->tag_count > 0) {
        JSON_WRITE(writer, ",\"attributes\":");
        attributes_write(writer, record->entries, record->entries_bytes);
    }
    write_refused(writer, ",\"droppedAttributesCount\":", record->tags_refused);
    if (record->event_count > 0) {
        JSON_WRITE(writer, ",\"events\":");
        write_each(writer, record, TRACEZ_ENTRY_EVENT, write_event);
    }
    write_refused(writer, ",\"droppedEventsCount\":", record->events_refused);
    if (record->link_count > 0) {
        JSON_WRITE(writer, ",\"links\":");
        write_each(writer, record, TRACEZ_ENTRY_LINK, write_link);
    }
    write_refused(writer, ",\"droppedLinksCount\":", record->links_refused);
    write_status(writer, record);
    JSON_WRITE(writer, "}");
}

/* ---- A resource ------------------------------------------------------------------------------ */

/* Its attributes obey the same rules as a span's, so the same code writes them; jansson reads them
 * back (which also proves them valid before they go around every batch), puts the constants around
 * and writes the whole. */

static json_t *unknown_service(void)
{
    return json_pack("[{s:s, s:{s:s}}]", "key", "service.name", "value", "stringValue",
                     UNKNOWN_SERVICE);
}

static json_t *read_attributes(const struct tracez_collector *collector, uint32_t resource)
{
    const unsigned char *entries;
    size_t entries_bytes;
    struct json_writer text;

    if (!envelope_resource(collector, resource, &entries, &entries_bytes)) {
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

static bool write_envelope(struct envelope *envelope, json_t *attributes)
{
    json_t *entry =
        json_pack("{s:{s:O}, s:[{s:{s:s, s:s}, s:[], s:s}], s:s}", "resource", "attributes",
                  attributes, "scopeSpans", "scope", "name", "tracez", "version", tracez_version(),
                  "spans", "schemaUrl", SCHEMA_URL, "schemaUrl", SCHEMA_URL);
    bool is_written =
        entry != NULL && json_dump_callback(entry, append, &envelope->text, JSON_COMPACT) == 0;
    json_decref(entry);
    return is_written;
}

static bool build(struct envelope *envelope, const struct tracez_collector *collector,
                  uint32_t resource)
{
    json_t *attributes = read_attributes(collector, resource);
    bool is_written = attributes != NULL && write_envelope(envelope, attributes);
    const struct json_writer *text = &envelope->text;

    json_decref(attributes);
    const char *spans = is_written ? memmem(text->text, text->bytes, SPANS, strlen(SPANS)) : NULL;
    if (spans == NULL) {
        return false;
    }
    size_t head_bytes = (size_t)(spans - text->text) + strlen(SPANS);
    envelope->head = (struct tracez_text){text->text, head_bytes};
    envelope->tail = (struct tracez_text){text->text + head_bytes, text->bytes - head_bytes};
    return true;
}

const struct format otlp_format = {
    .endpoint = "http://localhost:4318",
    .path = "/v1/traces",
    .opening = "{\"resourceSpans\":[",
    .closing = "]}",
    .is_grouped = true,
    .reads_answer = true,
    .build = build,
    .write_span = write_span,
};
