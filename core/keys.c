/* SPDX-License-Identifier: MIT
 *
 * The table of well-known keys. Callers may pass a TRACEZ_KEY constant, recognised by its address,
 * or equal text, found by a small hash table, so that one key never has two encodings in a span.
 *
 * Threads: the hash table is written once, under pthread_once, and only read afterwards. */
#include "keys.h"

#include <pthread.h>
#include <string.h>

#define BUCKETS 128 /* a power of two, well over the number of keys */

const char tracez_keys[TRACEZ_KEY_ROWS][TRACEZ_KEY_COLUMNS] = {
#define ROW(name, text) [TRACEZ_KEY_ID_##name] = {text},
    TRACEZ_KEYS(ROW)
#undef ROW
};

const uint8_t known_key_bytes[TRACEZ_KEY_ROWS] = {
#define ROW(name, text) [TRACEZ_KEY_ID_##name] = sizeof(text) - 1,
    TRACEZ_KEYS(ROW)
#undef ROW
};

_Static_assert(TRACEZ_KEY_ID_COUNT <= BUCKETS / 2, "the hash table gets crowded");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t buckets[BUCKETS];

static uint32_t hash_text(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;

    return (uint32_t)bytes * 7U + at[0] * 31U + at[bytes / 2] * 13U + at[bytes - 1] * 5U;
}

static void fill_buckets(void)
{
    for (uint32_t id = 1; id < TRACEZ_KEY_ID_COUNT; id++) {
        uint32_t at = hash_text(tracez_keys[id], known_key_bytes[id]) % BUCKETS;

        while (buckets[at] != 0) {
            at = (at + 1) % BUCKETS;
        }
        buckets[at] = (uint8_t)id;
    }
}

void keys_init(void)
{
    pthread_once(&once, fill_buckets);
}

static uint8_t find_id(const char *text, size_t bytes, uint32_t hash)
{
    for (uint32_t at = hash % BUCKETS; buckets[at] != 0; at = (at + 1) % BUCKETS) {
        uint8_t id = buckets[at];

        if (known_key_bytes[id] == bytes && memcmp(tracez_keys[id], text, bytes) == 0) {
            return id;
        }
    }
    return 0;
}

bool key_resolve_text(const char *text, struct key *key)
{
    size_t bytes = text == NULL ? 0 : strnlen(text, KEY_BYTES_MAX + 1);
    if (bytes == 0 || bytes > KEY_BYTES_MAX) {
        return false;
    }
    uint32_t hash = hash_text(text, bytes);
    key->text = text;
    key->bytes = (uint16_t)bytes;
    key->id = find_id(text, bytes, hash);
    key->filter = (uint8_t)((key->id != 0 ? key->id : hash) % 64);
    return true;
}

struct tracez_text key_text(uint32_t id)
{
    if (id >= TRACEZ_KEY_ROWS) {
        id = TRACEZ_KEY_ID_NONE;
    }
    return (struct tracez_text){tracez_keys[id], known_key_bytes[id]};
}
