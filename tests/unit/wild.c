/* SPDX-License-Identifier: MIT
 *
 * Describing and making wild spans. Keys end in a number, so that no two of a list become the same
 * when they are cured; those that formats themselves have a meaning for are as likely. */
#include "wild.h"

#include "../stress/random.h"
#include "hostile.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

#define TEXT_BYTES_MAX 60
#define KEY_BYTES_MAX 12

#define ROWS(array) (sizeof(array) / sizeof((array)[0]))

static size_t below(struct wild *wild, size_t bound)
{
    return next_random(&wild->random) % bound;
}

static bool perhaps(struct wild *wild)
{
    return below(wild, 2) == 0;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* Room for so many bytes and a NUL. */
static char *room(struct wild *wild, size_t bytes)
{
    char *text = wild->texts + wild->texts_bytes;

    ck_assert_uint_lt(wild->texts_bytes + bytes + 1, sizeof(wild->texts));
    wild->texts_bytes += bytes + 1;
    text[bytes] = '\0';
    return text;
}

static struct tracez_text wild_text(struct wild *wild)
{
    size_t bytes = below(wild, 4) == 0 ? 0 : below(wild, TEXT_BYTES_MAX);
    char *text = room(wild, bytes);

    for (size_t i = 0; i < bytes; i++) {
        text[i] = (char)hostile_byte(next_random(&wild->random));
    }
    return (struct tracez_text){text, bytes};
}

/* The same with an end. */
static const char *wild_string(struct wild *wild)
{
    struct tracez_text text = wild_text(wild);
    char *string = wild->texts + (text.text - wild->texts);

    for (size_t i = 0; i < text.bytes; i++) {
        string[i] = string[i] == '\0' ? '\x01' : string[i];
    }
    return string;
}

static const char *wild_key(struct wild *wild, size_t index)
{
    char *key = room(wild, KEY_BYTES_MAX + 3);
    size_t bytes = below(wild, KEY_BYTES_MAX);

    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = hostile_byte(next_random(&wild->random));
        key[i] = (char)(byte == 0 ? 1 : byte);
    }
    snprintf(key + bytes, 4, "#%zu", index % 100);
    return key;
}

/* ---- Tags ------------------------------------------------------------------------------------ */

static int64_t wild_integer(struct wild *wild)
{
    static const int64_t edges[] = {0, -1, 1, INT64_MIN, INT64_MAX, 65535, 65536, 443};

    return perhaps(wild) ? edges[below(wild, ROWS(edges))] : (int64_t)next_random(&wild->random);
}

static double wild_double(struct wild *wild)
{
    const double edges[] = {0.0, -0.0,     1.0,       0.1,  -1e300, 5e-324,
                            NAN, INFINITY, -INFINITY, 1e15, 1e16,   123456789012345.0};
    uint64_t bits = next_random(&wild->random);
    double any;

    memcpy(&any, &bits, sizeof(any));
    return perhaps(wild) ? edges[below(wild, ROWS(edges))] : any;
}

static void set_strings(struct wild *wild, struct tracez_tag *tag)
{
    size_t count = below(wild, 4);
    size_t bytes = (count + 1) * sizeof(struct tracez_text);
    uintptr_t at = (uintptr_t)room(wild, bytes + _Alignof(struct tracez_text));
    struct tracez_text *items = (void *)((at + _Alignof(struct tracez_text)) &
                                         ~(uintptr_t)(_Alignof(struct tracez_text) - 1));

    for (size_t i = 0; i < count; i++) {
        items[i] = wild_text(wild);
    }
    tag->value.strings.items = items;
    tag->value.strings.count = count;
}

static void set_value(struct wild *wild, struct tracez_tag *tag)
{
    static const char *const words[] = {
        "false",     "true",  "192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7",
        "300.1.1.1", "1.2.3", "unix:"};

    tag->type = (enum tracez_tag_type)(TRACEZ_TAG_STRING + below(wild, 5));
    switch (tag->type) {
    case TRACEZ_TAG_INT:
        tag->value.integer = wild_integer(wild);
        break;
    case TRACEZ_TAG_DOUBLE:
        tag->value.real = wild_double(wild);
        break;
    case TRACEZ_TAG_BOOL:
        tag->value.boolean = perhaps(wild);
        break;
    case TRACEZ_TAG_STRINGS:
        set_strings(wild, tag);
        break;
    default:
        tag->value.string = wild_text(wild);
        if (perhaps(wild)) {
            const char *word = words[below(wild, ROWS(words))];
            tag->value.string = (struct tracez_text){word, strlen(word)};
        }
    }
}

