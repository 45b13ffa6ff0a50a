/* SPDX-License-Identifier: MIT
 *
 * The trace context as W3C Trace Context level 2 writes it: traceparent. Its companion is
 * tracestate.c.
 *
 * Parsing is strict where the standard is: version 00 is exactly 55 characters of lower-case hex; a
 * higher version is read by its first 55 characters; anything else is no context at all. */
#include "context.h"

#include "hex.h"
#include "text.h"

#define TRACEPARENT_CHARACTERS 55
#define TRACE_ID_AT 3
#define SPAN_ID_AT 36
#define FLAGS_AT 53

bool tracez_context_is_valid(const struct tracez_context *context)
{
    return context_is_valid(context);
}

static bool parse_fields(struct tracez_context *context, const char *text, size_t text_bytes)
{
    uint8_t version;

    if (text_bytes < TRACEPARENT_CHARACTERS || text[2] != '-' || text[SPAN_ID_AT - 1] != '-' ||
        text[FLAGS_AT - 1] != '-') {
        return false;
    }
    if (!hex_parse(&version, 1, text) || version == 0xff) {
        return false;
    }
    if (text_bytes > TRACEPARENT_CHARACTERS &&
        (version == 0 || text[TRACEPARENT_CHARACTERS] != '-')) {
        return false;
    }
    return hex_parse(context->trace_id, TRACEZ_TRACE_ID_BYTES, text + TRACE_ID_AT) &&
           hex_parse(context->span_id, TRACEZ_SPAN_ID_BYTES, text + SPAN_ID_AT) &&
           hex_parse(&context->flags, 1, text + FLAGS_AT) && tracez_context_is_valid(context);
}

bool tracez_context_parse_traceparent(struct tracez_context *context, const char *text,
                                      size_t text_bytes)
{
    struct tracez_text trimmed = text_trim((struct tracez_text){text, text_bytes});

    *context = (struct tracez_context){0};
    if (!parse_fields(context, trimmed.text, trimmed.bytes)) {
        *context = (struct tracez_context){0};
        return false;
    }
    context->flags &= TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM;
    context->is_remote = true;
    return true;
}

void tracez_context_format_traceparent(const struct tracez_context *context,
                                       char text[TRACEZ_TRACEPARENT_TEXT_BYTES])
{
    uint8_t flags = context->flags & (TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM);

    *text++ = '0';
    *text++ = '0';
    *text++ = '-';
    text = hex_format(text, context->trace_id, TRACEZ_TRACE_ID_BYTES);
    *text++ = '-';
    text = hex_format(text, context->span_id, TRACEZ_SPAN_ID_BYTES);
    *text++ = '-';
    text = hex_format(text, &flags, 1);
    *text = '\0';
}

void tracez_context_format_trace_id(const struct tracez_context *context, char text[33])
{
    *hex_format(text, context->trace_id, TRACEZ_TRACE_ID_BYTES) = '\0';
}

void tracez_context_format_span_id(const struct tracez_context *context, char text[17])
{
    *hex_format(text, context->span_id, TRACEZ_SPAN_ID_BYTES) = '\0';
}
