/* SPDX-License-Identifier: MIT
 *
 * Saying no to a configuration: the one place where a struct tracez_error is filled in. */
#ifndef TRACEZ_EXPORTER_REFUSAL_H
#define TRACEZ_EXPORTER_REFUSAL_H

#include <tracez/tracez.h>

#define QUOTED_BYTES 81

/* Fills in error (optional) and returns result. */
enum tracez_result refuse(struct tracez_error *error, enum tracez_result result, const char *format,
                          ...) TRACEZ_PRINTF(3, 4);

/* A URL, or what was meant to be one, for a message: cut at 80 bytes, only printable ASCII, without
 * user, password and query. */
void quote(const char *text, char quoted[QUOTED_BYTES]);

#endif
