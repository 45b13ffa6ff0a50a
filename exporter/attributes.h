/* SPDX-License-Identifier: MIT
 *
 * OTLP's KeyValue list: how a span's, an event's, a link's and a resource's tags look on the wire.
 */
#ifndef TRACEZ_EXPORTER_ATTRIBUTES_H
#define TRACEZ_EXPORTER_ATTRIBUTES_H

#include "json.h"

#include <tracez/reader.h>

/* Writes the tags among these entries as a JSON array, with its brackets. */
void attributes_write(struct json_writer *writer, const unsigned char *entries,
                      size_t entries_bytes);

#endif
