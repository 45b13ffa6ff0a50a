/* SPDX-License-Identifier: MIT
 *
 * Compressing bodies: gzip (RFC 1952) at zlib's quickest level, whose smaller siblings are not
 * worth their time in a process that has other things to do. */
#ifndef TRACEZ_EXPORTER_GZIP_H
#define TRACEZ_EXPORTER_GZIP_H

#include <tracez/tracez.h>

#include <zlib.h>

/* A compressor, used again and again; 256 KiB from its first use on. Zero is one. */
struct gzip {
    z_stream stream;
    bool is_open;
};

/* What came out; zero is empty, and its memory is kept from one use to the next. */
struct gzip_body {
    char *text; /* owned */
    size_t bytes;
    size_t capacity;
};

/* Never more than zlib's bound: the text's bytes and a two-thousandth. False: no memory, and body
 * is empty. */
bool gzip_compress(struct gzip *gzip, struct tracez_text text, struct gzip_body *body);

void gzip_deinit(struct gzip *gzip);
void gzip_body_deinit(struct gzip_body *body);

#endif
