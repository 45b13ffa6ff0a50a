/* SPDX-License-Identifier: MIT
 *
 * Goal: whatever a program puts into spans, each format says exactly that: every field, every tag,
 * cured where it was no UTF-8, and nothing else.
 * Method: wild spans through a real tracer, encoded in each format and parsed by jansson; what the
 * format's rules make of the description is written down once more in expected.c, as a tree, and
 * the two are compared field by field. A failure names the seed. */
#include "body.h"

#include "expected.h"
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS 40
#define SPANS 30
#define BODY_BYTES_MAX (4 * 1024 * 1024)
#define READ_FLAGS (JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES)

/* ---- Comparing ------------------------------------------------------------------------------- */

/* NOLINTBEGIN(misc-no-recursion): as deep as what is expected */
static bool matches(const json_t *expected, const json_t *actual);

static bool matches_text(const json_t *expected, const json_t *actual)
{
    size_t bytes = json_string_length(actual);
    char *text = malloc(bytes + 3);
    const char *around = json_is_object(expected) ? "{}" : "";
    char *end;

    int length = snprintf(text, 2, "%.1s", around);
    memcpy(text + length, json_string_value(actual), bytes + 1);
    bool is_equal;
    if (json_is_real(expected)) {
        is_equal = strtod(text, &end) == json_real_value(expected) && *end == '\0' && end != text;
    } else {
        memcpy(text + length + bytes, around + length, (size_t)length + 1);
        json_t *parsed = json_loadb(text, bytes + 2 * (size_t)length, READ_FLAGS, NULL);
        is_equal = parsed != NULL && matches(expected, parsed);
        json_decref(parsed);
    }
    free(text);
    return is_equal;
}

static bool matches_object(const json_t *expected, const json_t *actual)
{
    const char *key;
    json_t *value;

    if (json_object_size(expected) != json_object_size(actual)) {
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)expected, key, value)
    {
        if (!matches(value, json_object_get(actual, key))) {
            return false;
        }
    }
    return true;
}

static bool matches_array(const json_t *expected, const json_t *actual)
{
    if (json_array_size(expected) != json_array_size(actual)) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(expected); i++) {
        if (!matches(json_array_get(expected, i), json_array_get(actual, i))) {
            return false;
        }
    }
    return true;
}

/* 1 and 1.0 are one number; and what is expected to be a real, a list or an object may be its text
 * in a string. */
static bool matches(const json_t *expected, const json_t *actual)
{
    if (json_is_string(actual) && !json_is_string(expected)) {
        return matches_text(expected, actual);
    }
    if (json_is_object(expected) && json_is_object(actual)) {
        return matches_object(expected, actual);
    }
    if (json_is_array(expected) && json_is_array(actual)) {
        return matches_array(expected, actual);
    }
    if (json_is_real(expected) && json_is_number(actual)) {
        return json_number_value(expected) == json_number_value(actual);
    }
    return json_equal(expected, actual);
}

/* NOLINTEND(misc-no-recursion) */

