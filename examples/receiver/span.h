/* SPDX-License-Identifier: MIT
 *
 * A span as the receiver keeps it: everything already text, everything of bounded size.
 *
 * Texts are valid UTF-8 but otherwise as hostile as whoever sent them: they may hold control
 * characters and NUL, so they carry their length, and only screen.h may put them on a terminal. */
#ifndef RECEIVER_SPAN_H
#define RECEIVER_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPAN_TAGS_MAX 256
#define SPAN_KEY_BYTES_MAX 256
#define SPAN_VALUE_BYTES_MAX 4096

/* As OTLP numbers them. */
enum { SPAN_KIND_SERVER = 2, SPAN_STATUS_ERROR = 2 };

struct text {
    const char *at; /* in a span: owned by it, NULL while not set */
    size_t bytes;
};

struct tag {
    struct text key;
    struct text value;
};

struct span {
    char trace_id[33]; /* lower-case hex with a NUL */
    char span_id[17];
    char parent_id[17]; /* "" for a root */
    int kind;           /* 0 to 5 */
    int status;         /* 0 unset, 1 ok, 2 error */
    uint64_t start_unix_ns;
    uint64_t end_unix_ns;
    struct text service;
    struct text name;
    struct text message; /* of the status */
    struct tag *tags;
    size_t tag_count;
    size_t tags_cut; /* that were more than SPAN_TAGS_MAX */
    size_t bytes;    /* all memory it takes */
};

/* Owned by the caller, freed by span_destroy; NULL without memory. */
struct span *span_create(void);
void span_destroy(struct span *span);

/* Copies into *text, cut at a UTF-8 boundary; the bytes are added to the span's. False without
 * memory. */
bool span_set_text(struct span *span, struct text *text, const char *from, size_t bytes,
                   size_t bytes_max);

/* Adds a tag; both texts are borrowed for the call. False without memory; beyond SPAN_TAGS_MAX it
 * is only counted. */
bool span_add_tag(struct span *span, struct text key, struct text value);

/* NULL when there is no such tag. */
const struct text *span_find_tag(const struct span *span, const char *key);

uint64_t span_duration_ns(const struct span *span);
const char *span_kind_text(int kind);

#endif
