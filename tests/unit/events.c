/* SPDX-License-Identifier: MIT
 *
 * Goal: events and links keep their names, times, targets and tags, and are refused and counted
 * beyond 32 and 8.
 * Method: the limit and the limit + 1 first; then one of each is read back whole. */
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct tracez_context target = {
    .trace_id = {0xaa, [15] = 0xbb},
    .span_id = {0xcc, [7] = 0xdd},
    .flags = TRACEZ_FLAG_SAMPLED,
};

/* The record's n-th entry of this type. */
static bool find_entry(const struct tracez_record *record, uint32_t type, uint32_t number,
                       struct tracez_entry *entry)
{
    size_t position = 0;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, entry)) {
        if (entry->type == type && number-- == 0) {
            return true;
        }
    }
    return false;
}

START_TEST(the_33rd_event_is_refused_and_counted_and_the_32nd_is_not)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    struct tracez_entry entry;

    for (int i = 0; i < TRACEZ_EVENTS_MAX + 1; i++) {
        char name[32];
        snprintf(name, sizeof(name), "event%d", i);
        tracez_span_add_event(span, name, NULL, 0);
    }
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    const struct tracez_record *record = &spans.records[0];
    ck_assert_uint_eq(record->event_count, TRACEZ_EVENTS_MAX);
    ck_assert_uint_eq(record->events_refused, 1);
    ck_assert_uint_eq(record->tags_refused, 0);
    ck_assert_uint_eq(books(tracer).tags_refused, 1);
    ck_assert(find_entry(record, TRACEZ_ENTRY_EVENT, 31, &entry));
    assert_text(entry.key, "event31");
    ck_assert(!find_entry(record, TRACEZ_ENTRY_EVENT, 32, &entry));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(the_9th_link_is_refused_and_counted_and_the_8th_is_not)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    struct tracez_entry entry;

    for (int i = 0; i < TRACEZ_LINKS_MAX + 1; i++) {
        struct tracez_context other = target;
        other.span_id[3] = (uint8_t)i;
        tracez_span_add_link(span, &other, NULL, 0);
    }
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    const struct tracez_record *record = &spans.records[0];
    ck_assert_uint_eq(record->link_count, TRACEZ_LINKS_MAX);
    ck_assert_uint_eq(record->links_refused, 1);
    ck_assert(find_entry(record, TRACEZ_ENTRY_LINK, 7, &entry));
    ck_assert_uint_eq(entry.context.span_id[3], 7);
    ck_assert(!find_entry(record, TRACEZ_ENTRY_LINK, 8, &entry));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_link_to_no_span_is_refused)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    struct tracez_context invalid = {.trace_id = {1}};

    tracez_span_add_link(span, NULL, NULL, 0);
    tracez_span_add_link(span, &invalid, NULL, 0);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.records[0].link_count, 0);
    ck_assert_uint_eq(spans.records[0].links_refused, 2);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(an_event_that_does_not_fit_into_the_span_is_refused_and_counted)
{
    struct tracez_config config;
    char value[900];
    tracez_config_init(&config);
    config.span_bytes_max = 2048;
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    const struct tracez_tag tag = {
        .key = "k", .type = TRACEZ_TAG_STRING, .value.string = {value, sizeof(value)}};

    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 5; i++) {
        tracez_span_add_event(span, "event", &tag, 1);
    }
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    const struct tracez_record *record = &spans.records[0];
    ck_assert_uint_ge(record->event_count, 1);
    ck_assert_uint_eq(record->event_count + record->events_refused, 5);
    ck_assert_uint_le(record->entries_bytes, 2048);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_bad_tag_of_an_event_costs_only_that_tag)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    const struct tracez_tag tags[] = {
        {.key = "", .type = TRACEZ_TAG_INT, .value.integer = 1},
        {.key = NULL, .type = TRACEZ_TAG_INT, .value.integer = 2},
        {.key = "good", .type = TRACEZ_TAG_INT, .value.integer = 3},
    };
    struct tracez_entry entry;
    struct tracez_entry nested;
    size_t position = 0;

    tracez_span_add_event(span, "event", tags, 3);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.records[0].event_count, 1);
    ck_assert(find_entry(&spans.records[0], TRACEZ_ENTRY_EVENT, 0, &entry));
    ck_assert(tracez_entry_next(entry.nested, entry.nested_bytes, &position, &nested));
    assert_text(nested.key, "good");
    ck_assert_int_eq(nested.integer, 3);
    ck_assert(!tracez_entry_next(entry.nested, entry.nested_bytes, &position, &nested));
    ck_assert_uint_eq(books(tracer).tags_refused, 2);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(an_event_keeps_name_time_and_tags)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    const struct tracez_tag tags[] = {
        {.key = TRACEZ_KEY(EXCEPTION_TYPE), .type = TRACEZ_TAG_STRING, .value.string = {"E", 1}},
        {.key = "attempt", .type = TRACEZ_TAG_INT, .value.integer = 2},
    };
    struct tracez_entry event;
    struct tracez_entry tag;
    size_t position = 0;

    tracez_span_add_event(span, "exception", tags, 2);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    const struct tracez_record *record = &spans.records[0];
    ck_assert_uint_eq(record->event_count, 1);
    ck_assert_uint_eq(record->tag_count, 0);
    ck_assert(find_entry(record, TRACEZ_ENTRY_EVENT, 0, &event));
    assert_text(event.key, "exception");
    ck_assert_uint_ge(event.unix_ns, record->start_unix_ns);
    ck_assert_uint_le(event.unix_ns, record->start_unix_ns + record->duration_ns);
    ck_assert(tracez_entry_next(event.nested, event.nested_bytes, &position, &tag));
    ck_assert_uint_eq(tag.key_id, TRACEZ_KEY_ID_EXCEPTION_TYPE);
    assert_text(tag.key, "exception.type");
    assert_text(tag.string, "E");
    ck_assert(tracez_entry_next(event.nested, event.nested_bytes, &position, &tag));
    assert_text(tag.key, "attempt");
    ck_assert_int_eq(tag.integer, 2);
    ck_assert(!tracez_entry_next(event.nested, event.nested_bytes, &position, &tag));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_link_keeps_its_target_and_tags)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    const struct tracez_tag tag = {.key = "why", .type = TRACEZ_TAG_BOOL, .value.boolean = true};
    struct tracez_entry link;
    struct tracez_entry nested;
    size_t position = 0;

    tracez_span_add_link(span, &target, &tag, 1);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert(find_entry(&spans.records[0], TRACEZ_ENTRY_LINK, 0, &link));
    ck_assert_mem_eq(link.context.trace_id, target.trace_id, sizeof(target.trace_id));
    ck_assert_mem_eq(link.context.span_id, target.span_id, sizeof(target.span_id));
    ck_assert_uint_eq(link.context.flags, target.flags);
    ck_assert(tracez_entry_next(link.nested, link.nested_bytes, &position, &nested));
    assert_text(nested.key, "why");
    ck_assert_int_eq(nested.integer, 1);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(tags_of_the_same_key_in_a_span_and_its_event_do_not_mix)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    const struct tracez_tag tag = {.key = "key", .type = TRACEZ_TAG_INT, .value.integer = 2};

    tracez_span_set_int(span, "key", 1);
    tracez_span_add_event(span, "key", &tag, 1);
    tracez_span_set_string(span, "key", "replaced");
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.records[0].tag_count, 1);
    ck_assert_uint_eq(spans.records[0].event_count, 1);
    assert_tag_string(&spans.records[0], "key", "replaced");
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("events");
    TCase *refused = case_of(suite, "refused");
    TCase *kept = case_of(suite, "kept");

    tcase_add_test(refused, the_33rd_event_is_refused_and_counted_and_the_32nd_is_not);
    tcase_add_test(refused, the_9th_link_is_refused_and_counted_and_the_8th_is_not);
    tcase_add_test(refused, a_link_to_no_span_is_refused);
    tcase_add_test(refused, an_event_that_does_not_fit_into_the_span_is_refused_and_counted);
    tcase_add_test(refused, a_bad_tag_of_an_event_costs_only_that_tag);
    tcase_add_test(kept, an_event_keeps_name_time_and_tags);
    tcase_add_test(kept, a_link_keeps_its_target_and_tags);
    tcase_add_test(kept, tags_of_the_same_key_in_a_span_and_its_event_do_not_mix);
    return run_suite(suite);
}
