/* SPDX-License-Identifier: MIT
 *
 * Trace and span ids. */
#ifndef TRACEZ_CORE_IDS_H
#define TRACEZ_CORE_IDS_H

#include <stdint.h>

/* Random, never all zero. Any thread; process_init first. A child span needs no trace id: NULL. */
void ids_make(uint8_t trace_id[16], uint8_t span_id[8]);

#endif
