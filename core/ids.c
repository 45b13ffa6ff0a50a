/* SPDX-License-Identifier: MIT
 *
 * Ids from a generator of each thread's own (xoshiro256++, Blackman and Vigna), seeded with 256
 * bits of the kernel's randomness at the thread's first id and again after a fork. Ids need to be
 * unique, not secret: who sees many of them can predict the next. Cost: about 2 ns an id; the
 * seeding is the one system call.
 *
 * Without the kernel's randomness (no getrandom yet at early boot) clock, thread and address stand
 * in: still unique in all likelihood. */
#include "ids.h"

#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct generator {
    uint64_t word[4];
    unsigned seeded_for; /* the process's fork count + 1; 0: never seeded */
};

static THREAD_LOCAL struct generator own;

static uint64_t rotate_left(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static uint64_t mix(uint64_t word) /* splitmix64's finisher */
{
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9U;
    word = (word ^ word >> 27) * 0x94d049bb133111ebU;
    return word ^ word >> 31;
}

static __attribute__((noinline, cold)) void seed(struct generator *generator)
{
    int saved_errno = errno;
    ssize_t got = getrandom(generator->word, sizeof(generator->word), GRND_NONBLOCK);

    if (got != (ssize_t)sizeof(generator->word)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t state = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
        state ^= mix((uint64_t)getpid()) ^ (uint64_t)(uintptr_t)generator;
        for (int i = 0; i < 4; i++) {
            generator->word[i] ^= mix(state += 0x9e3779b97f4a7c15U);
        }
    }
    generator->word[0] |= (generator->word[1] | generator->word[2] | generator->word[3]) == 0;
    generator->seeded_for = process_fork_count() + 1;
    errno = saved_errno;
}

static inline uint64_t next(uint64_t word[4])
{
    uint64_t result = rotate_left(word[0] + word[3], 23) + word[0];
    uint64_t shifted = word[1] << 17;

    word[2] ^= word[0];
    word[3] ^= word[1];
    word[1] ^= word[2];
    word[0] ^= word[3];
    word[2] ^= shifted;
    word[3] = rotate_left(word[3], 45);
    return result;
}

static inline uint64_t next_not_zero(uint64_t word[4])
{
    uint64_t result = next(word);

    return result | (result == 0);
}

void ids_make(uint8_t trace_id[16], uint8_t span_id[8])
{
    uint64_t id;

    if (own.seeded_for != process_fork_count() + 1) {
        seed(&own);
    }
    uint64_t word[4] = {own.word[0], own.word[1], own.word[2], own.word[3]}; /* in registers */
    if (trace_id != NULL) {
        id = next(word);
        memcpy(trace_id, &id, 8);
        id = next_not_zero(word);
        memcpy(trace_id + 8, &id, 8);
    }
    id = next_not_zero(word);
    memcpy(span_id, &id, 8);
    memcpy(own.word, word, sizeof(word));
}
