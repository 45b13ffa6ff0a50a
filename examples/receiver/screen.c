/* SPDX-License-Identifier: MIT */
#include "screen.h"

#include <string.h>

/* Bytes of the UTF-8 character at text, decoded into *character; 0 when it is malformed. */
static size_t decode(const char *text, size_t bytes, uint32_t *character)
{
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (length == 0 || length > bytes || first > 0xf4) {
        return 0;
    }
    *character = length == 1 ? first : first & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        *character = (*character << 6) | (next & 0x3f);
    }
    return length;
}

/* Does a terminal show this character, and only that? */
static bool is_visible(uint32_t character)
{
    return character >= 0x20 && !(character >= 0x7f && character <= 0x9f) &&
           !(character >= 0x200b && character <= 0x200f) &&  /* zero width, direction marks */
           !(character >= 0x2028 && character <= 0x202e) &&  /* line separators, overrides */
           !(character >= 0x2060 && character <= 0x206f) &&  /* invisible operators, isolates */
           character != 0xfeff && character != 0xad;         /* byte order mark, soft hyphen */
}

/* One character, or an escape for it; returns the bytes read. */
static size_t write_character(const char *text, size_t bytes, size_t *columns, FILE *out)
{
    uint32_t character = 0;
    size_t length = decode(text, bytes, &character);
    int escape_columns;

    if (length != 0 && is_visible(character)) {
        fwrite(text, 1, length, out);
        *columns += 1;
        return length;
    }
    if (length <= 1) {
        escape_columns = fprintf(out, "\\x%02x", (unsigned)(unsigned char)text[0]);
        length = 1;
    } else {
        escape_columns = fprintf(out, "\\u{%x}", (unsigned)character);
    }
    *columns += escape_columns > 0 ? (size_t)escape_columns : 0;
    return length;
}

size_t screen_write(const struct text *text, FILE *out)
{
    static const char cut[] = " (cut)";
    size_t columns = 0;
    size_t position = 0;

    while (position < text->bytes && position < SCREEN_TEXT_BYTES_MAX) {
        position += write_character(text->at + position, text->bytes - position, &columns, out);
    }
    if (position < text->bytes) {
        fputs(cut, out);
        columns += strlen(cut);
    }
    return columns;
}
