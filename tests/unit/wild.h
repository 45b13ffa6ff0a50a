/* SPDX-License-Identifier: MIT
 *
 * Wild spans: everything that a program may put into a span, at random, from one seed, and as
 * hostile as it gets. They are described first and made of the description then, so that a test can
 * compare what comes out with what was put in. */
#ifndef TRACEZ_TESTS_WILD_H
#define TRACEZ_TESTS_WILD_H

#include <tracez/reader.h>

#define WILD_TAGS_MAX 10
#define WILD_EVENTS_MAX 3
#define WILD_LINKS_MAX 2
#define WILD_NESTED_MAX 2
#define WILD_RESOURCES 3

struct wild_event {
    const char *name;
    uint64_t unix_ns;
    struct tracez_tag tags[WILD_NESTED_MAX];
    size_t tag_count;
};

struct wild_link {
    struct tracez_context target;
    struct tracez_tag tags[WILD_NESTED_MAX];
    size_t tag_count;
};

struct wild_span {
    enum tracez_span_kind kind;
    struct tracez_text name;
    struct tracez_context parent; /* without ids: none */
    struct tracez_context own;    /* once it is made */
    uint64_t start_unix_ns;
    uint64_t duration_ns;
    enum tracez_status status;
    const char *message;
    uint32_t resource;
    struct tracez_tag tags[WILD_TAGS_MAX];
    size_t tag_count;
    struct wild_event events[WILD_EVENTS_MAX];
    size_t event_count;
    struct wild_link links[WILD_LINKS_MAX];
    size_t link_count;
    uint32_t tags_refused, events_refused, links_refused;
};

/* A seed's stream of randomness, and the memory of all texts that were made of it. */
struct wild {
    uint64_t random;
    char texts[1 << 18];
    size_t texts_bytes;
};

struct wild_resource {
    struct tracez_resource resource;
    struct tracez_tag tags[WILD_TAGS_MAX];
};

struct wild_span wild_span(struct wild *wild);
void wild_resource(struct wild *wild, struct wild_resource *resource);

/* Starts, fills and finishes a span as it is described; *now_ns is what the tracer's clock shows.
 * The counts of what was refused are not in it. */
void wild_span_make(struct wild_span *span, struct tracez_tracer *tracer, uint64_t *now_ns);

#endif
