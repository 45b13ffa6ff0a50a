/* SPDX-License-Identifier: MIT
 *
 * Text for a terminal, when whoever sent it is not to be trusted: control characters (C0, DEL, C1)
 * and the characters that reorder or hide text come out as visible escapes, never as themselves. */
#ifndef RECEIVER_SCREEN_H
#define RECEIVER_SCREEN_H

#include <stdio.h>

#include "span.h"

#define SCREEN_TEXT_BYTES_MAX 400 /* of one text; the rest is cut and said to be */

/* Writes the text, safely; returns how many columns that takes, a character being one. text->at may
 * be NULL. */
size_t screen_write(const struct text *text, FILE *out);

#endif
