/* SPDX-License-Identifier: MIT
 *
 * Writing text of a bounded length. What does not fit is cut at a character, and nothing follows a
 * cut: what stands behind it must not close up to what stands before. */
#ifndef TRACEZ_CORE_OUTPUT_H
#define TRACEZ_CORE_OUTPUT_H

#include "text.h"

struct output {
    char *text; /* no NUL */
    size_t bytes;
    size_t bytes_max;
};

static inline void output_append(struct output *output, const char *text, size_t text_bytes)
{
    size_t bytes =
        text_cut_bytes((struct tracez_text){text, text_bytes}, output->bytes_max - output->bytes);

    if (bytes > 0) {
        memcpy(output->text + output->bytes, text, bytes);
        output->bytes += bytes;
    }
    if (bytes < text_bytes) {
        output->bytes_max = output->bytes;
    }
}

#endif
