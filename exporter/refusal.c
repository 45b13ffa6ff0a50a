/* SPDX-License-Identifier: MIT
 *
 * Refusals and what they quote. A configuration's values may hold anything, secrets included, and
 * the text ends up in logs and terminals. */
#include "refusal.h"

#include <stdio.h>
#include <string.h>

enum tracez_result refuse(struct tracez_error *error, enum tracez_result result, const char *format,
                          ...)
{
    va_list arguments;

    if (error != NULL) {
        error->result = result;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
    }
    return result;
}

/* The user and password before an "@" in a URL, or in what was meant to be one. */
static void find_userinfo(const char *text, const char **begin, const char **end)
{
    const char *scheme_end = strstr(text, "://");
    const char *authority = scheme_end != NULL ? scheme_end + 3 : text;
    size_t bytes = strcspn(authority, "/?#");

    *begin = *end = authority;
    for (size_t i = 0; i < bytes; i++) {
        if (authority[i] == '@') {
            *end = authority + i;
        }
    }
}

void quote(const char *text, char quoted[QUOTED_BYTES])
{
    const char *begin;
    const char *end;
    size_t count = 0;

    find_userinfo(text, &begin, &end);
    for (const char *at = text; *at != '\0' && count < QUOTED_BYTES - 1; at++) {
        if (begin != end && at >= begin && at < end) {
            if (at - begin < 3) {
                quoted[count++] = '*';
            }
            continue;
        }
        quoted[count++] = *at >= 0x20 && *at < 0x7f ? *at : '?';
    }
    quoted[count] = '\0';
}
