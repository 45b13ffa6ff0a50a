/* SPDX-License-Identifier: MIT
 *
 * Compressing bodies; see gzip.h. Spans of one service are much alike and become a seventh or less,
 * so that the room for what comes out begins small and doubles. */
#include "gzip.h"

#include <stdlib.h>

#define LEVEL 1
#define WINDOW_BITS (15 + 16) /* the largest window, and gzip's header rather than zlib's */
#define MEMORY_LEVEL 8        /* zlib's default */
#define CAPACITY_MIN 4096
#define USUAL_SHARE 8

static bool begin(struct gzip *gzip)
{
    if (gzip->is_open) {
        return deflateReset(&gzip->stream) == Z_OK;
    }
    gzip->stream = (z_stream){0};
    gzip->is_open = deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                                 Z_DEFAULT_STRATEGY) == Z_OK;
    return gzip->is_open;
}

static bool reserve(struct gzip_body *body, size_t capacity)
{
    if (capacity <= body->capacity) {
        return true;
    }
    char *grown = realloc(body->text, capacity);
    if (grown != NULL) {
        body->text = grown;
        body->capacity = capacity;
    }
    return grown != NULL;
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool gzip_compress(struct gzip *gzip, struct tracez_text text, struct gzip_body *body)
{
    body->bytes = 0;
    if (!begin(gzip)) {
        return false;
    }
    z_stream *stream = &gzip->stream;
    size_t capacity_max = deflateBound(stream, text.bytes);
    size_t capacity = text.bytes / USUAL_SHARE + CAPACITY_MIN;
    size_t done = 0;
    int status;

    stream->next_in = (unsigned char *)(uintptr_t)text.text; /* zlib only reads it */
    stream->avail_in = (unsigned)text.bytes;
    do {
        if (!reserve(body, lesser(capacity, capacity_max))) {
            return false;
        }
        stream->next_out = (unsigned char *)body->text + done;
        stream->avail_out = (unsigned)(body->capacity - done);
        status = deflate(stream, Z_FINISH);
        done = body->capacity - stream->avail_out;
        capacity = body->capacity * 2;
    } while (status == Z_OK); /* there is more to come than there was room for */
    body->bytes = done;
    return status == Z_STREAM_END;
}

void gzip_deinit(struct gzip *gzip)
{
    if (gzip->is_open) {
        deflateEnd(&gzip->stream);
    }
    *gzip = (struct gzip){0};
}

void gzip_body_deinit(struct gzip_body *body)
{
    free(body->text);
    *body = (struct gzip_body){0};
}
