/* SPDX-License-Identifier: MIT
 *
 * Contexts within the core. */
#ifndef TRACEZ_CORE_CONTEXT_H
#define TRACEZ_CORE_CONTEXT_H

#include <tracez/tracez.h>

#include <string.h>

/* tracez_context_is_valid without a call: every start asks. */
static inline bool context_is_valid(const struct tracez_context *context)
{
    uint64_t trace_id[2];
    uint64_t span_id;

    if (context == NULL) {
        return false;
    }
    memcpy(trace_id, context->trace_id, sizeof(trace_id));
    memcpy(&span_id, context->span_id, sizeof(span_id));
    return (trace_id[0] | trace_id[1]) != 0 && span_id != 0;
}

#endif
