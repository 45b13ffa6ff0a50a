/* SPDX-License-Identifier: MIT
 *
 * Trace and span ids. */
#ifndef TRACEZ_CORE_IDS_H
#define TRACEZ_CORE_IDS_H

#include <stdint.h>

/* Random, never all zero. Any thread; process_init first. */
void ids_make_trace_id(uint8_t trace_id[16]);
void ids_make_span_id(uint8_t span_id[8]);

#endif
