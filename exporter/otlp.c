/* SPDX-License-Identifier: MIT
 *
 * Encoding spans as OTLP JSON. The rules that bite (opentelemetry-proto, "JSON Protobuf Encoding"):
 * lowerCamelCase keys; ids in lower hex; 64-bit integers as decimal strings; enums as numbers;
 * nothing that is unset is written, status least of all. Receivers ignore unknown keys, so a
 * misspelt one silently loses data. */
#include "otlp.h"

#include "attributes.h"

#include <assert.h>

#define PREFIX "{\"resourceSpans\":["
#define SUFFIX "]}"

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

static void write_span(struct json_writer *writer, const struct tracez_record *record)
{
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

/* ---- A body ---------------------------------------------------------------------------------- */

void otlp_body_init(struct otlp_body *body, size_t bytes_max)
{
    *body = (struct otlp_body){.bytes_max = bytes_max};
    for (uint32_t i = 0; i < OTLP_SEGMENTS_MAX; i++) {
        json_writer_init(&body->segments[i].json, bytes_max);
    }
    otlp_body_clear(body);
}

void otlp_body_deinit(struct otlp_body *body)
{
    for (uint32_t i = 0; i < OTLP_SEGMENTS_MAX; i++) {
        json_writer_deinit(&body->segments[i].json);
    }
}

void otlp_body_clear(struct otlp_body *body)
{
    for (uint32_t i = 1; i < body->segment_count; i++) {
        json_writer_deinit(&body->segments[i].json);
    }
    json_writer_cut(&body->segments[0].json, 0);
    body->segment_count = 0;
    body->bytes = sizeof(PREFIX) - 1 + sizeof(SUFFIX) - 1;
    body->spans = 0;
    body->is_finished = false;
}

static size_t tail_bytes(const struct envelope *envelope)
{
    return envelope->text.bytes - envelope->head_bytes;
}

static void write_tail(struct json_writer *writer, const struct envelope *envelope)
{
    json_write_raw(writer, envelope->text.text + envelope->head_bytes, tail_bytes(envelope));
}

static enum otlp_add refusal(enum json_failure failure)
{
    return failure == JSON_FAILURE_MEMORY ? OTLP_NO_MEMORY : OTLP_FULL;
}

/* Adds a span to a segment that has some. */
static enum otlp_add add_to(struct otlp_body *body, struct otlp_segment *segment,
                            const struct tracez_record *record)
{
    size_t before = segment->json.bytes;

    JSON_WRITE(&segment->json, ",");
    write_span(&segment->json, record);
    size_t added = segment->json.bytes - before;
    if (segment->json.failure != JSON_FAILURE_NONE || added > body->bytes_max - body->bytes) {
        enum otlp_add result = refusal(segment->json.failure);
        json_writer_cut(&segment->json, before);
        return result;
    }
    body->bytes += added;
    return OTLP_ADDED;
}

/* Adds the first span of a resource. Body and segment count grow only when all of it fits. */
static enum otlp_add add_first(struct otlp_body *body, const struct envelope *envelope,
                               const struct tracez_record *record)
{
    struct otlp_segment *segment = &body->segments[body->segment_count];
    struct json_writer *json = &segment->json;
    bool is_first = body->segment_count == 0;
    size_t counted = is_first ? sizeof(PREFIX) - 1 : 0; /* in body->bytes already */

    if (is_first) {
        JSON_WRITE(json, PREFIX);
    } else {
        JSON_WRITE(json, ",");
    }
    json_write_raw(json, envelope->text.text, envelope->head_bytes);
    write_span(json, record);
    size_t added = json->bytes - counted + tail_bytes(envelope);
    if (json->failure != JSON_FAILURE_NONE || added > body->bytes_max - body->bytes) {
        enum otlp_add result = refusal(json->failure);
        json_writer_cut(json, 0);
        return result;
    }
    segment->resource = record->resource;
    segment->envelope = envelope;
    body->segment_count++;
    body->bytes += added;
    return OTLP_ADDED;
}

enum otlp_add otlp_body_add(struct otlp_body *body, struct envelopes *envelopes,
                            const struct tracez_collector *collector,
                            const struct tracez_record *record)
{
    enum otlp_add result;
    uint32_t at = 0;

    while (at < body->segment_count && body->segments[at].resource != record->resource) {
        at++;
    }
    if (at < body->segment_count) {
        result = add_to(body, &body->segments[at], record);
    } else if (at == OTLP_SEGMENTS_MAX) {
        result = OTLP_FULL;
    } else {
        const struct envelope *envelope = envelopes_get(envelopes, collector, record->resource);
        result = envelope == NULL ? OTLP_NO_MEMORY : add_first(body, envelope, record);
    }
    body->spans += result == OTLP_ADDED;
    return result;
}

const struct json_writer *otlp_body_finish(struct otlp_body *body)
{
    struct json_writer *json = &body->segments[0].json;

    assert(body->spans > 0);
    if (body->is_finished) {
        return json;
    }
    /* All room at once: after this nothing can fail half-way. */
    if (!json_writer_reserve(json, body->bytes - json->bytes)) {
        json_writer_cut(json, json->bytes);
        return NULL;
    }
    write_tail(json, body->segments[0].envelope);
    for (uint32_t i = 1; i < body->segment_count; i++) {
        json_write_raw(json, body->segments[i].json.text, body->segments[i].json.bytes);
        write_tail(json, body->segments[i].envelope);
        json_writer_deinit(&body->segments[i].json);
    }
    JSON_WRITE(json, SUFFIX);
    assert(json->bytes == body->bytes);
    body->is_finished = true;
    return json;
}
