/* SPDX-License-Identifier: MIT
 *
 * tracestate, W3C Trace Context level 2 section 3.3: a list of key=value members that is checked
 * when it comes in and handed on in its order, and in it OpenTelemetry's own member, "ot", with the
 * sampling threshold (th:) and explicit randomness (rv:) of consistent probability sampling.
 *
 * A list that breaks a rule anywhere is left out as a whole; it never harms the traceparent beside
 * it. */
#include "tracestate.h"

#include "hex.h"
#include "text.h"

#include <string.h>

#define MEMBERS_MAX 32
#define KEY_CHARACTERS_MAX 256
#define VALUE_CHARACTERS_MAX 256
#define LONG_MEMBER_CHARACTERS 128 /* longer ones are the first to go */
#define THRESHOLD_DIGITS 14        /* 56 bits */

/* Cuts the next part off rest, up to the separator or the end; false when nothing is left. */
static bool next_part(struct tracez_text *rest, char separator, struct tracez_text *part)
{
    if (rest->text == NULL) {
        return false;
    }
    const char *end = rest->bytes == 0 ? NULL : memchr(rest->text, separator, rest->bytes);
    if (end == NULL) {
        *part = text_trim(*rest);
        *rest = (struct tracez_text){NULL, 0};
        return true;
    }
    size_t bytes = (size_t)(end - rest->text);
    *part = text_trim((struct tracez_text){rest->text, bytes});
    *rest = (struct tracez_text){end + 1, rest->bytes - bytes - 1};
    return true;
}

static bool is_lower_or_digit(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9');
}

