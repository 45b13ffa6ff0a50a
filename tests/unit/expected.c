/* SPDX-License-Identifier: MIT
 *
 * The formats' rules once more, from descriptions to trees: slowly, and without the code that is
 * tested. */
#include "expected.h"

#include "hostile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Values ---------------------------------------------------------------- */

static json_t *cured(struct tracez_text text)
{
    char *buffer = malloc(3 * text.bytes + 1);
    size_t bytes = hostile_cure((const unsigned char *)text.text, text.bytes, buffer);
    json_t *value = json_stringn(buffer, bytes);

    free(buffer);
    return value;
}

static json_t *cured_string(const char *string)
{
    return cured((struct tracez_text){string, strlen(string)});
}

/* Takes the value. */
static void set_cured(json_t *object, const char *key, json_t *value)
{
    json_t *name = cured_string(key);

    json_object_set_new(object, json_string_value(name), value);
    json_decref(name);
}

static json_t *digits(int64_t value)
{
    return json_sprintf("%lld", (long long)value);
}

static json_t *unsigned_digits(uint64_t value)
{
    return json_sprintf("%llu", (unsigned long long)value);
}

static json_t *number(double value)
{
    if (isnan(value)) {
        return json_string("NaN");
    }
    return isinf(value) ? json_string(value < 0 ? "-Infinity" : "Infinity") : json_real(value);
}

static json_t *hex(const uint8_t *bytes, size_t count)
{
    char text[2 * TRACEZ_TRACE_ID_BYTES + 1];

    for (size_t i = 0; i < count; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    return json_string(text);
}

static bool has_parent(const struct wild_span *span)
{
    static const struct tracez_context none;

    return memcmp(span->parent.span_id, none.span_id, sizeof(none.span_id)) != 0;
}

/* ---- OTLP ------------------------------------------------------------------ */

static json_t *otlp_value(const struct tracez_tag *tag)
{
    json_t *items = json_array();

    switch (tag->type) {
    case TRACEZ_TAG_INT:
        json_decref(items);
        return json_pack("{s:o}", "intValue", digits(tag->value.integer));
    case TRACEZ_TAG_DOUBLE:
        json_decref(items);
        return json_pack("{s:o}", "doubleValue", number(tag->value.real));
    case TRACEZ_TAG_BOOL:
        json_decref(items);
        return json_pack("{s:b}", "boolValue", tag->value.boolean);
    case TRACEZ_TAG_STRINGS:
        for (size_t i = 0; i < tag->value.strings.count; i++) {
            json_array_append_new(
                items, json_pack("{s:o}", "stringValue", cured(tag->value.strings.items[i])));
        }
        return json_pack("{s:{s:o}}", "arrayValue", "values", items);
    default:
        json_decref(items);
        return json_pack("{s:o}", "stringValue", cured(tag->value.string));
    }
}

void expect_otlp_attributes(json_t *list, const struct tracez_tag *tags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_pack("{s:o, s:o}", "key", cured_string(tags[i].key),
                                              "value", otlp_value(&tags[i])));
    }
}

static void set_otlp_attributes(json_t *object, const struct tracez_tag *tags, size_t count)
{
    if (count > 0) {
        json_t *list = json_array();
        expect_otlp_attributes(list, tags, count);
        json_object_set_new(object, "attributes", list);
    }
}

static void set_count(json_t *object, const char *key, uint32_t count)
{
    if (count > 0) {
        json_object_set_new(object, key, json_integer(count));
    }
}

static void set_otlp_events(json_t *object, const struct wild_span *span)
{
    json_t *list = json_array();

    for (size_t i = 0; i < span->event_count; i++) {
        const struct wild_event *event = &span->events[i];
        json_t *written = json_pack("{s:o, s:o}", "timeUnixNano", unsigned_digits(event->unix_ns),
                                    "name", cured_string(event->name));
        set_otlp_attributes(written, event->tags, event->tag_count);
        json_array_append_new(list, written);
    }
    if (span->event_count > 0) {
        json_object_set(object, "events", list);
    }
    json_decref(list);
}

