/* SPDX-License-Identifier: MIT
 *
 * Reading answers with jansson. The body is hostile: its depth is checked before the parser, which
 * recurses, sees it; numbers are read as reals, so that none is too big to be clamped. What says
 * something twice says nothing. */
#include "answer.h"

#include <jansson.h>
#include <string.h>

#define DEPTH_MAX 32
#define EXACT_MAX 9007199254740992.0 /* 2^53: beyond it all reals are whole numbers */

static bool is_too_deep(struct tracez_text body)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < body.bytes; i++) {
        char at = body.text[i];

        if (in_string) {
            i += at == '\\';
            in_string = at != '"';
        } else if (at == '"') {
            in_string = true;
        } else if (at == '{' || at == '[') {
            if (++depth > DEPTH_MAX) {
                return true;
            }
        } else if (at == '}' || at == ']') {
            depth -= depth > 0;
        }
    }
    return false;
}

/* A decimal string, as protobuf's JSON mapping writes 64-bit integers; clamped. */
static bool read_digits(const char *text, uint64_t max, uint64_t *count)
{
    bool is_negative = text[0] == '-';
    const char *digits = text + is_negative;

    *count = 0;
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return false;
    }
    for (; *digits != '\0' && *count <= max; digits++) {
        *count = *count * 10 + (uint64_t)(*digits - '0');
    }
    *count = is_negative ? 0 : *count > max ? max : *count;
    return true;
}

static bool is_whole(double real)
{
    return real >= EXACT_MAX || real <= -EXACT_MAX || (double)(int64_t)real == real;
}

static bool read_count(const json_t *value, uint64_t max, uint64_t *count)
{
    *count = 0;
    if (json_is_string(value)) {
        return read_digits(json_string_value(value), max, count);
    }
    if (json_is_real(value)) {
        double real = json_real_value(value);
        if (!is_whole(real)) {
            return false;
        }
        *count = real >= (double)max ? max : real > 0 ? (uint64_t)real : 0;
        return true;
    }
    return value == NULL || json_is_null(value);
}

struct answer answer_read(struct tracez_text body, bool is_cut, uint64_t batch_spans)
{
    struct answer answer = {.is_malformed = is_cut};

    if (is_cut || body.bytes == 0) {
        return answer;
    }
    const size_t flags = JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES;
    json_t *root = is_too_deep(body) ? NULL : json_loadb(body.text, body.bytes, flags, NULL);
    const json_t *partial = json_object_get(root, "partialSuccess");
    answer.is_malformed =
        !json_is_object(root) ||
        (partial != NULL && !json_is_object(partial) && !json_is_null(partial)) ||
        !read_count(json_object_get(partial, "rejectedSpans"), batch_spans, &answer.rejected_spans);
    json_decref(root);
    return answer;
}