static bool is_key(const char *text, size_t bytes)
{
    if (bytes == 0 || bytes > KEY_CHARACTERS_MAX || !is_lower_or_digit(text[0])) {
        return false;
    }
    for (size_t i = 1; i < bytes; i++) {
        if (!is_lower_or_digit(text[i]) && (text[i] == '\0' || strchr("_-*/@", text[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool is_value(const char *text, size_t bytes)
{
    if (bytes == 0 || bytes > VALUE_CHARACTERS_MAX || text[bytes - 1] == ' ') {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < ' ' || text[i] > '~' || text[i] == ',' || text[i] == '=') {
            return false;
        }
    }
    return true;
}

static bool is_member(struct tracez_text member)
{
    const char *equals = memchr(member.text, '=', member.bytes);

    if (equals == NULL) {
        return false;
    }
    size_t key_bytes = (size_t)(equals - member.text);
    return is_key(member.text, key_bytes) && is_value(equals + 1, member.bytes - key_bytes - 1);
}

bool tracez_context_parse_tracestate(struct tracez_context *context, const char *text,
                                     size_t text_bytes)
{
    struct tracez_text rest = {text, text_bytes};
    struct tracez_text member;
    unsigned count = 0;

    context->tracestate = NULL;
    context->tracestate_bytes = 0;
    while (next_part(&rest, ',', &member)) {
        if (member.bytes == 0) {
            continue;
        }
        if (++count > MEMBERS_MAX || !is_member(member)) {
            return false;
        }
    }
    if (count > 0) {
        context->tracestate = text;
        context->tracestate_bytes = text_bytes;
    }
    return true;
}

static bool is_ot_member(struct tracez_text member)
{
    return member.bytes > 3 && memcmp(member.text, "ot=", 3) == 0;
}

static bool parse_randomness(struct tracez_text field, uint64_t *randomness)
{
    uint8_t bytes[THRESHOLD_DIGITS / 2];

    if (field.bytes != 3 + THRESHOLD_DIGITS || memcmp(field.text, "rv:", 3) != 0 ||
        !hex_parse(bytes, sizeof(bytes), field.text + 3)) {
        return false;
    }
    *randomness = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        *randomness = *randomness << 8 | bytes[i];
    }
    return true;
}

bool tracestate_randomness(const char *text, size_t text_bytes, uint64_t *randomness)
{
    struct tracez_text rest = {text, text_bytes};
    struct tracez_text member;
    struct tracez_text field;

    while (next_part(&rest, ',', &member)) {
        if (!is_ot_member(member)) {
            continue;
        }
        struct tracez_text fields = {member.text + 3, member.bytes - 3};
        while (next_part(&fields, ';', &field)) {
            if (parse_randomness(field, randomness)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- Formatting: a bounded text that grows by whole members ---------------------------------- */

struct output {
    char *text;
    size_t bytes;
    size_t bytes_max;
    unsigned members;
};

static bool append(struct output *output, const char *text, size_t bytes)
{
    size_t comma = output->bytes > 0;

    if (output->members >= MEMBERS_MAX || bytes + comma > output->bytes_max - output->bytes) {
        return false;
    }
    if (comma) {
        output->text[output->bytes++] = ',';
    }
    memcpy(output->text + output->bytes, text, bytes);
    output->bytes += bytes;
    output->members++;
    return true;
}

/* "ot=th:" and the threshold without its trailing zeros, then the other fields of the old member.
 */
static void append_ot_member(struct output *output, uint64_t threshold, struct tracez_text old)
{
    char text[LONG_MEMBER_CHARACTERS] = "ot=th:";
    size_t bytes = 6;
    uint8_t threshold_bytes[THRESHOLD_DIGITS / 2];
    struct tracez_text field;

    for (int i = 0; i < THRESHOLD_DIGITS / 2; i++) {
        threshold_bytes[i] = (uint8_t)(threshold >> (48 - 8 * i));
    }
    hex_format(text + bytes, threshold_bytes, sizeof(threshold_bytes));
    bytes += THRESHOLD_DIGITS;
    while (bytes > 7 && text[bytes - 1] == '0') {
        bytes--;
    }
    while (next_part(&old, ';', &field)) {
        bool is_threshold = field.bytes >= 3 && memcmp(field.text, "th:", 3) == 0;
        if (!is_threshold && field.bytes > 0 && bytes + 1 + field.bytes <= sizeof(text)) {
            text[bytes++] = ';';
            memcpy(text + bytes, field.text, field.bytes);
            bytes += field.bytes;
        }
    }
    append(output, text, bytes);
}

static struct tracez_text find_ot_value(struct tracez_text list)
{
    struct tracez_text member;

    while (next_part(&list, ',', &member)) {
        if (is_ot_member(member)) {
            return (struct tracez_text){member.text + 3, member.bytes - 3};
        }
    }
    return (struct tracez_text){NULL, 0};
}

/* Appends the list's members; false when one did not fit. */
static bool append_members(struct output *output, struct tracez_text list, bool skip_ot,
                           bool skip_long)
{
    struct tracez_text member;

    while (next_part(&list, ',', &member)) {
        if (member.bytes == 0 || (skip_ot && is_ot_member(member)) ||
            (skip_long && member.bytes > LONG_MEMBER_CHARACTERS)) {
            continue;
        }
        if (!append(output, member.text, member.bytes)) {
            return false;
        }
    }
    return true;
}

size_t tracez_context_format_tracestate(const struct tracez_context *context, char *text,
                                        size_t text_bytes)
{
    struct tracez_text list = {context->tracestate, context->tracestate_bytes};
    bool has_threshold = context->threshold != 0;

    if (text_bytes == 0) {
        return 0;
    }
    if (text_bytes > TRACEZ_TRACESTATE_TEXT_BYTES) {
        text_bytes = TRACEZ_TRACESTATE_TEXT_BYTES;
    }
    struct output output = {text, 0, text_bytes - 1, 0};
    if (has_threshold) {
        append_ot_member(&output, context->threshold, find_ot_value(list));
    }
    struct output after_ot = output;
    if (!append_members(&output, list, has_threshold, false)) {
        output = after_ot;
        append_members(&output, list, has_threshold, true);
    }
    text[output.bytes] = '\0';
    return output.bytes;
}
