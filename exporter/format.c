/* SPDX-License-Identifier: MIT
 *
 * Formats by number and by name. */
#include "format.h"

#include "refusal.h"

#include <string.h>

static const struct format *const formats[] = {
    [TRACEZ_FORMAT_OTLP] = &otlp_format,
    [TRACEZ_FORMAT_ZIPKIN] = &zipkin_format,
    [TRACEZ_FORMAT_TRACEZ] = &plain_format,
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static const char *const names[FORMATS] = {
    [TRACEZ_FORMAT_OTLP] = "otlp",
    [TRACEZ_FORMAT_ZIPKIN] = "zipkin",
    [TRACEZ_FORMAT_TRACEZ] = "tracez",
};

const struct format *format_of(enum tracez_format format)
{
    return (unsigned)format < FORMATS ? formats[format] : NULL;
}

const char *tracez_format_name(enum tracez_format format)
{
    return (unsigned)format < FORMATS ? names[format] : NULL;
}

enum tracez_result tracez_format_parse(const char *name, enum tracez_format *format,
                                       struct tracez_error *error)
{
    char quoted[QUOTED_BYTES];

    for (unsigned i = 0; i < FORMATS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *format = (enum tracez_format)i;
            return TRACEZ_OK;
        }
    }
    quote(name, quoted);
    return refuse(error, TRACEZ_INVALID,
                  "format \"%s\" rejected: it must be otlp, zipkin or tracez", quoted);
}
