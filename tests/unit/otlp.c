/* SPDX-License-Identifier: MIT
 *
 * Goal: a batch is exactly what OTLP/HTTP JSON asks for, key by key and value by value, within its
 * bound, whatever bytes the spans hold; and one poisoned span costs no other.
 * Method: real spans through a real tracer and collector; jansson parses the body, and each span
 * must equal an expected object as a whole, so that a missing, misspelt or additional key fails. */
#include "body.h"

#include "spans.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_BYTES_MAX (1024 * 1024)
#define START_NS UINT64_C(1795000000000000000)
#define SCHEMA "https://opentelemetry.io/schemas/1.44.0"

static const struct tracez_context remote_parent = {
    .trace_id = {0x5b, 0x8e, 0xff, 0xf7, [15] = 0x0c},
    .span_id = {0xee, 0xe1, [7] = 0x73},
    .flags = TRACEZ_FLAG_SAMPLED,
    .is_remote = true,
    .tracestate = "vendor=1",
    .tracestate_bytes = 8,
};

static uint64_t read_clock(void *state)
{
    return *(const uint64_t *)state;
}

/* Its clock stands still. */
static struct tracez_tracer *
create_at(const uint64_t *now_ns, const struct tracez_resource *resources, size_t resource_count)
{
    const struct tracez_collector_config collector = {.name = "default", .writers = 1};
    struct tracez_config config;

    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.resources = resources;
    config.resource_count = resource_count;
    config.clock = (struct tracez_clock){read_clock, read_clock, (void *)(uintptr_t)now_ns};
    return tracer_create(&config);
}

static struct tracez_tracer *create(void)
{
    static const uint64_t now_ns = START_NS;

    return create_at(&now_ns, NULL, 0);
}

/* ---- From spans to JSON -------------------------------------------------------------------- */

struct encoding {
    struct body body;
    struct envelopes envelopes;
    const struct tracez_collector *collector;
    enum body_add last;
};

static struct encoding encoding_begin(struct tracez_tracer *tracer, size_t bytes_max)
{
    struct encoding encoding = {.collector = first_collector(tracer)};

    body_init(&encoding.body, &otlp_format, bytes_max);
    return encoding;
}

static bool encode_one(const struct tracez_record *record, void *state)
{
    struct encoding *encoding = state;

    encoding->last = body_add(&encoding->body, &encoding->envelopes, encoding->collector, record);
    return encoding->last == BODY_ADDED;
}

/* Reads until the body is full or nothing is left; everything else stays unread. */
static void encode_all(struct encoding *encoding, struct tracez_tracer *tracer)
{
    struct tracez_collector *collector = first_collector(tracer);
    struct tracez_mark mark;

    ck_assert_int_eq(tracez_lane_lease(lane_of(collector)), TRACEZ_OK);
    tracez_lane_read(lane_of(collector), SIZE_MAX, encode_one, encoding, &mark);
    tracez_lane_release(lane_of(collector));
}

