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

/* Adds what fits and can be shown. Returns the new length. */
static size_t append(char quoted[QUOTED_BYTES], size_t count, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && count < QUOTED_BYTES - 1; i++) {
        quoted[count++] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    }
    quoted[count] = '\0';
    return count;
}

void quote(const char *text, char quoted[QUOTED_BYTES])
{
    const char *scheme_end = strstr(text, "://");
    const char *userinfo = scheme_end != NULL ? scheme_end + 3 : text;
    /* Where a password was not percent-encoded it may hold anything, "/", "?" and "@" too. */
    const char *host = strrchr(userinfo, '@');
    size_t count = append(quoted, 0, text, (size_t)(userinfo - text));

    if (host != NULL) {
        count = append(quoted, count, "***", 3);
    }
    host = host != NULL ? host : userinfo;
    size_t open_bytes = strcspn(host, "?#");
    count = append(quoted, count, host, open_bytes);
    if (host[open_bytes] != '\0') {
        count = append(quoted, count, host + open_bytes, 1);
        append(quoted, count, "...", 3);
    }
}
