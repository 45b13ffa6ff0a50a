/* SPDX-License-Identifier: MIT
 *
 * The trace context as Zipkin's tracers send it (openzipkin/b3-propagation): one header, "b3", or
 * several, "X-B3-*". Strict like context.c: lower-case hex, nothing around it but blanks, and what
 * is malformed in one part is no context at all. Beyond W3C, a caller may leave the decision to us,
 * or send a decision and no ids.
 *
 * A parent's parent is looked at only to be valid; nothing of it is kept. */
#include "hex.h"
#include "text.h"

#define TRACE_ID_CHARACTERS 32
#define TRACE_ID_CHARACTERS_SHORT 16
#define SPAN_ID_CHARACTERS 16

/* ---- The parts ------------------------------------------------------------------------------- */

/* A trace id of 64 bits is one of 128 whose left half is zero. */
static bool parse_trace_id(struct tracez_context *context, struct tracez_text text)
{
    size_t bytes = text.bytes / 2;

    return (text.bytes == TRACE_ID_CHARACTERS || text.bytes == TRACE_ID_CHARACTERS_SHORT) &&
           hex_parse(context->trace_id + TRACEZ_TRACE_ID_BYTES - bytes, bytes, text.text);
}

static bool parse_span_id(uint8_t span_id[TRACEZ_SPAN_ID_BYTES], struct tracez_text text)
{
    return text.bytes == SPAN_ID_CHARACTERS && hex_parse(span_id, TRACEZ_SPAN_ID_BYTES, text.text);
}

/* "0", "1", or "d" for debug, which implies sampled. */
static bool parse_decision(struct tracez_context *context, struct tracez_text text)
{
    if (text_equals(text, "1")) {
        context->flags = TRACEZ_FLAG_SAMPLED;
    } else if (text_equals(text, "d")) {
        context->flags = TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG;
    } else if (text_equals(text, "0")) {
        context->flags = 0;
    } else {
        return false;
    }
    return true;
}

/* ---- One header ------------------------------------------------------------------------------ */

/* Takes the text up to the next dash off *rest. */
static struct tracez_text take_field(struct tracez_text *rest)
{
    const char *dash = rest->bytes == 0 ? NULL : memchr(rest->text, '-', rest->bytes);
    size_t bytes = dash == NULL ? rest->bytes : (size_t)(dash - rest->text);
    size_t taken = dash == NULL ? bytes : bytes + 1;
    struct tracez_text field = {rest->text, bytes};

    rest->text += taken;
    rest->bytes -= taken;
    return field;
}

static bool parse_single(struct tracez_context *context, struct tracez_text text)
{
    struct tracez_text rest = text;
    uint8_t ignored[TRACEZ_SPAN_ID_BYTES];

    if (parse_decision(context, text)) {
        return true;
    }
    /* A dash at the end would announce a field that is not there. */
    if (text.bytes == 0 || text.text[text.bytes - 1] == '-' ||
        !parse_trace_id(context, take_field(&rest)) ||
        !parse_span_id(context->span_id, take_field(&rest)) || !tracez_context_is_valid(context)) {
        return false;
    }
    if (rest.bytes == 0) {
        context->flags = TRACEZ_FLAG_UNDECIDED;
        return true;
    }
    return parse_decision(context, take_field(&rest)) &&
           (rest.bytes == 0 || parse_span_id(ignored, rest));
}

bool tracez_context_parse_b3(struct tracez_context *context, const char *text, size_t text_bytes)
{
    *context = (struct tracez_context){0};
    if (!parse_single(context, text_trim((struct tracez_text){text, text_bytes}))) {
        *context = (struct tracez_context){0};
        return false;
    }
    context->is_remote = true;
    return true;
}

/* ---- Several headers ------------------------------------------------------------------------- */

/* Older tracers say true and false. */
static bool parse_sampled(struct tracez_context *context, const struct tracez_b3_headers *headers)
{
    struct tracez_text sampled = text_trim(headers->sampled);

    if (text_equals(text_trim(headers->flags), "1")) {
        context->flags = TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG;
    } else if (sampled.bytes == 0) {
        context->flags = TRACEZ_FLAG_UNDECIDED;
    } else if (text_equals(sampled, "1") || text_equals(sampled, "true")) {
        context->flags = TRACEZ_FLAG_SAMPLED;
    } else if (text_equals(sampled, "0") || text_equals(sampled, "false")) {
        context->flags = 0;
    } else {
        return false;
    }
    return true;
}

static bool parse_multi(struct tracez_context *context, const struct tracez_b3_headers *headers)
{
    if (!parse_sampled(context, headers)) {
        return false;
    }
    if (headers->trace_id.bytes == 0 && headers->span_id.bytes == 0) {
        return context->flags != TRACEZ_FLAG_UNDECIDED;
    }
    return parse_trace_id(context, text_trim(headers->trace_id)) &&
           parse_span_id(context->span_id, text_trim(headers->span_id)) &&
           tracez_context_is_valid(context);
}

bool tracez_context_parse_b3_headers(struct tracez_context *context,
                                     const struct tracez_b3_headers *headers)
{
    *context = (struct tracez_context){0};
    if (!parse_multi(context, headers)) {
        *context = (struct tracez_context){0};
        return false;
    }
    context->is_remote = true;
    return true;
}
