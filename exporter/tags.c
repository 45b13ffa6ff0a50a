/* SPDX-License-Identifier: MIT
 *
 * Tags as strings. Well-known keys are told apart by their numbers; only others are compared by
 * their bytes. That a resource's tag isn't among the span's is known, nearly always, from a filter.
 */
#include "tags.h"

#include <math.h>
#include <stdlib.h>

#define DROPPED "otel.dropped_"

/* ---- A value --------------------------------------------------------------------------------- */

static void write_double(struct json_writer *json, double value)
{
    if (!isfinite(value)) {
        json_write_double(json, value); /* a string already */
        return;
    }
    JSON_WRITE(json, "\"");
    json_write_double(json, value);
    JSON_WRITE(json, "\"");
}

static void write_strings(struct json_writer *json, struct tracez_text strings)
{
    struct tracez_text item;
    size_t position = 0;
    size_t begin = json->bytes;
    bool is_first = true;

    JSON_WRITE(json, "[");
    while (tracez_strings_next(strings, &position, &item)) {
        if (!is_first) {
            JSON_WRITE(json, ",");
        }
        json_write_string(json, item);
        is_first = false;
    }
    JSON_WRITE(json, "]");
    json_quote(json, begin);
}

void tags_write_value(struct json_writer *json, const struct tracez_entry *tag)
{
    switch (tag->type) {
    case TRACEZ_TAG_INT:
        JSON_WRITE(json, "\"");
        json_write_signed(json, tag->integer);
        JSON_WRITE(json, "\"");
        break;
    case TRACEZ_TAG_DOUBLE:
        write_double(json, tag->real);
        break;
    case TRACEZ_TAG_BOOL:
        if (tag->integer != 0) {
            JSON_WRITE(json, "\"true\"");
        } else {
            JSON_WRITE(json, "\"false\"");
        }
        break;
    case TRACEZ_TAG_STRINGS:
        write_strings(json, tag->string);
        break;
    default:
        json_write_string(json, tag->string);
    }
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static bool is_text(struct tracez_text text, const char *expected)
{
    return text.bytes == strlen(expected) && memcmp(text.text, expected, text.bytes) == 0;
}

static bool has_same_key(const struct tracez_entry *a, const struct tracez_entry *b)
{
    return a->key_id == b->key_id && a->key.bytes == b->key.bytes &&
           (a->key_id != 0 || memcmp(a->key.text, b->key.text, a->key.bytes) == 0);
}

static uint64_t key_bit(struct tracez_text key)
{
    unsigned last = key.bytes > 0 ? (unsigned char)key.text[key.bytes - 1] : 0;

    return UINT64_C(1) << ((key.bytes * 5 + last) % 64);
}

/* Says a tag "error" of somebody's that there is none? Who reads Zipkin's takes any for one. */
static bool is_no_error(const struct tracez_entry *tag)
{
    return (tag->type == TRACEZ_TAG_BOOL && tag->integer == 0) ||
           (tag->type == TRACEZ_TAG_STRING && is_text(tag->string, "false"));
}

/* Is the key one that is derived from the span? */
static bool is_derived(const struct tags *tags, const struct tracez_entry *tag,
                       const struct tracez_record *record)
{
    if (tag->key_id != 0) {
        return false;
    }
    if (is_text(tag->key, "error")) {
        return record->status == TRACEZ_STATUS_ERROR || is_no_error(tag);
    }
    return (tags->has_kind && is_text(tag->key, "span.kind")) ||
           is_text(tag->key, "otel.status_code") ||
           (tag->key.bytes > strlen(DROPPED) &&
            memcmp(tag->key.text, DROPPED, strlen(DROPPED)) == 0);
}

bool tags_find(const unsigned char *entries, size_t entries_bytes, enum tracez_key_id key_id,
               struct tracez_entry *entry)
{
    size_t position = 0;

    while (tracez_entry_next(entries, entries_bytes, &position, entry)) {
        if (entry->key_id == key_id && entry->type <= TRACEZ_TAG_STRINGS) {
            return true;
        }
    }
    return false;
}

/* ---- Of a resource --------------------------------------------------------------------------- */

static bool is_listed(const struct resource_tags *tags, const struct tracez_entry *entry)
{
    for (uint32_t i = 0; i < tags->count; i++) {
        if (has_same_key(&tags->rows[i].entry, entry)) {
            return true;
        }
    }
    return false;
}

static void add_row(struct resource_tags *tags, const struct tracez_entry *entry)
{
    size_t offset = tags->text.bytes;

    json_write_string(&tags->text, entry->key);
    JSON_WRITE(&tags->text, ":");
    tags_write_value(&tags->text, entry);
    tags->rows[tags->count++] = (struct resource_tag){*entry, offset, tags->text.bytes - offset};
}

bool resource_tags_init(struct resource_tags *tags, const unsigned char *entries,
                        size_t entries_bytes, bool has_service_name)
{
    struct tracez_entry entry;
    size_t position = 0;

    *tags = (struct resource_tags){.rows = calloc(TRACEZ_TAGS_MAX + 1, sizeof(tags->rows[0]))};
    json_writer_init(&tags->text, SIZE_MAX);
    while (tags->rows != NULL && tags->count <= TRACEZ_TAGS_MAX &&
           tracez_entry_next(entries, entries_bytes, &position, &entry)) {
        bool is_wanted = has_service_name || entry.key_id != TRACEZ_KEY_ID_SERVICE_NAME;
        if (is_wanted && entry.type <= TRACEZ_TAG_STRINGS && !is_listed(tags, &entry)) {
            add_row(tags, &entry);
        }
    }
    return tags->rows != NULL && tags->text.failure == JSON_FAILURE_NONE;
}

void resource_tags_deinit(struct resource_tags *tags)
{
    json_writer_deinit(&tags->text);
    free(tags->rows);
    *tags = (struct resource_tags){0};
}

/* ---- Of a span ------------------------------------------------------------------------------- */

/* What stands before a key. */
static void begin_tag(struct tags *tags)
{
    if (tags->has_any) {
        JSON_WRITE(tags->json, ",");
    } else {
        JSON_WRITE(tags->json, ",\"tags\":{");
    }
    tags->has_any = true;
}

static void write_tag(struct tags *tags, const struct tracez_entry *tag)
{
    begin_tag(tags);
    if (tag->key_id != 0) {
        JSON_WRITE(tags->json, "\"");
        json_write_raw(tags->json, tag->key.text, tag->key.bytes);
        JSON_WRITE(tags->json, "\":");
    } else {
        json_write_string(tags->json, tag->key);
        JSON_WRITE(tags->json, ":");
    }
    tags_write_value(tags->json, tag);
    tags->keys |= key_bit(tag->key);
}

static bool has_tag(const struct tracez_record *record, const struct tracez_entry *other)
{
    struct tracez_entry entry;
    size_t position = 0;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, &entry)) {
        if (entry.type <= TRACEZ_TAG_STRINGS && has_same_key(&entry, other)) {
            return true;
        }
    }
    return false;
}

