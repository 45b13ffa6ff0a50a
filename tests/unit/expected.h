/* SPDX-License-Identifier: MIT
 *
 * What each format must say of a wild span. Where its text of a real number, a list or an object is
 * to be a string, the tree has the thing itself. */
#ifndef TRACEZ_TESTS_EXPECTED_H
#define TRACEZ_TESTS_EXPECTED_H

#include "wild.h"

#include <jansson.h>

/* The caller owns what they return. */
json_t *expect_otlp(const struct wild_span *span, const struct wild_resource *resource);
json_t *expect_zipkin(const struct wild_span *span, const struct wild_resource *resource);
json_t *expect_plain(const struct wild_span *span, const struct wild_resource *resource);

/* Adds them to an OTLP list. */
void expect_otlp_attributes(json_t *list, const struct tracez_tag *tags, size_t count);

#endif
