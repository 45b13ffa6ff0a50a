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

/* Copies without a call what is short: up to this length, as most values are. More is memcpy's. */
#define ENTRY_SHORT_BYTES 256

static inline void entry_copy_short(unsigned char *to, const void *from, size_t bytes)
{
    const unsigned char *source = from;

    if (bytes >= 16) {
        for (size_t at = 0; at < bytes - 16; at += 16) {
            memcpy(to + at, source + at, 16);
        }
        memcpy(to + bytes - 16, source + bytes - 16, 16);
    } else if (bytes >= 8) {
        memcpy(to, source, 8);
        memcpy(to + bytes - 8, source + bytes - 8, 8);
    } else if (bytes >= 4) {
        memcpy(to, source, 4);
        memcpy(to + bytes - 4, source + bytes - 4, 4);
    } else if (bytes > 0) {
        to[0] = source[0];
        to[bytes / 2] = source[bytes / 2];
        to[bytes - 1] = source[bytes - 1];
    }
}

static inline void entry_copy(unsigned char *to, const void *from, size_t bytes)
{
    if (bytes <= ENTRY_SHORT_BYTES) {
        entry_copy_short(to, from, bytes);
    } else {
        memcpy(to, from, bytes);
    }
}

static inline void entry_header_write(unsigned char *at, struct entry_header header)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* The compiler would put it together byte by byte in memory, and read it back at once. */
    uint32_t key = (uint32_t)header.key_bytes << 16 | (uint32_t)header.key_id << 8 | header.type;

    memcpy(at, &key, sizeof(key));
    memcpy(at + sizeof(key), &header.value_bytes, sizeof(header.value_bytes));
#else
    memcpy(at, &header, ENTRY_HEADER_BYTES);
#endif
}

/* Writes header and key; returns where the value goes. */
static inline unsigned char *entry_begin(unsigned char *at, uint32_t type, struct key key,
                                         size_t value_bytes)
{
    entry_header_write(
        at, (struct entry_header){(uint8_t)type, key.id, key.bytes, (uint16_t)value_bytes});
    entry_copy(at + ENTRY_HEADER_BYTES, key.text, key.bytes);
    return at + ENTRY_HEADER_BYTES + key.bytes;
}

/* The whole size of an entry to be written. */
static inline size_t entry_bytes_for(struct key key, size_t value_bytes)
{
    return (size_t)ENTRY_HEADER_BYTES + key.bytes + value_bytes;
}

/* A string that is too long is cut between two characters, and says so at its end. */
size_t cut_string_bytes(struct tracez_text string, size_t max_bytes);
void cut_string_write(struct tracez_text string, size_t max_bytes, unsigned char *at);

static inline size_t string_bytes(struct tracez_text string, size_t max_bytes)
{
    return string.bytes <= max_bytes ? string.bytes : cut_string_bytes(string, max_bytes);
}

/* Writes exactly string_bytes() bytes. */
static inline void string_write(struct tracez_text string, size_t max_bytes, unsigned char *at)
{
    if (string.bytes <= max_bytes) {
        entry_copy(at, string.text, string.bytes);
    } else {
        cut_string_write(string, max_bytes, at);
    }
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