void tags_write_all(struct tags *tags, const struct tracez_record *record,
                    const struct resource_tags *resource)
{
    struct tracez_entry entry;
    size_t position = 0;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, &entry)) {
        if (entry.type <= TRACEZ_TAG_STRINGS && !is_derived(tags, &entry, record)) {
            write_tag(tags, &entry);
        }
    }
    for (uint32_t i = 0; i < resource->count; i++) {
        const struct resource_tag *row = &resource->rows[i];
        bool may_be_there = (tags->keys & key_bit(row->entry.key)) != 0;
        if (!(may_be_there && has_tag(record, &row->entry)) &&
            !is_derived(tags, &row->entry, record)) {
            begin_tag(tags);
            json_write_raw(tags->json, resource->text.text + row->text_offset, row->text_bytes);
        }
    }
}

static void write_text(struct tags *tags, const char *key, struct tracez_text value)
{
    begin_tag(tags);
    JSON_WRITE(tags->json, "\"");
    json_write_raw(tags->json, key, strlen(key));
    JSON_WRITE(tags->json, "\":");
    json_write_string(tags->json, value);
}

void tags_write_kind(struct tags *tags, enum tracez_span_kind kind)
{
    static const char *const kinds[] = {
        [TRACEZ_KIND_INTERNAL] = "internal", [TRACEZ_KIND_SERVER] = "server",
        [TRACEZ_KIND_CLIENT] = "client",     [TRACEZ_KIND_PRODUCER] = "producer",
        [TRACEZ_KIND_CONSUMER] = "consumer",
    };

    if ((unsigned)kind <= TRACEZ_KIND_CONSUMER && kinds[kind] != NULL) {
        write_text(tags, "span.kind", (struct tracez_text){kinds[kind], strlen(kinds[kind])});
        tags->has_kind = true;
    }
}

/* The message says most, then the kind of error; that it is one, at least. */
static void write_error(struct tags *tags, const struct tracez_record *record)
{
    struct tracez_entry type;

    if (record->status_message.bytes > 0) {
        write_text(tags, "error", record->status_message);
    } else if (tags_find(record->entries, record->entries_bytes, TRACEZ_KEY_ID_ERROR_TYPE, &type) &&
               type.type == TRACEZ_TAG_STRING && !is_no_error(&type)) {
        write_text(tags, "error", type.string);
    } else {
        write_text(tags, "error", (struct tracez_text){"true", 4});
    }
}

void tags_write_status(struct tags *tags, const struct tracez_record *record)
{
    switch (record->status) {
    case TRACEZ_STATUS_ERROR:
        write_text(tags, "otel.status_code", (struct tracez_text){"ERROR", 5});
        write_error(tags, record);
        break;
    case TRACEZ_STATUS_OK:
        write_text(tags, "otel.status_code", (struct tracez_text){"OK", 2});
        break;
    default:
        break;
    }
}

void tags_write_dropped(struct tags *tags, const char *key, uint32_t count)
{
    if (count > 0) {
        begin_tag(tags);
        JSON_WRITE(tags->json, "\"" DROPPED);
        json_write_raw(tags->json, key, strlen(key));
        JSON_WRITE(tags->json, "_count\":\"");
        json_write_unsigned(tags->json, count);
        JSON_WRITE(tags->json, "\"");
    }
}

void tags_end(struct tags *tags)
{
    if (tags->has_any) {
        JSON_WRITE(tags->json, "}");
    }
}
