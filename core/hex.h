/* SPDX-License-Identifier: MIT
 *
 * Lower-case hex, as W3C Trace Context and OTLP want it: eight bytes at a time where the processor
 * can (every traced request writes 24 bytes and may read as many), byte by byte for the rest. */
#ifndef TRACEZ_CORE_HEX_H
#define TRACEZ_CORE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>

#define HEX_GROUP_BYTES 8
#define HEX_GROUP_DIGITS 16

static inline void hex_format_group(char text[16], const uint8_t bytes[8])
{
    const __m128i low_bits = _mm_set1_epi8(15);
    __m128i value = _mm_loadl_epi64((const __m128i *)(const void *)bytes);
    __m128i high = _mm_and_si128(_mm_srli_epi16(value, 4), low_bits);
    __m128i low = _mm_and_si128(value, low_bits);
    __m128i digit = _mm_unpacklo_epi8(high, low);
    __m128i is_letter = _mm_cmpgt_epi8(digit, _mm_set1_epi8(9));
    __m128i letter_offset = _mm_and_si128(is_letter, _mm_set1_epi8('a' - '0' - 10));

    digit = _mm_add_epi8(_mm_add_epi8(digit, _mm_set1_epi8('0')), letter_offset);
    _mm_storeu_si128((__m128i *)(void *)text, digit);
}

/* False when one of the 16 characters is no digit. */
static inline bool hex_parse_group(uint8_t bytes[8], const char text[16])
{
    __m128i character = _mm_loadu_si128((const __m128i *)(const void *)text);
    /* Unsigned: what is below '0' or 'a' becomes large. */
    __m128i decimal = _mm_sub_epi8(character, _mm_set1_epi8('0'));
    __m128i letter = _mm_sub_epi8(character, _mm_set1_epi8('a'));
    __m128i is_decimal = _mm_cmpeq_epi8(_mm_min_epu8(decimal, _mm_set1_epi8(9)), decimal);
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
    __m128i letter_value = _mm_add_epi8(letter, _mm_set1_epi8(10));
    __m128i value =
        _mm_or_si128(_mm_and_si128(is_decimal, decimal), _mm_and_si128(is_letter, letter_value));
    /* Each pair of digits is a little-endian 16-bit word, the high one first. */
    __m128i pair = _mm_or_si128(_mm_slli_epi16(value, 4), _mm_srli_epi16(value, 8));

    pair = _mm_and_si128(pair, _mm_set1_epi16(255));
    _mm_storel_epi64((__m128i *)(void *)bytes, _mm_packus_epi16(pair, pair));
    return _mm_movemask_epi8(_mm_or_si128(is_decimal, is_letter)) == 0xffff;
}
#endif

static inline char *hex_format(char *text, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

#if defined(HEX_GROUP_BYTES)
    for (; count >= HEX_GROUP_BYTES; count -= HEX_GROUP_BYTES) {
        hex_format_group(text, bytes);
        text += HEX_GROUP_DIGITS;
        bytes += HEX_GROUP_BYTES;
    }
#endif
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
    bool is_hex = true;

#if defined(HEX_GROUP_BYTES)
    for (; count >= HEX_GROUP_BYTES; count -= HEX_GROUP_BYTES) {
        is_hex &= hex_parse_group(bytes, text);
        text += HEX_GROUP_DIGITS;
        bytes += HEX_GROUP_BYTES;
    }
#endif
    for (size_t i = 0; i < count; i++) {
        unsigned high = hex_digit(text[2 * i]);
        unsigned low = hex_digit(text[2 * i + 1]);
        worst |= high | low;
        bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    return is_hex && worst < 16;
}

#endif
