/* SPDX-License-Identifier: MIT
 *
 * Writing JSON. Almost all text is plain ASCII, so strings are copied in runs: a scan of 16 bytes
 * at a time (SSE2), or 8 (any processor), finds the next byte that needs care, and only that one is
 * looked at by itself. Room for a whole string is made once, before its first byte. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define CAPACITY_MIN 1024
#define ESCAPED_BYTES_MAX 6 /* \u001f */

void json_writer_init(struct json_writer *writer, size_t bytes_max)
{
    *writer = (struct json_writer){.bytes_max = bytes_max};
}

void json_writer_deinit(struct json_writer *writer)
{
    free(writer->text);
    json_writer_init(writer, writer->bytes_max);
}

bool json_writer_grow(struct json_writer *writer, size_t more)
{
    size_t capacity = writer->capacity < CAPACITY_MIN ? CAPACITY_MIN : writer->capacity;

    if (more > writer->bytes_max - writer->bytes) {
        writer->failure = JSON_FAILURE_BOUND;
        return false;
    }
    while (capacity < writer->bytes + more) {
        capacity *= 2;
    }
    capacity = capacity > writer->bytes_max ? writer->bytes_max : capacity;
    char *text = realloc(writer->text, capacity);
    if (text == NULL) {
        writer->failure = JSON_FAILURE_MEMORY;
        return false;
    }
    writer->text = text;
    writer->capacity = capacity;
    return true;
}

/* ---- Strings --------------------------------------------------------------------------------- */

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

#define EACH_BYTE(value) ((value)*UINT64_C(0x0101010101010101))

/* Is none of these eight bytes a control character, a quote, a backslash or over 0x7f? A byte that
 * borrows from the next one is such a byte itself, so "none" is exact. */
static bool are_plain(uint64_t bytes)
{
    uint64_t quotes = bytes ^ EACH_BYTE('"');
    uint64_t backslashes = bytes ^ EACH_BYTE('\\');

    return ((bytes | (bytes - EACH_BYTE(0x20)) | (quotes - EACH_BYTE(1)) |
             (backslashes - EACH_BYTE(1))) &
            EACH_BYTE(0x80)) == 0;
}

/* How many bytes from here on can be copied as they are. */
static size_t plain_run(const unsigned char *at, size_t bytes)
{
    size_t run = 0;
    uint64_t eight;

#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');

    for (; run + 16 <= bytes; run += 16) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(at + run));
        /* Signed: bytes from 0x80 on are below the space, too. */
        __m128i care = _mm_or_si128(
            _mm_cmplt_epi8(chunk, space),
            _mm_or_si128(_mm_cmpeq_epi8(chunk, quote), _mm_cmpeq_epi8(chunk, backslash)));
        int mask = _mm_movemask_epi8(care);
        if (mask != 0) {
            return run + (size_t)__builtin_ctz((unsigned)mask);
        }
    }
#endif
    for (; run + sizeof(eight) <= bytes; run += sizeof(eight)) {
        memcpy(&eight, at + run, sizeof(eight));
        if (!are_plain(eight)) {
            break;
        }
    }
    /* Fewer than eight are left: the text's last eight, some of them once more. */
    if (bytes - run < sizeof(eight) && bytes >= sizeof(eight)) {
        memcpy(&eight, at + bytes - sizeof(eight), sizeof(eight));
        if (are_plain(eight)) {
            return bytes;
        }
    }
    while (run < bytes && is_plain(at[run])) {
        run++;
    }
    return run;
}

/* Without a call what is short, as nearly all texts are. */
static void copy(char *to, const char *from, size_t bytes)
{
    if (bytes > 64) {
        memcpy(to, from, bytes);
    } else if (bytes >= 16) {
        for (size_t at = 0; at < bytes - 16; at += 16) {
            memcpy(to + at, from + at, 16);
        }
        memcpy(to + bytes - 16, from + bytes - 16, 16);
    } else if (bytes >= 8) {
        memcpy(to, from, 8);
        memcpy(to + bytes - 8, from + bytes - 8, 8);
    } else {
        for (size_t at = 0; at < bytes; at++) {
            to[at] = from[at];
        }
    }
}

/* A lead byte's sequence: how long, and which second bytes are allowed (Unicode 15, table 3-7). */
struct lead {
    uint8_t bytes; /* 0: no lead byte */
    uint8_t second_min;
    uint8_t second_max;
};

