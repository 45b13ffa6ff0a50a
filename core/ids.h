/* SPDX-License-Identifier: MIT
 *
 * Trace and span ids. */
#ifndef TRACEZ_CORE_IDS_H
#define TRACEZ_CORE_IDS_H

#include <stdint.h>
#include <string.h>

/* Copy ids by words, as they are written: a copy of 16 bytes would have to wait until both words of
 * a new id have left the processor's store buffer. */
static inline void ids_copy_trace(uint8_t to[16], const uint8_t from[16])
{
    memcpy(to, from, 8);
    memcpy(to + 8, from + 8, 8);
}

static inline void ids_copy_span(uint8_t to[8], const uint8_t from[8])
{
    memcpy(to, from, 8);
}

/* Random, never all zero. Any thread; process_init first. A child span needs no trace id: NULL. */
void ids_make(uint8_t trace_id[16], uint8_t span_id[8]);

#endif
