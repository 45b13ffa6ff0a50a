/* SPDX-License-Identifier: MIT
 *
 * Tags as a JSON object of strings, for formats that have no other type: numbers and truth values
 * as their text, lists as the text of a JSON array. A key is in it once: the span's own tag wins
 * over its resource's, and what a format derives from the span over both. */
#ifndef TRACEZ_EXPORTER_TAGS_H
#define TRACEZ_EXPORTER_TAGS_H

#include "json.h"

#include <tracez/reader.h>

/* A resource's tags, as they stand in each of its spans. Zero is empty. */
struct resource_tag {
    struct tracez_entry entry; /* points into the collector */
    size_t text_offset;        /* "key":"value" */
    size_t text_bytes;
};

struct resource_tags {
    struct json_writer text;
    struct resource_tag *rows;
    uint32_t count;
};

/* Of two tags with one key the first one counts. False: no memory. */
bool resource_tags_init(struct resource_tags *tags, const unsigned char *entries,
                        size_t entries_bytes, bool has_service_name);
void resource_tags_deinit(struct resource_tags *tags);

/* An object under construction: `,"tags":{` and so on; nothing at all, when no tag follows. */
struct tags {
    struct json_writer *json;
    uint64_t keys; /* a bit for each key of the span's own, as in a Bloom filter */
    bool has_any;
    bool has_kind;
};

static inline struct tags tags_begin(struct json_writer *json)
{
    return (struct tags){.json = json};
}

/* span.kind. Before the others, so that nobody's own tag of that name is beside it. */
void tags_write_kind(struct tags *tags, enum tracez_span_kind kind);

/* All tags of the span and of its resource, but for those that follow. */
void tags_write_all(struct tags *tags, const struct tracez_record *record,
                    const struct resource_tags *resource);

/* What OpenTelemetry derives for such formats: otel.status_code and error. */
void tags_write_status(struct tags *tags, const struct tracez_record *record);

/* What the span had more of than is written: otel.dropped_*_count, unless 0. */
void tags_write_dropped(struct tags *tags, const char *key, uint32_t count);

void tags_end(struct tags *tags);

/* The first of the entries with this key, or false. */
bool tags_find(const unsigned char *entries, size_t entries_bytes, enum tracez_key_id key_id,
               struct tracez_entry *entry);

/* The value of a tag, whatever its type, as one JSON string. */
void tags_write_value(struct json_writer *json, const struct tracez_entry *tag);

#endif