static void set_otlp_links(json_t *object, const struct wild_span *span)
{
    json_t *list = json_array();

    for (size_t i = 0; i < span->link_count; i++) {
        const struct wild_link *link = &span->links[i];
        json_t *written =
            json_pack("{s:o, s:o, s:i}", "traceId", hex(link->target.trace_id, 16), "spanId",
                      hex(link->target.span_id, 8), "flags", link->target.flags);
        set_otlp_attributes(written, link->tags, link->tag_count);
        json_array_append_new(list, written);
    }
    if (span->link_count > 0) {
        json_object_set(object, "links", list);
    }
    json_decref(list);
}

json_t *expect_otlp(const struct wild_span *span, const struct wild_resource *resource)
{
    uint64_t end_ns = span->start_unix_ns > UINT64_MAX - span->duration_ns
                          ? UINT64_MAX
                          : span->start_unix_ns + span->duration_ns;
    json_t *object =
        json_pack("{s:o, s:o, s:i, s:o, s:i, s:o, s:o}", "traceId", hex(span->own.trace_id, 16),
                  "spanId", hex(span->own.span_id, 8), "flags",
                  span->own.flags + 0x100 + (span->parent.is_remote ? 0x200 : 0), "name",
                  cured(span->name), "kind", (int)span->kind, "startTimeUnixNano",
                  unsigned_digits(span->start_unix_ns), "endTimeUnixNano", unsigned_digits(end_ns));

    (void)resource; /* it is in the envelope */
    if (has_parent(span)) {
        json_object_set_new(object, "parentSpanId", hex(span->parent.span_id, 8));
    }
    if (span->parent.tracestate_bytes > 0) {
        json_object_set_new(object, "traceState",
                            json_stringn(span->parent.tracestate, span->parent.tracestate_bytes));
    }
    set_otlp_attributes(object, span->tags, span->tag_count);
    set_count(object, "droppedAttributesCount", span->tags_refused);
    set_otlp_events(object, span);
    set_count(object, "droppedEventsCount", span->events_refused);
    set_otlp_links(object, span);
    set_count(object, "droppedLinksCount", span->links_refused);
    if (span->status != TRACEZ_STATUS_UNSET) {
        json_t *status = json_pack("{s:i}", "code", (int)span->status);
        if (span->status == TRACEZ_STATUS_ERROR && span->message != NULL && *span->message != 0) {
            json_object_set_new(status, "message", cured_string(span->message));
        }
        json_object_set_new(object, "status", status);
    }
    return object;
}

/* ---- Tags as strings ------------------------------------------------------- */

/* Reals, lists and objects stand for their JSON text. */
static json_t *string_value(const struct tracez_tag *tag)
{
    json_t *items;

    switch (tag->type) {
    case TRACEZ_TAG_INT:
        return digits(tag->value.integer);
    case TRACEZ_TAG_DOUBLE:
        return number(tag->value.real);
    case TRACEZ_TAG_BOOL:
        return json_string(tag->value.boolean ? "true" : "false");
    case TRACEZ_TAG_STRINGS:
        items = json_array();
        for (size_t i = 0; i < tag->value.strings.count; i++) {
            json_array_append_new(items, cured(tag->value.strings.items[i]));
        }
        return items;
    default:
        return cured(tag->value.string);
    }
}

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

static bool says_false(const struct tracez_tag *tag)
{
    return (tag->type == TRACEZ_TAG_BOOL && !tag->value.boolean) ||
           (tag->type == TRACEZ_TAG_STRING && tag->value.string.bytes == 5 &&
            memcmp(tag->value.string.text, "false", 5) == 0);
}

static void set_string_tags(json_t *object, const struct wild_span *span,
                            const struct tracez_tag *tags, size_t count, bool has_kind)
{
    for (size_t i = 0; i < count; i++) {
        const char *key = tags[i].key;
        json_t *name = cured_string(key);
        bool is_ours =
            is(key, "otel.status_code") || is(key, "otel.dropped_links_count") ||
            (has_kind && is(key, "span.kind")) ||
            (!has_kind && is(key, "service.name") && tags != span->tags) ||
            (is(key, "error") && (span->status == TRACEZ_STATUS_ERROR || says_false(&tags[i])));
        if (!is_ours && json_object_get(object, json_string_value(name)) == NULL) {
            set_cured(object, key, string_value(&tags[i]));
        }
        json_decref(name);
    }
}

