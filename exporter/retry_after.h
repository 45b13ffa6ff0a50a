/* SPDX-License-Identifier: MIT
 *
 * The header by which a backend says how long it wants to be left alone (RFC 9110, 10.2.3). */
#ifndef TRACEZ_EXPORTER_RETRY_AFTER_H
#define TRACEZ_EXPORTER_RETRY_AFTER_H

#include <tracez/tracez.h>

#define RETRY_AFTER_NONE (-1)

/* Does this line of a response's head (with its end) say it? Then value is the rest of it. */
bool retry_after_find(struct tracez_text line, struct tracez_text *value);

/* Seconds from now on, from a number of them or from a date in one of HTTP's three forms; 0 where
 * that is past, INT64_MAX where it is beyond all measure, RETRY_AFTER_NONE where it makes no sense.
 */
int64_t retry_after_read(struct tracez_text value, int64_t now_unix_s);

#endif
