/* SPDX-License-Identifier: MIT
 *
 * The body of a request while it comes in. It grows with what has come, not with what was
 * announced, and takes its memory from the budget. */
#ifndef RECEIVER_BODY_H
#define RECEIVER_BODY_H

#include <stddef.h>

#define BODY_BYTES_MAX ((size_t)64 << 20)

enum body_result { BODY_OK, BODY_TOO_LARGE, BODY_NO_MEMORY };

struct body {
    char *text; /* not NUL-terminated; NULL while empty */
    size_t bytes;
    size_t capacity;
};

/* Anything but BODY_OK leaves an empty body. */
enum body_result body_append(struct body *body, const char *from, size_t bytes);

/* Makes it empty. */
void body_clear(struct body *body);

#endif
