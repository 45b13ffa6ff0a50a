/* SPDX-License-Identifier: MIT
 *
 * tracestate within the core: what the sampler reads from it. */
#ifndef TRACEZ_CORE_TRACESTATE_H
#define TRACEZ_CORE_TRACESTATE_H

#include <tracez/tracez.h>

/* The explicit randomness of the "ot" member (rv: and 14 hex digits), 56 bits. False when there is
 * none. */
bool tracestate_randomness(const char *text, size_t text_bytes, uint64_t *randomness);

#endif
