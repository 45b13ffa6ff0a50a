/* SPDX-License-Identifier: MIT
 *
 * How set-up functions say why they failed. */
#ifndef TRACEZ_CORE_RESULT_H
#define TRACEZ_CORE_RESULT_H

#include <tracez/tracez.h>

/* Fills error (NULL is fine) and returns result, so that a check can end in `return fail(…)`. */
enum tracez_result fail(struct tracez_error *error, enum tracez_result result, const char *format,
                        ...) TRACEZ_PRINTF(3, 4);

#endif
