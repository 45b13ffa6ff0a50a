/* SPDX-License-Identifier: MIT */
#include "body.h"

#include <string.h>

#include "budget.h"

#define FIRST_BYTES ((size_t)16 << 10) /* BODY_BYTES_MAX is this, doubled often enough */

static enum body_result reserve(struct body *body, size_t bytes)
{
    size_t capacity = body->capacity == 0 ? FIRST_BYTES : body->capacity;

    if (bytes > BODY_BYTES_MAX) {
        return BODY_TOO_LARGE;
    }
    if (bytes <= body->capacity) {
        return BODY_OK;
    }
    while (capacity < bytes) {
        capacity *= 2;
    }
    char *grown = budget_allocate(capacity);
    if (grown == NULL) {
        return BODY_NO_MEMORY;
    }
    if (body->bytes > 0) {
        memcpy(grown, body->text, body->bytes);
    }
    budget_free(body->text);
    body->text = grown;
    body->capacity = capacity;
    return BODY_OK;
}

enum body_result body_append(struct body *body, const char *from, size_t bytes)
{
    enum body_result result = reserve(body, body->bytes + bytes);

    if (result != BODY_OK) {
        body_clear(body);
        return result;
    }
    memcpy(body->text + body->bytes, from, bytes);
    body->bytes += bytes;
    return BODY_OK;
}

void body_clear(struct body *body)
{
    budget_free(body->text);
    *body = (struct body){NULL, 0, 0};
}
