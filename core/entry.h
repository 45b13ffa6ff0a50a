/* SPDX-License-Identifier: MIT
 *
 * Entries: the variable part of a record. Name, tags, events and links are all written alike, one
 * after another:
 *
 *   type 1 byte | key id 1 byte | key bytes 2 | value bytes 2 | key text | value
 *
 * A well-known key is only its id. Numbers are in the machine's own order and unaligned: records
 * never leave the machine. An event's value is its time (8 bytes) and nested tag entries; a link's
 * is trace id, span id, flags and nested tag entries; an array of strings is (2 bytes length, text)
 * for each. */
#ifndef TRACEZ_CORE_ENTRY_H
#define TRACEZ_CORE_ENTRY_H

#include "keys.h"

#include <tracez/reader.h>

#include <string.h>

#define ENTRY_HEADER_BYTES 6
#define ENTRY_VALUE_BYTES_MAX UINT16_MAX
#define EVENT_TIME_BYTES 8
#define LINK_CONTEXT_BYTES (TRACEZ_TRACE_ID_BYTES + TRACEZ_SPAN_ID_BYTES + 1)

struct entry_header {
    uint8_t type;
    uint8_t key_id;
    uint16_t key_bytes; /* 0 with a key id */
    uint16_t value_bytes;
};

_Static_assert(sizeof(struct entry_header) == ENTRY_HEADER_BYTES, "shared between versions");

static inline struct entry_header entry_header_read(const unsigned char *at)
{
    struct entry_header header;

    memcpy(&header, at, ENTRY_HEADER_BYTES);
    return header;
}

static inline size_t entry_bytes(struct entry_header header)
{
    return (size_t)ENTRY_HEADER_BYTES + header.key_bytes + header.value_bytes;
}

/* Writes header and key; returns where the value goes. */
static inline unsigned char *entry_begin(unsigned char *at, uint32_t type, const struct key *key,
                                         size_t value_bytes)
{
    uint16_t key_bytes = key->id != 0 ? 0 : key->bytes;
    const struct entry_header header = {(uint8_t)type, key->id, key_bytes, (uint16_t)value_bytes};

    memcpy(at, &header, ENTRY_HEADER_BYTES);
    if (key_bytes > 0) {
        memcpy(at + ENTRY_HEADER_BYTES, key->text, key_bytes);
    }
    return at + ENTRY_HEADER_BYTES + key_bytes;
}

/* The whole size of an entry to be written. */
static inline size_t entry_bytes_for(const struct key *key, size_t value_bytes)
{
    return ENTRY_HEADER_BYTES + (key->id != 0 ? (size_t)0 : key->bytes) + value_bytes;
}

/* What a tag's value takes; more than ENTRY_VALUE_BYTES_MAX when it can't be stored. Strings are
 * cut at max_tag_bytes. */
size_t tag_value_bytes(const struct tracez_tag *tag, size_t max_tag_bytes);
void tag_value_write(const struct tracez_tag *tag, size_t max_tag_bytes, unsigned char *value);

struct tag_list {
    const struct tracez_tag *tags;
    size_t count;
    size_t max_tag_bytes; /* longer strings are cut */
};

/* Writes a list of tags into at most capacity bytes; those with bad keys, or that do not fit, are
 * left out and counted in *refused. Returns the bytes written. */
size_t tag_list_write(const struct tag_list *list, unsigned char *at, size_t capacity,
                      uint32_t *refused);

#endif
