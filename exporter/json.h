/* SPDX-License-Identifier: MIT
 *
 * A streaming JSON writer: appends to one growing, bounded text. Strings may hold any byte; what
 * comes out is always valid JSON in valid UTF-8: control characters are escaped, invalid sequences
 * become U+FFFD. `<`, `>`, `&` and `/` stay as they are.
 *
 * Errors stick: once the bound or the memory is reached, `failure` says which and nothing more is
 * written, so callers check once, at the end. A caller that can do without its last piece goes back
 * to an earlier length with json_writer_cut. */
#ifndef TRACEZ_EXPORTER_JSON_H
#define TRACEZ_EXPORTER_JSON_H

#include <tracez/tracez.h>

#include <string.h>

enum json_failure { JSON_FAILURE_NONE = 0, JSON_FAILURE_BOUND, JSON_FAILURE_MEMORY };

struct json_writer {
    char *text; /* owned; not NUL-terminated */
    size_t bytes;
    size_t capacity;
    size_t bytes_max;
    enum json_failure failure;
};

void json_writer_init(struct json_writer *writer, size_t bytes_max);
void json_writer_deinit(struct json_writer *writer); /* also frees its memory between two uses */

/* Makes room for more bytes, or sets failure. */
bool json_writer_grow(struct json_writer *writer, size_t more);

static inline bool json_writer_reserve(struct json_writer *writer, size_t more)
{
    return writer->failure == JSON_FAILURE_NONE &&
           (more <= writer->capacity - writer->bytes || json_writer_grow(writer, more));
}

/* Forgets everything after the first bytes, a failure too. */
static inline void json_writer_cut(struct json_writer *writer, size_t bytes)
{
    writer->bytes = bytes;
    writer->failure = JSON_FAILURE_NONE;
}

/* Text that is JSON already; NULL where there is none of it. */
static inline void json_write_raw(struct json_writer *writer, const char *text, size_t bytes)
{
    if (bytes > 0 && json_writer_reserve(writer, bytes)) {
        memcpy(writer->text + writer->bytes, text, bytes);
        writer->bytes += bytes;
    }
}

#define JSON_WRITE(writer, literal) json_write_raw((writer), "" literal, sizeof(literal) - 1)

void json_write_string(struct json_writer *writer, struct tracez_text text); /* with its quotes */

/* Makes one string of the JSON that was written since the text had so many bytes. */
void json_quote(struct json_writer *writer, size_t from);

void json_write_hex(struct json_writer *writer, const uint8_t *bytes, size_t count); /* likewise */
void json_write_unsigned(struct json_writer *writer, uint64_t value);
void json_write_signed(struct json_writer *writer, int64_t value);

/* The shortest text that reads back as the same number, whatever the locale. Infinities and NaN,
 * which JSON does not have, become the strings that protobuf's JSON mapping uses. */
void json_write_double(struct json_writer *writer, double value);

#endif
