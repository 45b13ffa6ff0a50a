/* SPDX-License-Identifier: MIT
 *
 * Looking at texts that need not end in NUL. Case is that of ASCII: what HTTP's names are made of.
 */
#ifndef TRACEZ_CORE_TEXT_H
#define TRACEZ_CORE_TEXT_H

#include <tracez/tracez.h>

#include <string.h>

static inline bool text_is_blank(char character)
{
    return character == ' ' || character == '\t';
}

static inline struct tracez_text text_trim(struct tracez_text text)
{
    while (text.bytes > 0 && text_is_blank(text.text[0])) {
        text.text++;
        text.bytes--;
    }
    while (text.bytes > 0 && text_is_blank(text.text[text.bytes - 1])) {
        text.bytes--;
    }
    return text;
}

/* How much of a text stays within so many bytes: whole characters of UTF-8 only. */
static inline size_t text_cut_bytes(struct tracez_text text, size_t max_bytes)
{
    size_t bytes = text.bytes;

    if (bytes > max_bytes) {
        bytes = max_bytes;
        while (bytes > 0 && max_bytes - bytes < 3 &&
               ((unsigned char)text.text[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    return bytes;
}

static inline bool text_equals(struct tracez_text text, const char *expected)
{
    return text.bytes == strlen(expected) && memcmp(text.text, expected, text.bytes) == 0;
}

static inline char text_lower(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

/* lower has the same number of bytes, none of them an upper-case letter. */
static inline bool text_equals_lower(const char *text, const char *lower, size_t bytes)
{
    size_t same = 0;

    while (same < bytes && text_lower(text[same]) == lower[same]) {
        same++;
    }
    return same == bytes;
}

#endif
