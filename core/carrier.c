/* SPDX-License-Identifier: MIT
 *
 * The headers of a request that carry a trace context: told apart by name as an adapter meets them,
 * then read together.
 *
 * Several tracestate lines are one list (W3C Trace Context level 2, section 3.3.1). Of every other
 * header two are as good as none, as nobody knows which one is meant. */
#include "text.h"

#include <tracez/http.h>

/* The order of struct tracez_carrier's members. */
enum carried {
    TRACEPARENT,
    TRACESTATE,
    B3,
    B3_TRACE_ID,
    B3_SPAN_ID,
    B3_SAMPLED,
    B3_FLAGS,
    CARRIED
};

_Static_assert(CARRIED == TRACEZ_CARRIER_HEADERS, "one place for each");

static enum carried find_b3(struct tracez_text name)
{
    static const struct {
        const char *lower;
        enum carried which;
    } headers[] = {
        {"x-b3-traceid", B3_TRACE_ID},
        {"x-b3-spanid", B3_SPAN_ID},
        {"x-b3-sampled", B3_SAMPLED},
        {"x-b3-flags", B3_FLAGS},
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (strlen(headers[i].lower) == name.bytes &&
            text_equals_lower(name.text, headers[i].lower, name.bytes)) {
            return headers[i].which;
        }
    }
    return CARRIED;
}

/* CARRIED for any other name: the length alone tells for most. */
static enum carried find(struct tracez_text name)
{
    switch (name.bytes) {
    case 2:
        return text_equals_lower(name.text, "b3", 2) ? B3 : CARRIED;
    case 10:
        return text_equals_lower(name.text, "tracestate", 10) ? TRACESTATE : find_b3(name);
    case 11:
        return text_equals_lower(name.text, "traceparent", 11) ? TRACEPARENT : find_b3(name);
    case 12:
        return find_b3(name);
    default:
        return CARRIED;
    }
}

/* Without room the whole list is left out: a part of it would be another list. */
static void join_state(struct tracez_carrier *carrier, struct tracez_text line)
{
    struct tracez_text *list = &carrier->headers[TRACESTATE];
    char *memory = carrier->state_memory;

    if (memory == NULL || list->bytes >= carrier->state_memory_bytes ||
        line.bytes >= carrier->state_memory_bytes - list->bytes) {
        *list = (struct tracez_text){NULL, 0};
        carrier->state_memory = NULL;
        return;
    }
    if (list->text != memory && list->bytes > 0) {
        memcpy(memory, list->text, list->bytes);
    }
    memory[list->bytes] = ',';
    memcpy(memory + list->bytes + 1, line.text, line.bytes);
    *list = (struct tracez_text){memory, list->bytes + 1 + line.bytes};
}

bool tracez_carrier_add(struct tracez_carrier *carrier, struct tracez_text name,
                        struct tracez_text value)
{
    enum carried which = find(name);

    if (which == CARRIED) {
        return false;
    }
    if (carrier->counts[which] == 0) {
        carrier->headers[which] = value;
    } else if (which == TRACESTATE) {
        join_state(carrier, value);
    }
    if (carrier->counts[which] < 2) {
        carrier->counts[which]++;
    }
    return true;
}

static bool extract_w3c(const struct tracez_carrier *carrier, struct tracez_context *context)
{
    struct tracez_text parent = carrier->headers[TRACEPARENT];
    struct tracez_text state = carrier->headers[TRACESTATE];

    if (carrier->counts[TRACEPARENT] != 1 ||
        !tracez_context_parse_traceparent(context, parent.text, parent.bytes)) {
        return false;
    }
    if (state.bytes > 0) {
        (void)tracez_context_parse_tracestate(context, state.text, state.bytes);
    }
    return true;
}

static bool extract_b3(const struct tracez_carrier *carrier, struct tracez_context *context)
{
    struct tracez_text single = carrier->headers[B3];
    const struct tracez_b3_headers several = {
        .trace_id = carrier->headers[B3_TRACE_ID],
        .span_id = carrier->headers[B3_SPAN_ID],
        .sampled = carrier->headers[B3_SAMPLED],
        .flags = carrier->headers[B3_FLAGS],
    };

    if (carrier->counts[B3] == 1 && tracez_context_parse_b3(context, single.text, single.bytes)) {
        return true;
    }
    for (enum carried which = B3_TRACE_ID; which <= B3_FLAGS; which++) {
        if (carrier->counts[which] > 1) {
            return false;
        }
    }
    return tracez_context_parse_b3_headers(context, &several);
}

bool tracez_carrier_extract(const struct tracez_carrier *carrier, unsigned formats,
                            struct tracez_context *context)
{
    if ((formats & TRACEZ_PROPAGATE_W3C) != 0 && extract_w3c(carrier, context)) {
        return true;
    }
    if ((formats & TRACEZ_PROPAGATE_B3) != 0 && extract_b3(carrier, context)) {
        return true;
    }
    *context = (struct tracez_context){0};
    return false;
}