static const struct tracez_tag *find_tag(const struct wild_span *span, const char *key,
                                         enum tracez_tag_type type)
{
    for (size_t i = 0; i < span->tag_count; i++) {
        if (is(span->tags[i].key, key)) {
            return span->tags[i].type == type ? &span->tags[i] : NULL;
        }
    }
    return NULL;
}

static void set_string_status(json_t *object, const struct wild_span *span)
{
    const struct tracez_tag *type = find_tag(span, "error.type", TRACEZ_TAG_STRING);

    if (span->status == TRACEZ_STATUS_OK) {
        json_object_set_new(object, "otel.status_code", json_string("OK"));
    } else if (span->status == TRACEZ_STATUS_ERROR) {
        json_object_set_new(object, "otel.status_code", json_string("ERROR"));
        if (span->message != NULL && *span->message != '\0') {
            json_object_set_new(object, "error", cured_string(span->message));
        } else if (type != NULL && !says_false(type)) {
            json_object_set_new(object, "error", cured(type->value.string));
        } else {
            json_object_set_new(object, "error", json_string("true"));
        }
    }
}

static void set_dropped(json_t *object, const char *key, uint32_t count)
{
    if (count > 0) {
        json_object_set_new(object, key, unsigned_digits(count));
    }
}

/* ---- Plain objects --------------------------------------------------------- */

static json_t *date_time(uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / 1000000000U);
    struct tm parts;
    char text[40];

    size_t bytes = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
    snprintf(text + bytes, sizeof(text) - bytes, ".%09uZ", (unsigned)(unix_ns % 1000000000U));
    return json_string(text);
}

json_t *expect_plain(const struct wild_span *span, const struct wild_resource *resource)
{
    static const char *const kinds[] = {"", "internal", "server", "client", "producer", "consumer"};
    uint64_t end_ns = span->start_unix_ns > UINT64_MAX - span->duration_ns
                          ? UINT64_MAX
                          : span->start_unix_ns + span->duration_ns;
    json_t *tags = json_pack("{s:s}", "span.kind", kinds[span->kind]);
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "trace_id", hex(span->own.trace_id, 16),
                  "span_id", hex(span->own.span_id, 8), "name", cured(span->name), "start_time",
                  date_time(span->start_unix_ns), "end_time", date_time(end_ns), "duration",
                  (json_int_t)span->duration_ns, "tags", tags);

    if (has_parent(span)) {
        json_object_set_new(object, "parent_id", hex(span->parent.span_id, 8));
    }
    set_string_tags(tags, span, span->tags, span->tag_count, true);
    if (json_object_get(tags, "service.name") == NULL) {
        json_object_set_new(tags, "service.name", cured_string(resource->resource.service_name));
    }
    set_string_tags(tags, span, resource->tags, resource->resource.tag_count, true);
    set_string_status(tags, span);
    set_dropped(tags, "otel.dropped_attributes_count", span->tags_refused);
    set_dropped(tags, "otel.dropped_events_count",
                span->events_refused + (uint32_t)span->event_count);
    set_dropped(tags, "otel.dropped_links_count", span->links_refused + (uint32_t)span->link_count);
    return object;
}

/* ---- Zipkin ---------------------------------------------------------------- */

static json_t *microseconds(uint64_t ns)
{
    return json_integer(ns / 1000 == 0 ? 1 : (json_int_t)(ns / 1000));
}

/* Takes the name. */
static json_t *lower(json_t *name)
{
    size_t bytes = json_string_length(name);
    char *text = malloc(bytes + 1);

    for (size_t i = 0; i < bytes; i++) {
        char at = json_string_value(name)[i];
        text[i] = (char)(at >= 'A' && at <= 'Z' ? at | 0x20 : at);
    }
    json_decref(name);
    json_t *lowered = json_stringn(text, bytes);
    free(text);
    return lowered;
}

