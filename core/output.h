/* SPDX-License-Identifier: MIT
 *
 * Writing text of a bounded length. What does not fit is cut at a character, and nothing follows a
 * cut: what stands behind it must not close up to what stands before. */
#ifndef TRACEZ_CORE_OUTPUT_H
#define TRACEZ_CORE_OUTPUT_H

#include <tracez/tracez.h>

#include <string.h>

struct output {
    char *text; /* no NUL */
    size_t bytes;
    size_t bytes_max;
};

static inline size_t output_cut_at_character(const char *text, size_t text_bytes, size_t max_bytes)
{
    size_t bytes = text_bytes;

    if (text_bytes > max_bytes) {
        bytes = max_bytes;
        while (bytes > 0 && max_bytes - bytes < 3 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    return bytes;
}

static inline void output_append(struct output *output, const char *text, size_t text_bytes)
{
    size_t bytes = output_cut_at_character(text, text_bytes, output->bytes_max - output->bytes);

    if (bytes > 0) {
        memcpy(output->text + output->bytes, text, bytes);
        output->bytes += bytes;
    }
    if (bytes < text_bytes) {
        output->bytes_max = output->bytes;
    }
}

#endif