/* Up to so many, with keys that differ. */
static size_t wild_tags(struct wild *wild, struct tracez_tag *tags, size_t max)
{
    static const char *const known[] = {
        "error",
        "otel.status_code",
        "otel.dropped_links_count",
        "span.kind",
        "service.name",
        "network.peer.address",
        "network.peer.port",
        "server.address",
        "server.port",
        "error.type",
        "peer.service",
        "http.route",
    };
    size_t count = below(wild, max + 1);
    size_t next_known = below(wild, ROWS(known));

    for (size_t i = 0; i < count; i++) {
        tags[i].key = wild_key(wild, i);
        if (perhaps(wild)) {
            tags[i].key = known[next_known++ % ROWS(known)];
        }
        set_value(wild, &tags[i]);
    }
    return count;
}

/* ---- Spans ----------------------------------------------------------------------------------- */

static uint64_t wild_time(struct wild *wild)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     999,
                                     1000,
                                     999999999,
                                     951782399999999999U, /* before a leap day */
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     1795000000000000000U};

    return perhaps(wild) ? edges[below(wild, ROWS(edges))] : next_random(&wild->random);
}

static struct tracez_context wild_context(struct wild *wild)
{
    struct tracez_context context = {.flags = TRACEZ_FLAG_SAMPLED, .is_remote = perhaps(wild)};

    fill_random(context.trace_id, sizeof(context.trace_id), next_random(&wild->random) | 1);
    fill_random(context.span_id, sizeof(context.span_id), next_random(&wild->random) | 1);
    if (perhaps(wild)) {
        context.tracestate = "vendor=a\"b\\c";
        context.tracestate_bytes = strlen(context.tracestate);
    }
    return context;
}

struct wild_span wild_span(struct wild *wild)
{
    struct wild_span span = {
        .kind = (enum tracez_span_kind)(TRACEZ_KIND_INTERNAL + below(wild, 5)),
        .name = wild_text(wild),
        .start_unix_ns = wild_time(wild),
        .duration_ns = wild_time(wild) % INT64_MAX, /* jansson reads no more */
        .status = (enum tracez_status)below(wild, 3),
        .message = perhaps(wild) ? wild_string(wild) : NULL,
        .resource = (uint32_t)below(wild, WILD_RESOURCES),
        .event_count = below(wild, WILD_EVENTS_MAX + 1),
        .link_count = below(wild, WILD_LINKS_MAX + 1),
        .tags_refused = (uint32_t)below(wild, 2) * 3,
        .events_refused = (uint32_t)below(wild, 2) * 5,
        .links_refused = (uint32_t)below(wild, 2) * 70000,
    };

    if (perhaps(wild)) {
        span.parent = wild_context(wild);
    }
    span.tag_count = wild_tags(wild, span.tags, WILD_TAGS_MAX);
    for (size_t i = 0; i < span.event_count; i++) {
        struct wild_event *event = &span.events[i];
        event->name = wild_string(wild);
        uint64_t unix_ns = wild_time(wild); /* a clock never shows less than at the start */
        event->unix_ns = unix_ns > span.start_unix_ns ? unix_ns : span.start_unix_ns;
        event->tag_count = wild_tags(wild, event->tags, WILD_NESTED_MAX);
    }
    for (size_t i = 0; i < span.link_count; i++) {
        struct wild_link *link = &span.links[i];
        link->target = wild_context(wild);
        link->tag_count = wild_tags(wild, link->tags, WILD_NESTED_MAX);
    }
    return span;
}

void wild_resource(struct wild *wild, struct wild_resource *resource)
{
    resource->resource = (struct tracez_resource){
        .service_name = perhaps(wild) ? wild_string(wild) : "Shop",
        .tags = resource->tags,
        .tag_count = wild_tags(wild, resource->tags, WILD_TAGS_MAX),
    };
}

void wild_span_make(struct wild_span *span, struct tracez_tracer *tracer, uint64_t *now_ns)
{
    const struct tracez_span_options options = {
        .kind = span->kind,
        .name = {"replaced", 8},
        .parent = &span->parent,
        .resource = span->resource,
    };

    *now_ns = span->start_unix_ns;
    struct tracez_span made = tracez_span_start_with(tracer, &options, &span->own);
    ck_assert(tracez_span_is_recording(made));
    tracez_span_set_name(made, span->name.text, span->name.bytes);
    for (size_t i = 0; i < span->tag_count; i++) {
        tracez_span_set_tag(made, &span->tags[i]);
    }
    for (size_t i = 0; i < span->event_count; i++) {
        const struct wild_event *event = &span->events[i];
        *now_ns = event->unix_ns;
        tracez_span_add_event(made, event->name, event->tags, event->tag_count);
    }
    for (size_t i = 0; i < span->link_count; i++) {
        const struct wild_link *link = &span->links[i];
        tracez_span_add_link(made, &link->target, link->tags, link->tag_count);
    }
    tracez_span_set_status(made, span->status, span->message);
    tracez_span_finish_after(made, span->duration_ns);
}