static void set_address(json_t *peer, const struct tracez_tag *address)
{
    static const struct {
        const char *text;
        const char *key;
    } addresses[] = {{"192.0.2.7", "ipv4"}, {"2001:db8::7", "ipv6"}, {"::ffff:192.0.2.7", "ipv6"}};

    for (size_t i = 0; address != NULL && i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        if (address->value.string.bytes == strlen(addresses[i].text) &&
            memcmp(address->value.string.text, addresses[i].text, strlen(addresses[i].text)) == 0) {
            json_object_set_new(peer, addresses[i].key, json_string(addresses[i].text));
        }
    }
}

static void set_peer(json_t *object, const struct wild_span *span)
{
    bool calls = span->kind == TRACEZ_KIND_CLIENT || span->kind == TRACEZ_KIND_PRODUCER;
    const struct tracez_tag *service = find_tag(span, "peer.service", TRACEZ_TAG_STRING);
    const struct tracez_tag *server = find_tag(span, "server.address", TRACEZ_TAG_STRING);
    const struct tracez_tag *port = find_tag(span, "network.peer.port", TRACEZ_TAG_INT);
    const struct tracez_tag *server_port = find_tag(span, "server.port", TRACEZ_TAG_INT);
    json_t *peer = json_object();

    if (calls && (service == NULL || service->value.string.bytes == 0)) {
        service = server;
    }
    if (calls && (port == NULL || port->value.integer == 0)) {
        port = server_port;
    }
    if (service != NULL && service->value.string.bytes > 0) {
        json_object_set_new(peer, "serviceName", lower(cured(service->value.string)));
    }
    set_address(peer, find_tag(span, "network.peer.address", TRACEZ_TAG_STRING));
    if (port != NULL && port->value.integer > 0 && port->value.integer < 65536) {
        json_object_set_new(peer, "port", json_integer(port->value.integer));
    }
    if (span->kind != TRACEZ_KIND_INTERNAL && json_object_size(peer) > 0) {
        json_object_set(object, "remoteEndpoint", peer);
    }
    json_decref(peer);
}

static void set_annotations(json_t *object, const struct wild_span *span)
{
    json_t *list = json_array();

    for (size_t i = 0; i < span->event_count; i++) {
        const struct wild_event *event = &span->events[i];
        json_t *annotation = cured_string(event->name);
        if (event->tag_count > 0) {
            json_t *tags = json_object();
            for (size_t j = 0; j < event->tag_count; j++) {
                set_cured(tags, event->tags[j].key, string_value(&event->tags[j]));
            }
            json_decref(annotation);
            annotation = json_object();
            set_cured(annotation, event->name, tags);
        }
        json_array_append_new(list, json_pack("{s:o, s:o}", "timestamp",
                                              microseconds(event->unix_ns), "value", annotation));
    }
    if (span->event_count > 0) {
        json_object_set(object, "annotations", list);
    }
    json_decref(list);
}

json_t *expect_zipkin(const struct wild_span *span, const struct wild_resource *resource)
{
    static const char *const kinds[] = {NULL, NULL, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    const char *service = resource->resource.service_name;
    json_t *tags = json_object();
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:{s:o}}", "traceId", hex(span->own.trace_id, 16),
                  "id", hex(span->own.span_id, 8), "name", cured(span->name), "timestamp",
                  microseconds(span->start_unix_ns), "duration", microseconds(span->duration_ns),
                  "localEndpoint", "serviceName",
                  lower(cured_string(*service != '\0' ? service : "unknown_service")));

    if (has_parent(span)) {
        json_object_set_new(object, "parentId", hex(span->parent.span_id, 8));
    }
    if (kinds[span->kind] != NULL) {
        json_object_set_new(object, "kind", json_string(kinds[span->kind]));
    }
    set_peer(object, span);
    set_annotations(object, span);
    set_string_tags(tags, span, span->tags, span->tag_count, false);
    set_string_tags(tags, span, resource->tags, resource->resource.tag_count, false);
    set_string_status(tags, span);
    set_dropped(tags, "otel.dropped_attributes_count", span->tags_refused);
    set_dropped(tags, "otel.dropped_events_count", span->events_refused);
    set_dropped(tags, "otel.dropped_links_count", span->links_refused + (uint32_t)span->link_count);
    if (json_object_size(tags) > 0) {
        json_object_set(object, "tags", tags);
    }
    json_decref(tags);
    return object;
}