/* Finishes the body and reads it back. The caller owns what it gets. */
static json_t *encoding_end(struct encoding *encoding)
{
    json_error_t error;
    const struct json_writer *json = body_finish(&encoding->body);

    ck_assert_ptr_nonnull(json);
    ck_assert_uint_eq(json->bytes, encoding->body.bytes);
    ck_assert_uint_le(json->bytes, encoding->body.bytes_max);
    ck_assert_ptr_eq(body_finish(&encoding->body), json); /* once is enough */
    ck_assert_uint_eq(json->bytes, encoding->body.bytes);
    json_t *root =
        json_loadb(json->text, json->bytes, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(root != NULL, "%s at %d", error.text, error.position);
    body_deinit(&encoding->body);
    envelopes_deinit(&encoding->envelopes);
    return root;
}

static json_t *encode(struct tracez_tracer *tracer)
{
    struct encoding encoding = encoding_begin(tracer, BODY_BYTES_MAX);

    encode_all(&encoding, tracer);
    ck_assert_int_eq(encoding.last, BODY_ADDED);
    return encoding_end(&encoding);
}

static json_t *spans_of(const json_t *root, size_t resource)
{
    json_t *entry = json_array_get(json_object_get(root, "resourceSpans"), resource);

    return json_object_get(json_array_get(json_object_get(entry, "scopeSpans"), 0), "spans");
}

static void assert_json(const json_t *actual, const char *expected_text)
{
    json_error_t error;
    json_t *expected = json_loads(expected_text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    char *actual_text = json_dumps(actual, JSON_COMPACT | JSON_ENCODE_ANY);

    ck_assert_msg(expected != NULL, "%s: %s", expected_text, error.text);
    ck_assert_msg(json_equal(actual, expected), "%s\nexpected %s", actual_text, expected_text);
    free(actual_text);
    json_decref(expected);
}

static struct tracez_span start(struct tracez_tracer *tracer, enum tracez_span_kind kind,
                                const struct tracez_context *parent, struct tracez_context *own)
{
    return tracez_span_start(tracer, kind, "name", parent, own);
}

/* What every span of start has, with its ids; then more. */
static void assert_span(const json_t *span, const struct tracez_context *own, const char *ids,
                        int kind, const char *more)
{
    char trace_id[33];
    char span_id[17];
    static char expected[8192];

    tracez_context_format_trace_id(own, trace_id);
    tracez_context_format_span_id(own, span_id);
    snprintf(expected, sizeof(expected),
             "{\"traceId\":\"%s\",\"spanId\":\"%s\",%s,\"name\":\"name\",\"kind\":%d,"
             "\"startTimeUnixNano\":\"1795000000000000000\","
             "\"endTimeUnixNano\":\"1795000000001000000\"%s}",
             trace_id, span_id, ids, kind, more);
    assert_json(span, expected);
}

/* Ends the only span of a tracer, checks its JSON, and frees the tracer. */
static void finish_and_assert(struct tracez_tracer *tracer, struct tracez_span span,
                              const struct tracez_context *own, const char *more)
{
    tracez_span_finish_after(span, 1000000);
    json_t *root = encode(tracer);

    ck_assert_uint_eq(json_array_size(spans_of(root, 0)), 1);
    assert_span(json_array_get(spans_of(root, 0), 0), own, "\"flags\":259", 1, more);
    json_decref(root);
    tracez_tracer_destroy(tracer);
}

/* ---- Bounds -------------------------------------------------------------------------------- */

START_TEST(a_body_is_never_longer_than_its_bound_and_what_is_in_it_is_whole)
{
    struct tracez_tracer *tracer = create();
    uint32_t spans_before = 0;
    for (int i = 0; i < 20; i++) {
        struct tracez_span span = start(tracer, TRACEZ_KIND_SERVER, &remote_parent, NULL);
        tracez_span_set_string(span, "key", "a \"quoted\" value");
        tracez_span_finish(span);
    }

    for (size_t bound = 200; bound < 3000; bound++) {
        struct encoding encoding = encoding_begin(tracer, bound);
        encode_all(&encoding, tracer);
        uint32_t spans = encoding.body.spans;
        if (spans != spans_before) { /* a bound at which one more fits: look at it closely */
            ck_assert_uint_eq(spans, spans_before + 1);
            ck_assert_int_eq(encoding.last, BODY_FULL);
            ck_assert_uint_eq(encoding.body.bytes, bound);
            json_t *root = encoding_end(&encoding);
            ck_assert_uint_eq(json_array_size(spans_of(root, 0)), spans);
            json_decref(root);
        } else {
            body_deinit(&encoding.body);
            envelopes_deinit(&encoding.envelopes);
        }
        spans_before = spans;
    }

    ck_assert_uint_gt(spans_before, 5);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* Takes a record for one of other resources. */
static bool encode_for_65_resources(const struct tracez_record *record, void *state)
{
    struct encoding *encoding = state;
    struct tracez_record other = *record;

    for (uint32_t i = 0; i < BODY_SEGMENTS_MAX + 1; i++) {
        other.resource = i * 1000; /* none of them known, but the first */
        encoding->last =
            body_add(&encoding->body, &encoding->envelopes, encoding->collector, &other);
        ck_assert_int_eq(encoding->last, i < BODY_SEGMENTS_MAX ? BODY_ADDED : BODY_FULL);
    }
    other.resource = 5000;
    encoding->last = body_add(&encoding->body, &encoding->envelopes, encoding->collector, &other);
    return true;
}

START_TEST(the_65th_resource_waits_for_the_next_body_and_known_ones_do_not)
{
    struct tracez_tracer *tracer = create();
    struct encoding encoding = encoding_begin(tracer, BODY_BYTES_MAX);
    struct tracez_mark mark;
    span_pass(tracer, "name");

    ck_assert_int_eq(tracez_lane_lease(lane_of(first_collector(tracer))), TRACEZ_OK);
    tracez_lane_read(lane_of(first_collector(tracer)), 1, encode_for_65_resources, &encoding,
                     &mark);
    tracez_lane_release(lane_of(first_collector(tracer)));

    ck_assert_int_eq(encoding.last, BODY_ADDED);
    ck_assert_uint_eq(encoding.body.spans, BODY_SEGMENTS_MAX + 1);
    json_t *root = encoding_end(&encoding);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "resourceSpans")), BODY_SEGMENTS_MAX);
    ck_assert_uint_eq(json_array_size(spans_of(root, 0)), 1);
    ck_assert_uint_eq(json_array_size(spans_of(root, 5)), 2);
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_body_that_was_cleared_begins_anew)
{
    struct tracez_tracer *tracer = create();
    struct encoding encoding = encoding_begin(tracer, BODY_BYTES_MAX);
    spans_pass(tracer, 5);
    encode_all(&encoding, tracer);
    ck_assert_ptr_nonnull(body_finish(&encoding.body));

    body_clear(&encoding.body);
    encode_all(&encoding, tracer);

    json_t *root = encoding_end(&encoding);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "resourceSpans")), 1);
    ck_assert_uint_eq(json_array_size(spans_of(root, 0)), 5);
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Poison -------------------------------------------------------------------------------- */

