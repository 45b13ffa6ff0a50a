/* SPDX-License-Identifier: MIT
 *
 * Random numbers that anybody can make again from the same seed (splitmix64), and bytes made of
 * them: what a writer fills a record with, a reader compares it to. */
#ifndef TRACEZ_TESTS_RANDOM_H
#define TRACEZ_TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t word = *state += 0x9e3779b97f4a7c15U;

    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9U;
    word = (word ^ word >> 27) * 0x94d049bb133111ebU;
    return word ^ word >> 31;
}

static inline void fill_random(unsigned char *bytes, size_t count, uint64_t seed)
{
    for (size_t at = 0; at < count; at += sizeof(uint64_t)) {
        uint64_t word = next_random(&seed);
        memcpy(bytes + at, &word, count - at < sizeof(word) ? count - at : sizeof(word));
    }
}

static inline bool is_filled(const unsigned char *bytes, size_t count, uint64_t seed)
{
    for (size_t at = 0; at < count; at += sizeof(uint64_t)) {
        uint64_t word = next_random(&seed);
        if (memcmp(bytes + at, &word, count - at < sizeof(word) ? count - at : sizeof(word)) != 0) {
            return false;
        }
    }
    return true;
}

#endif
