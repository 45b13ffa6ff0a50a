/* SPDX-License-Identifier: MIT
 *
 * Building bodies within their bound. A span is written first and measured then: where it was too
 * much, it is taken back. */
#include "body.h"

#include <assert.h>

void body_init(struct body *body, const struct format *format, size_t bytes_max)
{
    *body = (struct body){.format = format, .bytes_max = bytes_max};
    for (uint32_t i = 0; i < BODY_SEGMENTS_MAX; i++) {
        json_writer_init(&body->segments[i].json, bytes_max);
    }
    body_clear(body);
}

void body_deinit(struct body *body)
{
    for (uint32_t i = 0; i < BODY_SEGMENTS_MAX; i++) {
        json_writer_deinit(&body->segments[i].json);
    }
}

void body_clear(struct body *body)
{
    for (uint32_t i = 1; i < body->segment_count; i++) {
        json_writer_deinit(&body->segments[i].json);
    }
    json_writer_cut(&body->segments[0].json, 0);
    body->segment_count = 0;
    body->bytes = strlen(body->format->opening) + strlen(body->format->closing);
    body->spans = 0;
    body->is_finished = false;
}

/* Head or tail, where the format has such a thing. */
static void write_text(struct json_writer *json, struct tracez_text text)
{
    if (text.bytes > 0) {
        json_write_raw(json, text.text, text.bytes);
    }
}

static enum body_add refusal(enum json_failure failure)
{
    return failure == JSON_FAILURE_MEMORY ? BODY_NO_MEMORY : BODY_FULL;
}

/* Adds a span to a segment that has some. */
static enum body_add add_to(struct body *body, struct body_segment *segment,
                            const struct tracez_record *record, const struct envelope *envelope)
{
    struct json_writer *json = &segment->json;
    size_t before = json->bytes;

    JSON_WRITE(json, ",");
    body->format->write_span(json, record, envelope);
    size_t added = json->bytes - before;
    if (json->failure != JSON_FAILURE_NONE || added > body->bytes_max - body->bytes) {
        enum body_add result = refusal(json->failure);
        json_writer_cut(json, before);
        return result;
    }
    body->bytes += added;
    return BODY_ADDED;
}

/* Adds the first span of a segment. Body and segment count grow only when all of it fits. */
static enum body_add add_first(struct body *body, uint32_t resource,
                               const struct tracez_record *record, const struct envelope *envelope)
{
    struct body_segment *segment = &body->segments[body->segment_count];
    struct json_writer *json = &segment->json;
    const char *before = body->segment_count == 0 ? body->format->opening : ",";
    size_t counted = body->segment_count == 0 ? strlen(before) : 0; /* in body->bytes already */

    json_write_raw(json, before, strlen(before));
    write_text(json, envelope->head);
    body->format->write_span(json, record, envelope);
    size_t added = json->bytes - counted + envelope->tail.bytes;
    if (json->failure != JSON_FAILURE_NONE || added > body->bytes_max - body->bytes) {
        enum body_add result = refusal(json->failure);
        json_writer_cut(json, 0);
        return result;
    }
    segment->resource = resource;
    segment->envelope = envelope;
    body->segment_count++;
    body->bytes += added;
    return BODY_ADDED;
}

enum body_add body_add(struct body *body, struct envelopes *envelopes,
                       const struct tracez_collector *collector, const struct tracez_record *record)
{
    /* Where nothing is grouped, all spans are in the first segment. */
    uint32_t resource = body->format->is_grouped ? record->resource : 0;
    enum body_add result;
    uint32_t at = 0;

    while (at < body->segment_count && body->segments[at].resource != resource) {
        at++;
    }
    if (at == BODY_SEGMENTS_MAX) {
        return BODY_FULL;
    }
    const struct envelope *envelope =
        envelopes_get(envelopes, body->format, collector, record->resource);
    if (envelope == NULL) {
        return BODY_NO_MEMORY;
    }
    if (at < body->segment_count) {
        result = add_to(body, &body->segments[at], record, envelope);
    } else {
        result = add_first(body, resource, record, envelope);
    }
    body->spans += result == BODY_ADDED;
    return result;
}

const struct json_writer *body_finish(struct body *body)
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
    write_text(json, body->segments[0].envelope->tail);
    for (uint32_t i = 1; i < body->segment_count; i++) {
        json_write_raw(json, body->segments[i].json.text, body->segments[i].json.bytes);
        write_text(json, body->segments[i].envelope->tail);
        json_writer_deinit(&body->segments[i].json);
    }
    json_write_raw(json, body->format->closing, strlen(body->format->closing));
    assert(json->bytes == body->bytes);
    body->is_finished = true;
    return json;
}
