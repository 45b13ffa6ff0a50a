/* SPDX-License-Identifier: MIT
 *
 * A trace as a tree for people: each span below its parent, siblings in the order in which they
 * started.
 *
 *   trace 4bf92f3577b34da6a3ce929d0e0e4736
 *   └─ shop  GET /checkout → 200  12.3 ms  SERVER
 *      │  url.scheme=http  client.address=127.0.0.1
 *      └─ shop  GET → 200  11.9 ms  CLIENT
 *
 * A span whose parent is not among them is a root (its parent may be somebody else's, or come
 * later). */
#ifndef RECEIVER_TREE_H
#define RECEIVER_TREE_H

#include <stdio.h>

#include "span.h"

struct tree_style {
    bool colours;   /* with terminal sequences */
    size_t columns; /* lines of tags are broken here, where a tag's length allows */
};

/* spans: all of one trace, at least one; put in order of their start. */
void tree_write(struct span **spans, size_t count, const struct tree_style *style, FILE *out);

#endif
