/* SPDX-License-Identifier: MIT
 *
 * Tags as OTLP attributes. 64-bit integers are decimal strings (protobuf's JSON mapping); a
 * well-known key needs no look at its bytes. */
#include "attributes.h"

static void write_strings(struct json_writer *writer, struct tracez_text strings)
{
    struct tracez_text item;
    size_t position = 0;
    bool is_first = true;

    JSON_WRITE(writer, "{\"arrayValue\":{\"values\":[");
    while (tracez_strings_next(strings, &position, &item)) {
        if (!is_first) {
            JSON_WRITE(writer, ",");
        }
        JSON_WRITE(writer, "{\"stringValue\":");
        json_write_string(writer, item);
        JSON_WRITE(writer, "}");
        is_first = false;
    }
    JSON_WRITE(writer, "]}}");
}

static void write_value(struct json_writer *writer, const struct tracez_entry *tag)
{
    switch (tag->type) {
    case TRACEZ_TAG_INT:
        JSON_WRITE(writer, "{\"intValue\":\"");
        json_write_signed(writer, tag->integer);
        JSON_WRITE(writer, "\"}");
        break;
    case TRACEZ_TAG_DOUBLE:
        JSON_WRITE(writer, "{\"doubleValue\":");
        json_write_double(writer, tag->real);
        JSON_WRITE(writer, "}");
        break;
    case TRACEZ_TAG_BOOL:
        if (tag->integer != 0) {
            JSON_WRITE(writer, "{\"boolValue\":true}");
        } else {
            JSON_WRITE(writer, "{\"boolValue\":false}");
        }
        break;
    case TRACEZ_TAG_STRINGS:
        write_strings(writer, tag->string);
        break;
    default:
        JSON_WRITE(writer, "{\"stringValue\":");
        json_write_string(writer, tag->string);
        JSON_WRITE(writer, "}");
    }
}

static void write_key(struct json_writer *writer, const struct tracez_entry *tag)
{
    if (tag->key_id != 0) {
        JSON_WRITE(writer, "\"");
        json_write_raw(writer, tag->key.text, tag->key.bytes);
        JSON_WRITE(writer, "\"");
    } else {
        json_write_string(writer, tag->key);
    }
}

void attributes_write(struct json_writer *writer, const unsigned char *entries,
                      size_t entries_bytes)
{
    struct tracez_entry entry;
    size_t position = 0;
    bool is_first = true;

    JSON_WRITE(writer, "[");
    while (tracez_entry_next(entries, entries_bytes, &position, &entry)) {
        if (entry.type > TRACEZ_TAG_STRINGS) {
            continue;
        }
        if (!is_first) {
            JSON_WRITE(writer, ",");
        }
        JSON_WRITE(writer, "{\"key\":");
        write_key(writer, &entry);
        JSON_WRITE(writer, ",\"value\":");
        write_value(writer, &entry);
        JSON_WRITE(writer, "}");
        is_first = false;
    }
    JSON_WRITE(writer, "]");
}
