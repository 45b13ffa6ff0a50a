/* SPDX-License-Identifier: MIT
 *
 * Request headers that the configuration adds: which are allowed, and how libcurl wants them.
 * Values are secrets: no message ever quotes one. */
#ifndef TRACEZ_EXPORTER_HEADER_H
#define TRACEZ_EXPORTER_HEADER_H

#include <tracez/exporter.h>

#define HEADERS_MAX 32
#define HEADER_NAME_BYTES_MAX 256
#define HEADER_VALUE_BYTES_MAX 8192
#define HEADER_LINE_BYTES_MAX (HEADER_NAME_BYTES_MAX + HEADER_VALUE_BYTES_MAX + 3)

/* Errors: INVALID. */
enum tracez_result headers_check(const struct tracez_header *headers, size_t header_count,
                                 struct tracez_error *error);

/* The same as one text: "name=value,name=value", values percent-encoded. */
#define HEADER_LIST_BYTES_MAX 16384

struct header_list {
    size_t count;
    struct tracez_header headers[HEADERS_MAX];
    char text[HEADER_LIST_BYTES_MAX];
};

/* False: malformed, or too long. */
bool header_list_read(struct header_list *list, const char *text);

/* other_count: headers that there are besides. NULL is fine. Errors: INVALID, NO_MEMORY. */
enum tracez_result header_list_check(const char *text, size_t other_count,
                                     struct tracez_error *error);

/* A checked header as libcurl wants it, with a NUL. */
void header_format(const struct tracez_header *header, char line[HEADER_LINE_BYTES_MAX]);

#endif
