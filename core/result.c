/* SPDX-License-Identifier: MIT
 *
 * Results, drop reasons and the version as text: one table each, from the public lists. */
#include "result.h"

#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const result_texts[] = {
#define TEXT(name, text) text,
    TRACEZ_RESULTS(TEXT)
#undef TEXT
};

static const char *const drop_texts[] = {
#define TEXT(name, text) text,
    TRACEZ_DROPS(TEXT)
#undef TEXT
};

const char *tracez_version(void)
{
    return TRACEZ_VERSION;
}

const char *tracez_result_text(enum tracez_result result)
{
    return (size_t)result < COUNT_OF(result_texts) ? result_texts[result] : "unknown result";
}

const char *tracez_drop_text(enum tracez_drop reason)
{
    return (size_t)reason < COUNT_OF(drop_texts) ? drop_texts[reason] : "unknown";
}

TRACEZ_PRINTF(3, 0)
static void fill(struct tracez_error *error, enum tracez_result result, const char *format,
                 va_list arguments)
{
    if (error != NULL) {
        error->result = result;
        vsnprintf(error->text, sizeof(error->text), format, arguments);
    }
}

enum tracez_result fail(struct tracez_error *error, enum tracez_result result, const char *format,
                        ...)
{
    va_list arguments;

    va_start(arguments, format);
    fill(error, result, format, arguments);
    va_end(arguments);
    return result;
}

enum tracez_result tracez_error_fill(struct tracez_error *error, enum tracez_result result,
                                     const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fill(error, result, format, arguments);
    va_end(arguments);
    return result;
}
