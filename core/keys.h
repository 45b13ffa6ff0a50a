/* SPDX-License-Identifier: MIT
 *
 * From a tag key to what a record stores: a small id for a well-known key, the text for any other.
 */
#ifndef TRACEZ_CORE_KEYS_H
#define TRACEZ_CORE_KEYS_H

#include <tracez/tracez.h>

#include <string.h>

#define KEY_BYTES_MAX 255
#define KEY_BIT(filter)                                                                            \
    (1ULL << (filter) % 64) /* in a filter of keys; a key's id is its filter                       \
                             */

struct key {
    const char *text; /* NULL: no key, as it was NULL, empty or longer than KEY_BYTES_MAX */
    uint16_t bytes;   /* of text that is stored: 0 with an id */
    uint8_t id;       /* enum tracez_key_id, 0 for text */
    uint8_t filter;   /* 0 to 63: equal keys have equal filters */
};

/* Builds the lookup table. Any thread, any number of times; before the first key_resolve. */
void keys_init(void);

/* The id of a TRACEZ_KEY constant, recognised by its address; 0 for anything else. */
static inline uint32_t key_constant_id(const char *text)
{
    uintptr_t offset = (uintptr_t)text - (uintptr_t)tracez_keys;

    return offset < (uintptr_t)TRACEZ_KEY_ID_COUNT * TRACEZ_KEY_COLUMNS &&
                   offset % TRACEZ_KEY_COLUMNS == 0
               ? (uint32_t)(offset / TRACEZ_KEY_COLUMNS)
               : 0;
}

static inline struct key key_of_id(uint32_t id)
{
    return (struct key){.text = "", .id = (uint8_t)id, .filter = id % 64};
}

/* Of entries that have none. */
static inline struct key key_none(void)
{
    return (struct key){.text = ""};
}

#define KEY_BUCKETS 128 /* a power of two, well over the number of keys */

extern uint8_t key_buckets[KEY_BUCKETS]; /* ids, by hash */

static inline uint32_t key_hash(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;

    return (uint32_t)bytes * 7U + at[0] * 31U + at[bytes / 2] * 13U + at[bytes - 1] * 5U;
}

/* The id of a well-known key's text; 0 for any other. */
uint32_t key_find_id(const char *text, size_t bytes, uint32_t hash);

static inline struct key key_resolve(const char *text)
{
    uint32_t id = key_constant_id(text);
    size_t bytes = id != 0 || text == NULL ? 0 : strlen(text);

    if (id != 0) {
        return key_of_id(id);
    }
    if (bytes == 0 || bytes > KEY_BYTES_MAX) {
        return (struct key){.text = NULL};
    }
    uint32_t hash = key_hash(text, bytes);
    if (key_buckets[hash % KEY_BUCKETS] != 0) { /* for most that are not well known it is empty */
        id = key_find_id(text, bytes, hash);
    }
    return id != 0 ? key_of_id(id)
                   : (struct key){.text = text, .bytes = (uint16_t)bytes, .filter = hash % 64};
}

/* The text of a well-known key; empty for an id that this version does not know. */
struct tracez_text key_text(uint32_t id);

#endif
