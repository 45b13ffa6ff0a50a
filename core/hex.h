/* SPDX-License-Identifier: MIT
 *
 * Lower-case hex, as W3C Trace Context and OTLP want it. */
#ifndef TRACEZ_CORE_HEX_H
#define TRACEZ_CORE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline char *hex_format(char *text, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    return text;
}

/* The digit's value; 16 or more for anything that is not a lower-case hex digit. */
static inline unsigned hex_digit(char character)
{
    unsigned decimal = (unsigned)(unsigned char)character - '0';
    unsigned letter = (unsigned)(unsigned char)character - 'a';

    return decimal < 10 ? decimal : letter < 6 ? letter + 10 : 16;
}

/* Reads 2 x count digits. False when one of them is none. */
static inline bool hex_parse(uint8_t *bytes, size_t count, const char *text)
{
    unsigned worst = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned high = hex_digit(text[2 * i]);
        unsigned low = hex_digit(text[2 * i + 1]);
        worst |= high | low;
        bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    return worst < 16;
}

#endif