#define POISON "\xff\xc0\"\\\x01\xed\xa0\x80"
#define CURED "\\ufffd\\ufffd\\\"\\\\\\u0001\\ufffd\\ufffd\\ufffd"

START_TEST(poison_in_every_text_of_a_span_is_cured_and_costs_no_other_span)
{
    struct tracez_tracer *tracer = create();
    const struct tracez_text items[] = {{POISON, 8}, {"\0", 1}};
    const struct tracez_tag tag = {
        .key = POISON, .type = TRACEZ_TAG_STRING, .value.string = {POISON, 8}};
    const struct tracez_tag strings = {
        .key = "strings", .type = TRACEZ_TAG_STRINGS, .value.strings = {items, 2}};
    struct tracez_context own;
    struct tracez_context own_sane;

    struct tracez_span span = start(tracer, TRACEZ_KIND_INTERNAL, NULL, &own);
    tracez_span_set_tag(span, &tag);
    tracez_span_set_tag(span, &strings);
    tracez_span_add_event(span, POISON, &tag, 1);
    tracez_span_set_status(span, TRACEZ_STATUS_ERROR, POISON);
    tracez_span_set_name(span, POISON, 8);
    tracez_span_finish(span);
    tracez_span_finish_after(start(tracer, TRACEZ_KIND_INTERNAL, NULL, &own_sane), 1000000);
    json_t *root = encode(tracer);

    json_t *poisoned = json_array_get(spans_of(root, 0), 0);
    static const char cured_tag[] =
        "{\"key\":\"" CURED "\",\"value\":{\"stringValue\":\"" CURED "\"}}";
    char tags[512];
    snprintf(tags, sizeof(tags),
             "[%s,{\"key\":\"strings\",\"value\":{\"arrayValue\":{\"values\":["
             "{\"stringValue\":\"" CURED "\"},{\"stringValue\":\"\\u0000\"}]}}}]",
             cured_tag);
    assert_json(json_object_get(poisoned, "attributes"), tags);
    json_t *event = json_array_get(json_object_get(poisoned, "events"), 0);
    ck_assert(json_equal(json_object_get(event, "name"), json_object_get(poisoned, "name")));
    snprintf(tags, sizeof(tags), "[%s]", cured_tag);
    assert_json(json_object_get(event, "attributes"), tags);
    assert_json(json_object_get(poisoned, "status"), "{\"code\":2,\"message\":\"" CURED "\"}");
    assert_span(json_array_get(spans_of(root, 0), 1), &own_sane, "\"flags\":259", 1, "");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(poison_in_a_resource_is_cured)
{
    const struct tracez_tag tag = {
        .key = POISON, .type = TRACEZ_TAG_STRING, .value.string = {"\0" POISON, 9}};
    const struct tracez_resource resource = {.service_name = POISON, .tags = &tag, .tag_count = 1};
    static const uint64_t now_ns = START_NS;
    struct tracez_tracer *tracer = create_at(&now_ns, &resource, 1);
    span_pass(tracer, "name");

    json_t *root = encode(tracer);

    json_t *entry = json_array_get(json_object_get(root, "resourceSpans"), 0);
    assert_json(json_object_get(entry, "resource"),
                "{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"" CURED
                "\"}},{\"key\":\"" CURED "\",\"value\":{\"stringValue\":\"\\u0000" CURED "\"}}]}");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Fields -------------------------------------------------------------------------------- */

START_TEST(a_root_has_no_parent_and_a_bare_span_nothing_that_is_unset)
{
    struct tracez_tracer *tracer = create();
    struct tracez_context own;
    struct tracez_span span = start(tracer, TRACEZ_KIND_INTERNAL, NULL, &own);

    finish_and_assert(tracer, span, &own, "");
}
END_TEST

START_TEST(a_child_of_a_remote_parent_has_its_id_its_tracestate_and_flags_769)
{
    struct tracez_tracer *tracer = create();
    struct tracez_context own;

    tracez_span_finish_after(start(tracer, TRACEZ_KIND_SERVER, &remote_parent, &own), 1000000);
    json_t *root = encode(tracer);

    ck_assert_mem_eq(own.trace_id, remote_parent.trace_id, TRACEZ_TRACE_ID_BYTES);
    assert_span(json_array_get(spans_of(root, 0), 0), &own,
                "\"traceState\":\"vendor=1\",\"parentSpanId\":\"eee1000000000073\",\"flags\":769",
                2, "");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_child_of_a_local_parent_has_flags_257)
{
    struct tracez_tracer *tracer = create();
    struct tracez_context local = remote_parent;
    struct tracez_context own;
    local.is_remote = false;
    local.tracestate_bytes = 0;

    tracez_span_finish_after(start(tracer, TRACEZ_KIND_CLIENT, &local, &own), 1000000);
    json_t *root = encode(tracer);

    assert_span(json_array_get(spans_of(root, 0), 0), &own,
                "\"parentSpanId\":\"eee1000000000073\",\"flags\":257", 3, "");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(kinds_are_otlps_numbers)
{
    struct tracez_tracer *tracer = create();
    for (int kind = TRACEZ_KIND_INTERNAL; kind <= TRACEZ_KIND_CONSUMER; kind++) {
        tracez_span_finish(start(tracer, (enum tracez_span_kind)kind, NULL, NULL));
    }

    json_t *root = encode(tracer);

    for (size_t i = 0; i < 5; i++) {
        json_t *span = json_array_get(spans_of(root, 0), i);
        ck_assert_int_eq(json_integer_value(json_object_get(span, "kind")), (json_int_t)i + 1);
    }
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_tag_of_each_type_looks_as_protobufs_json_wants_it)
{
    struct tracez_tracer *tracer = create();
    const struct tracez_text items[] = {{"one", 3}, {"", 0}, {"three", 5}};
    const struct tracez_tag strings = {
        .key = "strings", .type = TRACEZ_TAG_STRINGS, .value.strings = {items, 3}};
    const struct tracez_tag none = {.key = "none", .type = TRACEZ_TAG_STRINGS};
    struct tracez_context own;
    struct tracez_span span = start(tracer, TRACEZ_KIND_INTERNAL, NULL, &own);

    tracez_span_set_string(span, "string", "<a href=\"/\">&amp;</a>");
    tracez_span_set_string(span, "empty", "");
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/users/1");
    tracez_span_set_int(span, TRACEZ_KEY(HTTP_RESPONSE_STATUS_CODE), 503);
    tracez_span_set_int(span, "lowest", INT64_MIN);
    tracez_span_set_double(span, "double", 0.1);
    tracez_span_set_double(span, "nan", (double)NAN);
    tracez_span_set_double(span, "minus", -(double)INFINITY);
    tracez_span_set_bool(span, "yes", true);
    tracez_span_set_bool(span, "no", false);
    tracez_span_set_tag(span, &strings);
    tracez_span_set_tag(span, &none);

    finish_and_assert(
        tracer, span, &own,
        ",\"attributes\":["
        "{\"key\":\"string\",\"value\":{\"stringValue\":\"<a href=\\\"/\\\">&amp;</a>\"}},"
        "{\"key\":\"empty\",\"value\":{\"stringValue\":\"\"}},"
        "{\"key\":\"url.path\",\"value\":{\"stringValue\":\"/users/1\"}},"
        "{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"503\"}},"
        "{\"key\":\"lowest\",\"value\":{\"intValue\":\"-9223372036854775808\"}},"
        "{\"key\":\"double\",\"value\":{\"doubleValue\":0.1}},"
        "{\"key\":\"nan\",\"value\":{\"doubleValue\":\"NaN\"}},"
        "{\"key\":\"minus\",\"value\":{\"doubleValue\":\"-Infinity\"}},"
        "{\"key\":\"yes\",\"value\":{\"boolValue\":true}},"
        "{\"key\":\"no\",\"value\":{\"boolValue\":false}},"
        "{\"key\":\"strings\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"one\"},"
        "{\"stringValue\":\"\"},{\"stringValue\":\"three\"}]}}},"
        "{\"key\":\"none\",\"value\":{\"arrayValue\":{\"values\":[]}}}]");
}
END_TEST

START_TEST(events_and_links_have_their_tags_and_nothing_that_is_empty)
{
    struct tracez_tracer *tracer = create();
    const struct tracez_tag tag = {.key = "n", .type = TRACEZ_TAG_INT, .value.integer = 7};
    struct tracez_context own;
    struct tracez_span span = start(tracer, TRACEZ_KIND_INTERNAL, NULL, &own);

    tracez_span_add_event(span, "bare", NULL, 0);
    tracez_span_add_event(span, "tagged", &tag, 1);
    tracez_span_add_link(span, &remote_parent, NULL, 0);
    tracez_span_add_link(span, &remote_parent, &tag, 1);

    finish_and_assert(
        tracer, span, &own,
        ",\"events\":[{\"timeUnixNano\":\"1795000000000000000\",\"name\":\"bare\"},"
        "{\"timeUnixNano\":\"1795000000000000000\",\"name\":\"tagged\",\"attributes\":["
        "{\"key\":\"n\",\"value\":{\"intValue\":\"7\"}}]}],"
        "\"links\":[{\"traceId\":\"5b8efff700000000000000000000000c\","
        "\"spanId\":\"eee1000000000073\",\"flags\":1},"
        "{\"traceId\":\"5b8efff700000000000000000000000c\",\"spanId\":\"eee1000000000073\","
        "\"attributes\":[{\"key\":\"n\",\"value\":{\"intValue\":\"7\"}}],\"flags\":1}]");
}
END_TEST

START_TEST(what_was_refused_is_told_in_three_counts)
{
    struct tracez_tracer *tracer = create();
    struct tracez_span span = start(tracer, TRACEZ_KIND_INTERNAL, NULL, NULL);
    char key[16];
    for (int i = 0; i < TRACEZ_TAGS_MAX + 3; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        tracez_span_set_int(span, key, i);
    }
    for (int i = 0; i < TRACEZ_EVENTS_MAX + 2; i++) {
        tracez_span_add_event(span, "event", NULL, 0);
    }
    for (int i = 0; i < TRACEZ_LINKS_MAX + 1; i++) {
        tracez_span_add_link(span, &remote_parent, NULL, 0);
    }
    tracez_span_finish(span);

    json_t *root = encode(tracer);

    json_t *json = json_array_get(spans_of(root, 0), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "attributes")), TRACEZ_TAGS_MAX);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "events")), TRACEZ_EVENTS_MAX);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "links")), TRACEZ_LINKS_MAX);
    assert_json(json_object_get(json, "droppedAttributesCount"), "3");
    assert_json(json_object_get(json, "droppedEventsCount"), "2");
    assert_json(json_object_get(json, "droppedLinksCount"), "1");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

