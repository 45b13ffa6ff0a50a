/* SPDX-License-Identifier: MIT */
#include "span.h"

#include <stdlib.h>
#include <string.h>

struct span *span_create(void)
{
    struct span *span = calloc(1, sizeof(*span));

    if (span != NULL) {
        span->bytes = sizeof(*span);
    }
    return span;
}

static void free_text(struct text text)
{
    free((void *)text.at);
}

void span_destroy(struct span *span)
{
    if (span == NULL) {
        return;
    }
    for (size_t i = 0; i < span->tag_count; i++) {
        free_text(span->tags[i].key);
        free_text(span->tags[i].value);
    }
    free(span->tags);
    free_text(span->service);
    free_text(span->name);
    free_text(span->message);
    free(span);
}

/* The longest prefix within bytes_max that does not end inside a character. */
static size_t cut_at_character(const char *text, size_t bytes, size_t bytes_max)
{
    if (bytes <= bytes_max) {
        return bytes;
    }
    size_t end = bytes_max;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80) {
        end--;
    }
    return end;
}

bool span_set_text(struct span *span, struct text *text, const char *from, size_t bytes,
                   size_t bytes_max)
{
    size_t kept = cut_at_character(from, bytes, bytes_max);
    char *copy = malloc(kept + 1);

    if (copy == NULL) {
        return false;
    }
    memcpy(copy, from, kept);
    copy[kept] = '\0';
    free_text(*text);
    text->at = copy;
    text->bytes = kept;
    span->bytes += kept + 1;
    return true;
}

/* Room for one more tag; the array doubles. */
static bool reserve_tag(struct span *span)
{
    size_t count = span->tag_count;

    if (count != 0 && (count < 8 || (count & (count - 1)) != 0)) {
        return true; /* room is made at 0, 8, 16, 32, … */
    }
    size_t capacity = count == 0 ? 8 : 2 * count;
    struct tag *grown = realloc(span->tags, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    span->tags = grown;
    span->bytes += (capacity - count) * sizeof(*grown);
    return true;
}

bool span_add_tag(struct span *span, struct text key, struct text value)
{
    if (span->tag_count == SPAN_TAGS_MAX) {
        span->tags_cut++;
        return true;
    }
    if (!reserve_tag(span)) {
        return false;
    }
    struct tag *tag = &span->tags[span->tag_count++];
    *tag = (struct tag){{NULL, 0}, {NULL, 0}};
    return span_set_text(span, &tag->key, key.at, key.bytes, SPAN_KEY_BYTES_MAX) &&
           span_set_text(span, &tag->value, value.at, value.bytes, SPAN_VALUE_BYTES_MAX);
}

const struct text *span_find_tag(const struct span *span, const char *key)
{
    size_t bytes = strlen(key);

    for (size_t i = 0; i < span->tag_count; i++) {
        const struct tag *tag = &span->tags[i];
        if (tag->key.bytes == bytes && memcmp(tag->key.at, key, bytes) == 0) {
            return &tag->value;
        }
    }
    return NULL;
}

uint64_t span_duration_ns(const struct span *span)
{
    return span->end_unix_ns > span->start_unix_ns ? span->end_unix_ns - span->start_unix_ns : 0;
}

const char *span_kind_text(int kind)
{
    static const char *const names[] = {"UNSPECIFIED", "INTERNAL", "SERVER",
                                        "CLIENT",      "PRODUCER", "CONSUMER"};

    return kind >= 0 && kind <= 5 ? names[kind] : names[0];
}
