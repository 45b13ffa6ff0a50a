/* SPDX-License-Identifier: MIT
 *
 * The seam between batches and what they look like on the wire: a format is a row of this table,
 * and one file that writes a span (otlp.c, zipkin.c, plain.c). All of them are JSON. */
#ifndef TRACEZ_EXPORTER_FORMAT_H
#define TRACEZ_EXPORTER_FORMAT_H

#include "envelope.h"
#include "json.h"

#include <tracez/exporter.h>
#include <tracez/reader.h>

struct format {
    const char *endpoint; /* where none is given */
    const char *path;     /* of an endpoint without one */
    const char *opening;  /* of a body */
    const char *closing;
    bool is_grouped;   /* spans of one resource stand together, in its envelope */
    bool reads_answer; /* a 2xx may say that spans were refused: answer.h */

    /* Makes what stands around the spans of a resource, or in each of them. False: no memory; what
     * was made is freed by the caller. */
    bool (*build)(struct envelope *envelope, const struct tracez_collector *collector,
                  uint32_t resource);
    void (*write_span)(struct json_writer *json, const struct tracez_record *record,
                       const struct envelope *envelope);
};

/* NULL: there is no such format. */
const struct format *format_of(enum tracez_format format);

extern const struct format otlp_format;
extern const struct format zipkin_format;
extern const struct format plain_format;

#endif