/* Where the two begin to differ; Check takes no more than 4 KiB. */
static void assert_matches(const json_t *expected, const json_t *actual, int seed)
{
    size_t same = 0;

    if (matches(expected, actual)) {
        return;
    }
    const char *got = json_dumps(actual, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    const char *wanted = json_dumps(expected, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    while (got[same] != '\0' && got[same] == wanted[same]) {
        same++;
    }
    same -= same < 100 ? same : 100;
    ck_abort_msg("seed %d:\n%.500s\nis not\n%.500s", seed, got + same, wanted + same);
}

/* ---- From spans to JSON ---------------------------------------------------------------------- */

struct encoding {
    struct body body;
    struct envelopes envelopes;
    const struct tracez_collector *collector;
    const struct wild_span *spans; /* in the order of the records */
    size_t count;
};

static bool encode_one(const struct tracez_record *record, void *state)
{
    struct encoding *encoding = state;
    const struct wild_span *span = &encoding->spans[encoding->count++];
    struct tracez_record refusing = *record;

    refusing.tags_refused = span->tags_refused;
    refusing.events_refused = span->events_refused;
    refusing.links_refused = span->links_refused;
    ck_assert_int_eq(
        body_add(&encoding->body, &encoding->envelopes, encoding->collector, &refusing),
        BODY_ADDED);
    return true;
}

/* All spans of the tracer, as the parsed body; they stay unread. */
static json_t *encode(struct tracez_tracer *tracer, const struct format *format,
                      const struct wild_span *spans, int seed)
{
    struct encoding encoding = {.collector = first_collector(tracer), .spans = spans};
    struct tracez_lane *lane = lane_of(first_collector(tracer));
    struct tracez_mark mark;
    json_error_t error;

    body_init(&encoding.body, format, BODY_BYTES_MAX);
    ck_assert_int_eq(tracez_lane_lease(lane), TRACEZ_OK);
    tracez_lane_read(lane, SIZE_MAX, encode_one, &encoding, &mark);
    tracez_lane_release(lane);
    const struct json_writer *json = body_finish(&encoding.body);
    json_t *root = json_loadb(json->text, json->bytes, READ_FLAGS, &error);
    if (root == NULL) {
        size_t from = error.position > 200 ? (size_t)error.position - 200 : 0;
        size_t bytes = json->bytes - from < 400 ? json->bytes - from : 400;
        ck_abort_msg("seed %d: %s at %d: %.*s", seed, error.text, error.position, (int)bytes,
                     json->text + from);
    }
    body_deinit(&encoding.body);
    envelopes_deinit(&encoding.envelopes);
    return root;
}

/* ---- Wild spans ------------------------------------------------------------------------------ */

static uint64_t read_clock(void *state)
{
    return *(const uint64_t *)state;
}

static struct tracez_tracer *create(const struct wild_resource *resources, uint64_t *now_ns)
{
    const struct tracez_collector_config collector = {.name = "default", .writers = 1};
    struct tracez_resource listed[WILD_RESOURCES];
    struct tracez_config config;

    for (size_t i = 0; i < WILD_RESOURCES; i++) {
        listed[i] = resources[i].resource;
    }
    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.resources = listed;
    config.resource_count = WILD_RESOURCES;
    config.clock = (struct tracez_clock){read_clock, read_clock, now_ns};
    return tracer_create(&config);
}

struct round {
    struct wild wild;
    struct wild_resource resources[WILD_RESOURCES];
    struct wild_span spans[SPANS];
    struct tracez_tracer *tracer;
    uint64_t now_ns;
};

static struct round *round_begin(int seed)
{
    struct round *round = calloc(1, sizeof(*round));

    round->wild.random = (uint64_t)seed;
    for (size_t i = 0; i < WILD_RESOURCES; i++) {
        wild_resource(&round->wild, &round->resources[i]);
    }
    round->tracer = create(round->resources, &round->now_ns);
    for (size_t i = 0; i < SPANS; i++) {
        round->spans[i] = wild_span(&round->wild);
        wild_span_make(&round->spans[i], round->tracer, &round->now_ns);
    }
    return round;
}

static void round_end(struct round *round)
{
    tracez_tracer_destroy(round->tracer);
    free(round);
}

/* The resources' attributes are there too, and their spans in one place, in order. */
static void assert_resource_spans(const json_t *entry, const struct round *round, uint32_t resource,
                                  int seed)
{
    const struct wild_resource *wild = &round->resources[resource];
    const struct tracez_tag service = {
        .key = "service.name",
        .type = TRACEZ_TAG_STRING,
        .value.string = {wild->resource.service_name, strlen(wild->resource.service_name)}};
    json_t *scope = json_array_get(json_object_get(entry, "scopeSpans"), 0);
    json_t *attributes = json_array();
    json_t *spans = json_array();

    expect_otlp_attributes(attributes, &service, 1);
    expect_otlp_attributes(attributes, wild->tags, wild->resource.tag_count);
    assert_matches(attributes, json_object_get(json_object_get(entry, "resource"), "attributes"),
                   seed);
    for (size_t i = 0; i < SPANS; i++) {
        if (round->spans[i].resource == resource) {
            json_array_append_new(spans, expect_otlp(&round->spans[i], wild));
        }
    }
    assert_matches(spans, json_object_get(scope, "spans"), seed);
    json_decref(attributes);
    json_decref(spans);
}

START_TEST(otlp_says_of_wild_spans_what_was_put_in)
{
    struct round *round = round_begin(_i);
    bool is_seen[WILD_RESOURCES] = {false};
    size_t next_entry = 0;

    json_t *root = encode(round->tracer, &otlp_format, round->spans, _i);

    for (size_t i = 0; i < SPANS; i++) { /* resources in the order of their first spans */
        uint32_t resource = round->spans[i].resource;
        if (!is_seen[resource]) {
            is_seen[resource] = true;
            assert_resource_spans(
                json_array_get(json_object_get(root, "resourceSpans"), next_entry++), round,
                resource, _i);
        }
    }
    ck_assert_uint_eq(json_array_size(json_object_get(root, "resourceSpans")), next_entry);
    json_decref(root);
    round_end(round);
}
END_TEST

static void check_array(int seed, const struct format *format,
                        json_t *(*expect)(const struct wild_span *, const struct wild_resource *))
{
    struct round *round = round_begin(seed);
    json_t *expected = json_array();

    json_t *root = encode(round->tracer, format, round->spans, seed);

    for (size_t i = 0; i < SPANS; i++) {
        const struct wild_span *span = &round->spans[i];
        json_t *object = expect(span, &round->resources[span->resource]);
        assert_matches(object, json_array_get(root, i), seed);
        json_array_append_new(expected, object);
    }
    ck_assert_uint_eq(json_array_size(root), SPANS);
    json_decref(expected);
    json_decref(root);
    round_end(round);
}

START_TEST(zipkin_says_of_wild_spans_what_was_put_in)
{
    check_array(_i, &zipkin_format, expect_zipkin);
}
END_TEST

START_TEST(plain_objects_say_of_wild_spans_what_was_put_in)
{
    check_array(_i, &plain_format, expect_plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("formats");
    TCase *wild = case_of(suite, "wild");

    tcase_add_loop_test(wild, otlp_says_of_wild_spans_what_was_put_in, 0, SEEDS);
    tcase_add_loop_test(wild, zipkin_says_of_wild_spans_what_was_put_in, 0, SEEDS);
    tcase_add_loop_test(wild, plain_objects_say_of_wild_spans_what_was_put_in, 0, SEEDS);
    return run_suite(suite);
}