static struct lead classify(unsigned char byte)
{
    if (byte >= 0xc2 && byte <= 0xdf) {
        return (struct lead){2, 0x80, 0xbf};
    }
    if (byte >= 0xe0 && byte <= 0xef) {
        return (struct lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        return (struct lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    }
    return (struct lead){0, 0, 0};
}

/* The bytes of the sequence at `at`: *is_valid, or its maximal invalid subpart (Unicode 15, section
 * 3.9), which becomes one U+FFFD. */
static size_t sequence_bytes(const unsigned char *at, size_t available, bool *is_valid)
{
    struct lead lead = classify(at[0]);
    size_t bytes = 1;

    *is_valid = false;
    if (lead.bytes == 0 || available < 2 || at[1] < lead.second_min || at[1] > lead.second_max) {
        return 1;
    }
    for (bytes = 2; bytes < lead.bytes; bytes++) {
        if (bytes >= available || (at[bytes] & 0xc0) != 0x80) {
            return bytes;
        }
    }
    *is_valid = true;
    return bytes;
}

static size_t escape(unsigned char byte, char text[ESCAPED_BYTES_MAX])
{
    static const char digits[] = "0123456789abcdef";

    text[0] = '\\';
    switch (byte) {
    case '"':
    case '\\':
        text[1] = (char)byte;
        return 2;
    case '\n':
        text[1] = 'n';
        return 2;
    case '\r':
        text[1] = 'r';
        return 2;
    case '\t':
        text[1] = 't';
        return 2;
    default:
        memcpy(text + 1, "u00", 3);
        text[4] = digits[byte >> 4];
        text[5] = digits[byte & 15];
        return 6;
    }
}

/* Writes what stands for the character at `at`, which is not plain; returns how many bytes of the
 * input that was. */
static size_t write_special(struct json_writer *writer, const unsigned char *at, size_t available)
{
    char escaped[ESCAPED_BYTES_MAX];
    bool is_valid;

    if (*at < 0x80) {
        json_write_raw(writer, escaped, escape(*at, escaped));
        return 1;
    }
    size_t bytes = sequence_bytes(at, available, &is_valid);
    if (is_valid) {
        json_write_raw(writer, (const char *)at, bytes);
    } else {
        JSON_WRITE(writer, "\xef\xbf\xbd"); /* U+FFFD */
    }
    return bytes;
}

/* Where nothing needs care, which is nearly always. */
static bool write_plain(struct json_writer *writer, struct tracez_text text)
{
    if (plain_run((const unsigned char *)text.text, text.bytes) < text.bytes ||
        !json_writer_reserve(writer, text.bytes + 2)) {
        return false;
    }
    char *at = writer->text + writer->bytes;
    at[0] = '"';
    copy(at + 1, text.text, text.bytes);
    at[text.bytes + 1] = '"';
    writer->bytes += text.bytes + 2;
    return true;
}

void json_write_string(struct json_writer *writer, struct tracez_text text)
{
    const unsigned char *at = (const unsigned char *)text.text;
    size_t left = text.bytes;

    if (write_plain(writer, text)) {
        return;
    }
    JSON_WRITE(writer, "\"");
    while (left > 0) {
        size_t run = plain_run(at, left);
        json_write_raw(writer, (const char *)at, run);
        at += run;
        left -= run;
        if (left > 0) {
            size_t bytes = write_special(writer, at, left);
            at += bytes;
            left -= bytes;
        }
    }
    JSON_WRITE(writer, "\"");
}

/* In place, from the end: JSON has no control characters, and its UTF-8 is good already. */
void json_quote(struct json_writer *writer, size_t from)
{
    size_t escapes = 0;

    for (size_t i = from; i < writer->bytes; i++) {
        escapes += writer->text[i] == '"' || writer->text[i] == '\\';
    }
    if (!json_writer_reserve(writer, escapes + 2)) {
        return;
    }
    char *to = writer->text + writer->bytes + escapes + 2;
    *--to = '"';
    for (size_t i = writer->bytes; i > from; i--) {
        char byte = writer->text[i - 1];
        *--to = byte;
        if (byte == '"' || byte == '\\') {
            *--to = '\\';
        }
    }
    *--to = '"';
    writer->bytes += escapes + 2;
}

void json_write_hex(struct json_writer *writer, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    if (!json_writer_reserve(writer, 2 * count + 2)) {
        return;
    }
    char *at = writer->text + writer->bytes;
    *at++ = '"';
    for (size_t i = 0; i < count; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    *at = '"';
    writer->bytes += 2 * count + 2;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

void json_write_unsigned(struct json_writer *writer, uint64_t value)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char text[20];
    char *at = text + sizeof(text);

    while (value >= 100) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, pairs + value * 2, 2);
    } else {
        *--at = (char)('0' + value);
    }
    json_write_raw(writer, at, (size_t)(text + sizeof(text) - at));
}

void json_write_signed(struct json_writer *writer, int64_t value)
{
    if (value < 0) {
        JSON_WRITE(writer, "-");
    }
    json_write_unsigned(writer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* printf writes the locale's decimal point, which may be several bytes; JSON's is one dot. */
static size_t use_dot(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if ((*from >= '0' && *from <= '9') || *from == '-' || *from == '+' || *from == 'e') {
            *to++ = *from;
        } else if (to > text && to[-1] != '.') {
            *to++ = '.';
        }
    }
    return (size_t)(to - text);
}

void json_write_double(struct json_writer *writer, double value)
{
    char text[40];

    if (isnan(value)) {
        JSON_WRITE(writer, "\"NaN\"");
        return;
    }
    if (isinf(value)) {
        JSON_WRITE(writer, "\"");
        json_write_raw(writer, "-", value < 0 ? 1 : 0);
        JSON_WRITE(writer, "Infinity\"");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    json_write_raw(writer, text, use_dot(text));
}
