/* SPDX-License-Identifier: MIT */
#include "otlp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_TEXT_BYTES_MAX 4096

/* An OTLP id: exactly this many hex digits, not all zero. Written out in lower case. */
static bool read_id(const json_t *value, char *id, size_t digits)
{
    const char *text = json_string_value(value);
    bool all_zero = true;

    if (text == NULL || json_string_length(value) != digits) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        char digit = text[i];
        if (digit >= 'A' && digit <= 'F') {
            digit = (char)(digit - 'A' + 'a');
        }
        if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'))) {
            return false;
        }
        all_zero = all_zero && digit == '0';
        id[i] = digit;
    }
    id[digits] = '\0';
    return !all_zero;
}

/* A 64-bit integer: JSON as protobuf writes it is a decimal string, but numbers are to be read too.
 */
static bool read_uint64(const json_t *value, uint64_t *number)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != json_string_length(value) ||
        json_string_length(value) > 20) {
        return false;
    }
    *number = strtoull(text, NULL, 10);
    return true;
}

static int read_enum(const json_t *value, int highest)
{
    json_int_t number = json_integer_value(value);

    return number >= 0 && number <= highest ? (int)number : 0;
}

static bool set_text(struct span *span, struct text *text, const json_t *value)
{
    if (!json_is_string(value)) {
        return true; /* absent */
    }
    return span_set_text(span, text, json_string_value(value), json_string_length(value),
                         SPAN_VALUE_BYTES_MAX);
}

/* "a, b, c", cut where the room ends. */
static struct text array_text(const json_t *array, char *buffer, size_t buffer_bytes)
{
    struct text joined = {buffer, 0};
    const json_t *element;
    size_t index;

    json_array_foreach(json_object_get(array, "values"), index, element)
    {
        const json_t *item = json_object_get(element, "stringValue");
        size_t item_bytes = json_string_length(item);
        size_t separator_bytes = index > 0 ? 2 : 0;
        if (!json_is_string(item) || joined.bytes + separator_bytes + item_bytes > buffer_bytes) {
            break;
        }
        memcpy(buffer + joined.bytes, ", ", separator_bytes);
        memcpy(buffer + joined.bytes + separator_bytes, json_string_value(item), item_bytes);
        joined.bytes += separator_bytes + item_bytes;
    }
    return joined;
}

/* Any AnyValue as text; numbers and the like are formatted into buffer. */
static struct text value_text(const json_t *value, char *buffer, size_t buffer_bytes)
{
    const json_t *member = NULL;
    int written = 0;

    if ((member = json_object_get(value, "stringValue")) != NULL ||
        ((member = json_object_get(value, "intValue")) != NULL && json_is_string(member))) {
        return (struct text){json_string_value(member), json_string_length(member)};
    }
    if (json_is_integer(member)) {
        written =
            snprintf(buffer, buffer_bytes, "%" JSON_INTEGER_FORMAT, json_integer_value(member));
    } else if ((member = json_object_get(value, "boolValue")) != NULL) {
        written = snprintf(buffer, buffer_bytes, "%s", json_is_true(member) ? "true" : "false");
    } else if ((member = json_object_get(value, "doubleValue")) != NULL) {
        written = snprintf(buffer, buffer_bytes, "%g", json_number_value(member));
    } else if ((member = json_object_get(value, "arrayValue")) != NULL) {
        return array_text(member, buffer, buffer_bytes);
    }
    return (struct text){buffer, (size_t)written};
}

static bool add_tags(struct span *span, const json_t *attributes)
{
    char buffer[ARRAY_TEXT_BYTES_MAX];
    const json_t *attribute;
    size_t index;

    json_array_foreach(attributes, index, attribute)
    {
        const json_t *key = json_object_get(attribute, "key");
        struct text text = value_text(json_object_get(attribute, "value"), buffer, sizeof(buffer));
        if (!json_is_string(key) || text.at == NULL) {
            continue;
        }
        struct text key_text = {json_string_value(key), json_string_length(key)};
        if (!span_add_tag(span, key_text, text)) {
            return false;
        }
    }
    return true;
}

/* Why the span is no good, or NULL. */
static const char *read_span(const json_t *json, const json_t *service, struct span *span)
{
    const json_t *parent = json_object_get(json, "parentSpanId");
    const json_t *status = json_object_get(json, "status");

    if (!read_id(json_object_get(json, "traceId"), span->trace_id, 32)) {
        return "a traceId is not 32 hex digits, or all zero";
    }
    if (!read_id(json_object_get(json, "spanId"), span->span_id, 16)) {
        return "a spanId is not 16 hex digits, or all zero";
    }
    if (parent != NULL && json_string_length(parent) > 0 && !read_id(parent, span->parent_id, 16)) {
        return "a parentSpanId is not 16 hex digits, or all zero";
    }
    if (!read_uint64(json_object_get(json, "startTimeUnixNano"), &span->start_unix_ns) ||
        !read_uint64(json_object_get(json, "endTimeUnixNano"), &span->end_unix_ns)) {
        return "a start or end time is not a number of nanoseconds";
    }
    span->kind = read_enum(json_object_get(json, "kind"), 5);
    span->status = read_enum(json_object_get(status, "code"), 2);
    if (!set_text(span, &span->service, service) ||
        !set_text(span, &span->name, json_object_get(json, "name")) ||
        !set_text(span, &span->message, json_object_get(status, "message")) ||
        !add_tags(span, json_object_get(json, "attributes"))) {
        return "no memory";
    }
    return NULL;
}

/* The string value of service.name, NULL when there is none. */
static const json_t *find_service(const json_t *resource)
{
    const json_t *attribute;
    size_t index;

    json_array_foreach(json_object_get(resource, "attributes"), index, attribute)
    {
        const char *key = json_string_value(json_object_get(attribute, "key"));
        if (key != NULL && strcmp(key, "service.name") == 0) {
            return json_object_get(json_object_get(attribute, "value"), "stringValue");
        }
    }
    return NULL;
}

static void read_scope_spans(const json_t *scope_spans, const json_t *service, otlp_span_fn fn,
                             void *state, struct otlp_result *result)
{
    const json_t *json;
    size_t index;

    json_array_foreach(json_object_get(scope_spans, "spans"), index, json)
    {
        struct span *span = span_create();
        const char *reason = span == NULL ? "no memory" : read_span(json, service, span);
        if (reason == NULL) {
            result->accepted++;
            fn(span, state);
            continue;
        }
        span_destroy(span);
        result->reason = result->rejected++ == 0 ? reason : result->reason;
    }
}

bool otlp_read(const json_t *body, otlp_span_fn fn, void *state, struct otlp_result *result)
{
    const json_t *resource_spans = json_object_get(body, "resourceSpans");
    const json_t *of_resource;
    const json_t *of_scope;
    size_t resource_index;
    size_t scope_index;

    *result = (struct otlp_result){0, 0, NULL};
    if (json_is_object(body) && json_object_size(body) == 0) {
        return true; /* nothing to export */
    }
    if (!json_is_array(resource_spans)) {
        return false;
    }
    json_array_foreach(resource_spans, resource_index, of_resource)
    {
        const json_t *service = find_service(json_object_get(of_resource, "resource"));
        json_array_foreach(json_object_get(of_resource, "scopeSpans"), scope_index, of_scope)
        {
            read_scope_spans(of_scope, service, fn, state, result);
        }
    }
    return true;
}
