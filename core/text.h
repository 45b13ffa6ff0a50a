/* SPDX-License-Identifier: MIT
 *
 * Looking at texts that need not end in NUL. ASCII only: what HTTP's names are made of. */
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
