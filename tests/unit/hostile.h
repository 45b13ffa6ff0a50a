/* SPDX-License-Identifier: MIT
 *
 * Text of any bytes, and the oracle for what becomes of it on the wire: a decoder of UTF-8 that is
 * written out case by case. */
#ifndef TRACEZ_TESTS_HOSTILE_H
#define TRACEZ_TESTS_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

/* Mostly from what is likely to hurt: quotes, controls, beginnings and ends of sequences. */
unsigned char hostile_byte(uint64_t random);

/* The text with U+FFFD in place of what is no UTF-8; at most three times as long. Returns its
 * length. */
size_t hostile_cure(const unsigned char *text, size_t bytes, char *cured);

#endif