static const struct status_case {
    enum tracez_status status;
    const char *message;
    const char *more;
} status_cases[] = {
    {TRACEZ_STATUS_UNSET, NULL, ""},
    {TRACEZ_STATUS_UNSET, "ignored", ""},
    {TRACEZ_STATUS_OK, "ignored", ",\"status\":{\"code\":1}"},
    {TRACEZ_STATUS_ERROR, NULL, ",\"status\":{\"code\":2}"},
    {TRACEZ_STATUS_ERROR, "", ",\"status\":{\"code\":2}"},
    {TRACEZ_STATUS_ERROR, "why", ",\"status\":{\"code\":2,\"message\":\"why\"}"},
};

START_TEST(status_is_omitted_when_unset_and_has_a_message_only_with_an_error)
{
    struct tracez_tracer *tracer = create();
    struct tracez_context own;
    struct tracez_span span = start(tracer, TRACEZ_KIND_INTERNAL, NULL, &own);

    tracez_span_set_status(span, status_cases[_i].status, status_cases[_i].message);

    finish_and_assert(tracer, span, &own, status_cases[_i].more);
}
END_TEST

START_TEST(a_span_that_would_end_after_time_itself_ends_with_it)
{
    static const uint64_t now_ns = UINT64_MAX - 5;
    struct tracez_tracer *tracer = create_at(&now_ns, NULL, 0);

    tracez_span_finish_after(start(tracer, TRACEZ_KIND_SERVER, NULL, NULL), 10);
    json_t *root = encode(tracer);

    json_t *span = json_array_get(spans_of(root, 0), 0);
    assert_json(json_object_get(span, "startTimeUnixNano"), "\"18446744073709551610\"");
    assert_json(json_object_get(span, "endTimeUnixNano"), "\"18446744073709551615\"");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Resources ----------------------------------------------------------------------------- */

static void pass_for(struct tracez_tracer *tracer, uint32_t resource, const char *name)
{
    const struct tracez_span_options options = {.name = {name, strlen(name)}, .resource = resource};

    tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
}

START_TEST(spans_of_one_resource_stand_together_in_its_envelope)
{
    const struct tracez_tag tags[] = {
        {.key = TRACEZ_KEY(SERVICE_VERSION), .type = TRACEZ_TAG_STRING, .value.string = {"2", 1}},
        {.key = "shard", .type = TRACEZ_TAG_INT, .value.integer = 12345678901234567}};
    const struct tracez_resource resources[] = {
        {.service_name = "shop", .tags = tags, .tag_count = 2}, {.service_name = "cart"}};
    static const uint64_t now_ns = START_NS;
    struct tracez_tracer *tracer = create_at(&now_ns, resources, 2);
    pass_for(tracer, 0, "a");
    pass_for(tracer, 1, "b");
    pass_for(tracer, 0, "c");

    json_t *root = encode(tracer);

    json_t *entries = json_object_get(root, "resourceSpans");
    ck_assert_uint_eq(json_object_size(root), 1);
    ck_assert_uint_eq(json_array_size(entries), 2);
    ck_assert_uint_eq(json_array_size(spans_of(root, 0)), 2);
    ck_assert_uint_eq(json_array_size(spans_of(root, 1)), 1);
    json_array_clear(spans_of(root, 0));
    json_array_clear(spans_of(root, 1));
    assert_json(json_array_get(entries, 0),
                "{\"resource\":{\"attributes\":["
                "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}},"
                "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"2\"}},"
                "{\"key\":\"shard\",\"value\":{\"intValue\":\"12345678901234567\"}}]},"
                "\"scopeSpans\":[{\"scope\":{\"name\":\"tracez\",\"version\":\"" TRACEZ_VERSION
                "\"},\"spans\":[],\"schemaUrl\":\"" SCHEMA "\"}],\"schemaUrl\":\"" SCHEMA "\"}");
    assert_json(json_object_get(json_array_get(entries, 1), "resource"),
                "{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"cart\"}}"
                "]}");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

static bool encode_for_nobody(const struct tracez_record *record, void *state)
{
    struct tracez_record other = *record;

    other.resource = 65535;
    return encode_one(&other, state);
}

START_TEST(a_record_of_an_unknown_resource_is_sent_for_an_unknown_service)
{
    struct tracez_tracer *tracer = create();
    struct encoding encoding = encoding_begin(tracer, BODY_BYTES_MAX);
    struct tracez_mark mark;
    span_pass(tracer, "name");

    ck_assert_int_eq(tracez_lane_lease(lane_of(first_collector(tracer))), TRACEZ_OK);
    tracez_lane_read(lane_of(first_collector(tracer)), 1, encode_for_nobody, &encoding, &mark);
    tracez_lane_release(lane_of(first_collector(tracer)));

    json_t *root = encoding_end(&encoding);
    json_t *entry = json_array_get(json_object_get(root, "resourceSpans"), 0);
    assert_json(json_object_get(entry, "resource"),
                "{\"attributes\":[{\"key\":\"service.name\",\"value\":"
                "{\"stringValue\":\"unknown_service\"}}]}");
    json_decref(root);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("otlp");
    TCase *bounds = case_of(suite, "bounds");
    TCase *poison = case_of(suite, "poison");
    TCase *fields = case_of(suite, "fields");
    TCase *resources = case_of(suite, "resources");

    tcase_add_test(bounds, a_body_is_never_longer_than_its_bound_and_what_is_in_it_is_whole);
    tcase_add_test(bounds, the_65th_resource_waits_for_the_next_body_and_known_ones_do_not);
    tcase_add_test(bounds, a_body_that_was_cleared_begins_anew);
    tcase_add_test(poison, poison_in_every_text_of_a_span_is_cured_and_costs_no_other_span);
    tcase_add_test(poison, poison_in_a_resource_is_cured);
    tcase_add_test(fields, a_root_has_no_parent_and_a_bare_span_nothing_that_is_unset);
    tcase_add_test(fields, a_child_of_a_remote_parent_has_its_id_its_tracestate_and_flags_769);
    tcase_add_test(fields, a_child_of_a_local_parent_has_flags_257);
    tcase_add_test(fields, kinds_are_otlps_numbers);
    tcase_add_test(fields, a_tag_of_each_type_looks_as_protobufs_json_wants_it);
    tcase_add_test(fields, events_and_links_have_their_tags_and_nothing_that_is_empty);
    tcase_add_test(fields, what_was_refused_is_told_in_three_counts);
    tcase_add_loop_test(fields, status_is_omitted_when_unset_and_has_a_message_only_with_an_error,
                        0, (int)(sizeof(status_cases) / sizeof(status_cases[0])));
    tcase_add_test(fields, a_span_that_would_end_after_time_itself_ends_with_it);
    tcase_add_test(resources, spans_of_one_resource_stand_together_in_its_envelope);
    tcase_add_test(resources, a_record_of_an_unknown_resource_is_sent_for_an_unknown_service);
    return run_suite(suite);
}
