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

/* False: the key is NULL, empty or longer than KEY_BYTES_MAX. */
bool key_resolve(const char *text, struct key *key);

/* The text of a well-known key; empty for an id that this version does not know. */
struct tracez_text key_text(uint32_t id);

#endif
