/* SPDX-License-Identifier: MIT
 *
 * What hurts, and its cure. */
#include "hostile.h"

#include <string.h>

/* Valid sequences by Unicode 15, table 3-7, one row after the other. Returns the length
 * of the one at `at`, or 0 and in *bad how many bytes make one U+FFFD. */
static size_t valid_sequence(const unsigned char *at, size_t left, size_t *bad)
{
    static const struct row {
        unsigned char min[4], max[4];
        size_t bytes;
    } rows[] = {
        {{0x00}, {0x7f}, 1},
        {{0xc2, 0x80}, {0xdf, 0xbf}, 2},
        {{0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}, 3},
        {{0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}, 3},
        {{0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}, 3},
        {{0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}, 3},
        {{0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}, 4},
        {{0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}, 4},
        {{0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}, 4},
    };

    *bad = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t good = 0;
        while (good < rows[i].bytes && good < left && at[good] >= rows[i].min[good] &&
               at[good] <= rows[i].max[good]) {
            good++;
        }
        if (good == rows[i].bytes) {
            return good;
        }
        *bad = good > *bad ? good : *bad;
    }
    return 0;
}

size_t hostile_cure(const unsigned char *text, size_t bytes, char *cured)
{
    size_t count = 0;

    for (size_t i = 0; i < bytes;) {
        size_t bad;
        size_t good = valid_sequence(text + i, bytes - i, &bad);
        memcpy(cured + count, good > 0 ? (const char *)text + i : "\xef\xbf\xbd",
               good > 0 ? good : 3);
        count += good > 0 ? good : 3;
        i += good > 0 ? good : bad;
    }
    return count;
}

unsigned char hostile_byte(uint64_t random)
{
    static const unsigned char sharp[] = {0x00, 0x1f, 0x20, '"',  '\\', '/',  0x7f, 0x80,
                                          0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
                                          0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, '\n', 0x90};

    switch (random % 4) {
    case 0:
        return (unsigned char)(random >> 8);
    case 1:
        return sharp[(random >> 8) % sizeof(sharp)];
    default:
        return (unsigned char)('a' + (random >> 8) % 26);
    }
}
