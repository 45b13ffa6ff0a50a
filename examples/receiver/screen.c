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

/* What a terminal obeys, or does not show. */
static const struct {
    uint32_t first;
    uint32_t last;
} unseen[] = {
    {0x00, 0x1f},       /* C0: escape sequences begin here */
    {0x7f, 0x9f},       /* DEL, C1 */
    {0xad, 0xad},       /* soft hyphen */
    {0x61c, 0x61c},     /* Arabic letter mark */
    {0x200b, 0x200f},   /* zero width, direction marks */
    {0x2028, 0x202e},   /* line separators, direction overrides */
    {0x2060, 0x206f},   /* invisible operators, isolates */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xfff9, 0xfffb},   /* annotations */
    {0xe0000, 0xe0fff}, /* tags, variation selectors */
};

static bool is_visible(uint32_t character)
{
    for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++) {
        if (character >= unseen[i].first && character <= unseen[i].last) {
            return false;
        }
    }
    return true;
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
