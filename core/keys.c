/* SPDX-License-Identifier: MIT
 *
 * The table of well-known keys. Callers may pass a TRACEZ_KEY constant, recognised by its address,
 * or equal text, found by a small hash table, so that one key never has two encodings in a span.
 *
 * Threads: the hash table is written once, under pthread_once, and only read afterwards. */
#include "keys.h"

#include <pthread.h>
#include <string.h>

const char tracez_keys[TRACEZ_KEY_ROWS][TRACEZ_KEY_COLUMNS] = {
#define ROW(name, text) [TRACEZ_KEY_ID_##name] = {text},
    TRACEZ_KEYS(ROW)
#undef ROW
};

static const uint8_t known_key_bytes[TRACEZ_KEY_ROWS] = {
#define ROW(name, text) [TRACEZ_KEY_ID_##name] = sizeof(text) - 1,
    TRACEZ_KEYS(ROW)
#undef ROW
};

_Static_assert(TRACEZ_KEY_ID_COUNT <= KEY_BUCKETS / 2, "the hash table gets crowded");

static pthread_once_t once = PTHREAD_ONCE_INIT;
uint8_t key_buckets[KEY_BUCKETS];

static void fill_buckets(void)
{
    for (uint32_t id = 1; id < TRACEZ_KEY_ID_COUNT; id++) {
        uint32_t at = key_hash(tracez_keys[id], known_key_bytes[id]) % KEY_BUCKETS;

        while (key_buckets[at] != 0) {
            at = (at + 1) % KEY_BUCKETS;
        }
        key_buckets[at] = (uint8_t)id;
    }
}

void keys_init(void)
{
    pthread_once(&once, fill_buckets);
}

uint32_t key_find_id(const char *text, size_t bytes, uint32_t hash)
{
    for (uint32_t at = hash % KEY_BUCKETS; key_buckets[at] != 0; at = (at + 1) % KEY_BUCKETS) {
        uint32_t id = key_buckets[at];

        if (known_key_bytes[id] == bytes && memcmp(tracez_keys[id], text, bytes) == 0) {
            return id;
        }
    }
    return 0;
}

struct tracez_text key_text(uint32_t id)
{
    if (id >= TRACEZ_KEY_ROWS) {
        id = TRACEZ_KEY_ID_NONE;
    }
    return (struct tracez_text){tracez_keys[id], known_key_bytes[id]};
}
