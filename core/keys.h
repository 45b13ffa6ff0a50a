/* SPDX-License-Identifier: MIT
 *
 * From a tag key to what a record stores: a small id for a well-known key, the text for any other.
 */
#ifndef TRACEZ_CORE_KEYS_H
#define TRACEZ_CORE_KEYS_H

#include <tracez/tracez.h>

#define KEY_BYTES_MAX 255

struct key {
    const char *text;
    uint16_t bytes;
    uint8_t id;     /* enum tracez_key_id, 0 for text */
    uint8_t filter; /* 0 to 63: equal keys have equal filters */
};

/* Builds the lookup table. Any thread, any number of times; before the first key_resolve. */
void keys_init(void);

/* For a key that is not a constant of the table. */
bool key_resolve_text(const char *text, struct key *key);

extern const uint8_t known_key_bytes[TRACEZ_KEY_ROWS];

/* False: the key is NULL, empty or longer than KEY_BYTES_MAX. */
static inline bool key_resolve(const char *text, struct key *key)
{
    uintptr_t offset = (uintptr_t)text - (uintptr_t)tracez_keys;

    if (offset >= sizeof(tracez_keys) || offset % TRACEZ_KEY_COLUMNS != 0) {
        return key_resolve_text(text, key);
    }
    key->id = (uint8_t)(offset / TRACEZ_KEY_COLUMNS);
    key->text = text;
    key->bytes = known_key_bytes[key->id];
    key->filter = key->id % 64;
    return key->bytes != 0;
}

/* The text of a well-known key; empty for an id that this version does not know. */
struct tracez_text key_text(uint32_t id);

#endif
