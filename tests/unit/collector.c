/* SPDX-License-Identifier: MIT
 *
 * Goal: a collector holds exactly the spans it was made for, refuses and counts the rest by reason,
 * and takes only the spans that it wants; draining gives each span out once.
 * Method: full, oversize and unwanted first. Collectors have one shard where an exact order or an
 * exact number of bytes matters. */
#include "collector.h"
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tracez_tracer *create_with(const struct tracez_collector_config *collectors,
                                         size_t count)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.collectors = collectors;
    config.collector_count = count;
    config.span_bytes_max = 65536;
    config.max_tag_bytes = 32000;
    return tracer_create(&config);
}

static struct tracez_tracer *create_small(uint32_t spans_max, uint32_t writers)
{
    const struct tracez_collector_config collector = {
        .name = "small", .spans_max = spans_max, .writers = writers};

    return create_with(&collector, 1);
}

/* Finishes a span of about this many bytes. */
static void pass_large(struct tracez_tracer *tracer, size_t bytes)
{
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "large", NULL, NULL);
    char *value = malloc(bytes);

    ck_assert_ptr_nonnull(value);
    memset(value, 'v', bytes);
    for (int i = 0; bytes > 0; i++) {
        size_t part = bytes < 30000 ? bytes : 30000;
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        tracez_span_set_bytes(span, key, value, part);
        bytes -= part;
    }
    free(value);
    tracez_span_finish(span);
}

static void pass_error(struct tracez_tracer *tracer, const char *name)
{
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, name, NULL, NULL);

    tracez_span_set_error(span, "test", NULL);
    tracez_span_finish(span);
}

START_TEST(a_full_collector_refuses_and_counts_and_takes_exactly_its_number)
{
    static const uint32_t capacities[] = {1, 2, 10, 1023, 8192};
    static const uint32_t writers[] = {1, 2, 4, 64};

    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 4; j++) {
            struct tracez_tracer *tracer = create_small(capacities[i], writers[j]);

            spans_pass(tracer, capacities[i]);
            ck_assert_uint_eq(books(tracer).queued, capacities[i]);
            ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_QUEUE_FULL], 0);
            spans_pass(tracer, 3);

            struct tracez_stats stats = books(tracer);
            ck_assert_uint_eq(stats.queued, capacities[i]);
            ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 3);
            ck_assert_uint_eq(tracez_collector_unread(first_collector(tracer)), capacities[i]);
            tracez_tracer_destroy(tracer);
        }
    }
}
END_TEST

START_TEST(a_collector_counts_its_own_drops)
{
    struct tracez_tracer *tracer = create_small(2, 1);

    spans_pass(tracer, 5);

    struct tracez_collector_stats stats = collector_books(first_collector(tracer));
    ck_assert_str_eq(stats.name, "small");
    ck_assert_uint_eq(stats.spans_max, 2);
    ck_assert_uint_eq(stats.queued, 2);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(each_of_two_collectors_counts_what_it_refused_itself)
{
    const struct tracez_collector_config collectors[] = {
        {.name = "errors", .spans_max = 2, .writers = 1, .match = TRACEZ_MATCH_ERRORS},
        {.name = "rest", .spans_max = 10, .writers = 1},
    };
    struct tracez_tracer *tracer = create_with(collectors, 2);

    for (int i = 0; i < 7; i++) {
        pass_error(tracer, "error");
    }
    pass_large(tracer, 34000);
    spans_pass(tracer, 13);

    struct tracez_collector_stats errors = collector_books(tracez_tracer_collector(tracer, 0));
    struct tracez_collector_stats rest = collector_books(tracez_tracer_collector(tracer, 1));
    ck_assert_uint_eq(errors.queued, 2);
    ck_assert_uint_eq(errors.dropped[TRACEZ_DROP_QUEUE_FULL], 5);
    ck_assert_uint_eq(errors.dropped[TRACEZ_DROP_OVERSIZE], 0);
    ck_assert_uint_eq(rest.queued, 10);
    ck_assert_uint_eq(rest.dropped[TRACEZ_DROP_QUEUE_FULL], 3);
    ck_assert_uint_eq(rest.dropped[TRACEZ_DROP_OVERSIZE], 1);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 8);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_OVERSIZE], 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_a_collector_refused_is_counted_beside_what_the_reader_dropped)
{
    struct tracez_tracer *tracer = create_small(2, 1);
    struct tracez_collector *collector = first_collector(tracer);
    struct tracez_outcome outcome = {0};
    struct tracez_mark mark;
    struct spans spans = {0};
    outcome.dropped[TRACEZ_DROP_REJECTED] = 2;
    spans_pass(tracer, 3);

    ck_assert_int_eq(tracez_lane_lease(lane_of(collector)), TRACEZ_OK);
    ck_assert_uint_eq(tracez_lane_read(lane_of(collector), 2, spans_read, &spans, &mark), 2);
    tracez_lane_acknowledge(lane_of(collector), &mark, &outcome);
    tracez_lane_release(lane_of(collector));
    spans_pass(tracer, 3);

    struct tracez_collector_stats stats = collector_books(collector);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_REJECTED], 2);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 2);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_QUEUE_FULL], 2);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(drained_space_is_free_again)
{
    struct tracez_tracer *tracer = create_small(10, 1);

    for (uint64_t round = 1; round <= 1000; round++) {
        spans_pass(tracer, 11);
        struct spans spans = spans_drain_first(tracer);
        ck_assert_uint_eq(spans.count, 10);
        spans_free(&spans);
        struct tracez_stats stats = books(tracer);
        ck_assert_uint_eq(stats.exported, 10 * round);
        ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], round);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_longer_than_half_a_shard_is_oversize_and_one_below_is_not)
{
    struct tracez_tracer *tracer = create_small(10, 1); /* one shard of 64 KiB */

    pass_large(tracer, 34000);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_OVERSIZE], 1);
    ck_assert_uint_eq(books(tracer).queued, 0);
    pass_large(tracer, 32000);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_OVERSIZE], 1);
    ck_assert_uint_eq(stats.queued, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(seven_writers_that_stopped_while_they_pushed_cost_no_other_a_span)
{
    struct tracez_tracer *tracer = create_small(0, 0);
    struct tracez_collector *collector = first_collector(tracer);

    ck_assert_uint_ge(collector->geometry.shard_count, 8);
    for (int i = 0; i < 7; i++) {
        atomic_store(&collector->shards[i].shard->lock, (uint32_t)i + 2);
    }
    spans_pass(tracer, 3);

    ck_assert_uint_eq(books(tracer).queued, 3);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_QUEUE_FULL], 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(bytes_run_out_before_spans_do_when_spans_are_long)
{
    struct tracez_tracer *tracer = create_small(100, 1); /* 64 KiB */

    for (int i = 0; i < 10; i++) {
        pass_large(tracer, 10000);
    }

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.queued, 6);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 4);
    ck_assert_uint_ge(collector_books(first_collector(tracer)).pressure_percent, 90);
    spans_pass(tracer, 1); /* a short one still fits */
    ck_assert_uint_eq(books(tracer).queued, 7);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_of_any_size_survives_wrapping_round_the_ring)
{
    struct tracez_tracer *tracer = create_small(64, 1);
    unsigned next_in = 0;
    unsigned next_out = 0;

    srandom(5);
    while (next_out < 20000) {
        for (long burst = random() % 8; burst > 0; burst--) {
            struct tracez_span span =
                tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "wrap", NULL, NULL);
            tracez_span_set_int(span, "number", next_in);
            tracez_span_set_format(span, "padding", "%0*u", (int)(random() % 1000) + 1, next_in);
            tracez_span_finish(span);
            next_in++;
        }
        struct spans spans = spans_drain_first(tracer);
        for (size_t i = 0; i < spans.count; i++, next_out++) {
            struct tracez_entry entry;
            assert_tag_int(&spans.records[i], "number", next_out);
            ck_assert(span_find_tag(&spans.records[i], "padding", &entry));
            ck_assert_uint_eq(strtoul(entry.string.text, NULL, 10), next_out);
        }
        spans_free(&spans);
    }
    ck_assert_uint_eq(books(tracer).exported, next_in);
    tracez_tracer_destroy(tracer);
}
END_TEST

static bool wants_long_names(const struct tracez_record *record, void *state)
{
    ++*(unsigned *)state;
    return record->name.bytes > 10;
}

static uint64_t queued(struct tracez_tracer *tracer, size_t index)
{
    return collector_books(tracez_tracer_collector(tracer, index)).queued;
}

START_TEST(a_span_goes_to_the_first_collector_that_wants_it)
{
    unsigned asked = 0;
    const struct tracez_collector_config collectors[] = {
        {.name = "errors", .match = TRACEZ_MATCH_ERRORS},
        {.name = "login", .match = TRACEZ_MATCH_NAME, .match_name = "login"},
        {.name = "long",
         .match = TRACEZ_MATCH_CALLBACK,
         .match_fn = wants_long_names,
         .match_state = &asked},
        {.name = "rest", .match = TRACEZ_MATCH_ALL},
        {.name = "never", .match = TRACEZ_MATCH_ALL},
    };
    struct tracez_tracer *tracer = create_with(collectors, 5);

    pass_error(tracer, "login");
    span_pass(tracer, "login");
    span_pass(tracer, "login ");
    span_pass(tracer, "logi");
    span_pass(tracer, "a very long name");

    ck_assert_uint_eq(queued(tracer, 0), 1);
    ck_assert_uint_eq(queued(tracer, 1), 1);
    ck_assert_uint_eq(queued(tracer, 2), 1);
    ck_assert_uint_eq(queued(tracer, 3), 2);
    ck_assert_uint_eq(queued(tracer, 4), 0);
    ck_assert_uint_eq(asked, 3);
    books(tracer);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_a_collector_has_the_rest_of_goes_to_it_when_no_other_wants_it)
{
    const struct tracez_collector_config collectors[] = {
        {.name = "shop", .match = TRACEZ_MATCH_NAMED_REST},
        {.name = "cart", .match = TRACEZ_MATCH_NAMED_REST},
        {.name = "errors", .match = TRACEZ_MATCH_ERRORS},
    };
    struct tracez_tracer *tracer = create_with(collectors, 3);
    struct tracez_span_options options = {.name = {"x", 1}};

    for (size_t i = 0; i < 2; i++) {
        options.collector = tracez_tracer_collector(tracer, i);
        tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
        struct tracez_span failed = tracez_span_start_with(tracer, &options, NULL);
        tracez_span_set_error(failed, "500", NULL);
        tracez_span_finish(failed);
    }
    span_pass(tracer, "of nobody");

    ck_assert_uint_eq(queued(tracer, 0), 1);
    ck_assert_uint_eq(queued(tracer, 1), 1);
    ck_assert_uint_eq(queued(tracer, 2), 2);
    ck_assert_uint_eq(books(tracer).not_kept, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_that_no_collector_wants_is_not_kept)
{
    const struct tracez_collector_config collector = {.name = "errors",
                                                      .match = TRACEZ_MATCH_ERRORS};
    struct tracez_tracer *tracer = create_with(&collector, 1);

    span_pass(tracer, "fine");

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.not_kept, 1);
    ck_assert_uint_eq(stats.queued, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_full_collector_does_not_hand_its_spans_to_the_next)
{
    const struct tracez_collector_config collectors[] = {
        {.name = "errors", .spans_max = 1, .match = TRACEZ_MATCH_ERRORS},
        {.name = "rest"},
    };
    struct tracez_tracer *tracer = create_with(collectors, 2);

    pass_error(tracer, "first");
    pass_error(tracer, "second");

    ck_assert_uint_eq(queued(tracer, 0), 1);
    ck_assert_uint_eq(queued(tracer, 1), 0);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_named_only_collector_gets_only_the_spans_that_name_it)
{
    const struct tracez_collector_config collectors[] = {
        {.name = "audit", .match = TRACEZ_MATCH_NAMED_ONLY},
        {.name = "rest"},
    };
    struct tracez_tracer *tracer = create_with(collectors, 2);
    const struct tracez_span_options options = {
        .name = {"audited", 7},
        .collector = tracez_tracer_find_collector(tracer, "audit"),
    };

    span_pass(tracer, "plain");
    tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
    struct spans audited = spans_drain(tracez_tracer_collector(tracer, 0));

    ck_assert_uint_eq(audited.count, 1);
    assert_text(audited.records[0].name, "audited");
    ck_assert_uint_eq(queued(tracer, 1), 1);
    spans_free(&audited);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(collectors_are_found_by_index_and_by_name_and_others_are_not)
{
    const struct tracez_collector_config collectors[] = {{.name = "one"}, {.name = "two"}};
    struct tracez_tracer *tracer = create_with(collectors, 2);

    ck_assert_ptr_null(tracez_tracer_collector(tracer, 2));
    ck_assert_ptr_null(tracez_tracer_find_collector(tracer, "three"));
    ck_assert_ptr_null(tracez_tracer_find_collector(tracer, ""));
    ck_assert_ptr_eq(tracez_tracer_find_collector(tracer, "two"),
                     tracez_tracer_collector(tracer, 1));
    ck_assert_ptr_eq(tracez_tracer_find_collector(tracer, "one"),
                     tracez_tracer_collector(tracer, 0));
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(pressure_follows_the_number_of_spans)
{
    struct tracez_tracer *tracer = create_small(1000, 1);
    struct tracez_collector *collector = first_collector(tracer);

    ck_assert_uint_eq(collector_books(collector).pressure_percent, 0);
    ck_assert(!tracez_collector_is_pressed(collector));
    spans_pass(tracer, 500);
    ck_assert_uint_eq(collector_books(collector).pressure_percent, 50);
    spans_pass(tracer, 100);
    ck_assert(tracez_collector_is_pressed(collector));
    spans_pass(tracer, 400);
    ck_assert_uint_eq(collector_books(collector).pressure_percent, 100);
    struct spans spans = spans_drain(collector);
    ck_assert_uint_eq(collector_books(collector).pressure_percent, 0);
    ck_assert(!tracez_collector_is_pressed(collector));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void count_wake(void *state, uint32_t lane)
{
    ck_assert_uint_eq(lane, 0);
    ++*(unsigned *)state;
}

START_TEST(on_batch_wakes_about_once_a_batch_and_never_more_often)
{
    struct tracez_tracer *tracer = create_small(8192, 1);
    unsigned wakes = 0;

    tracez_collector_on_batch(first_collector(tracer), 100, count_wake, &wakes);
    spans_pass(tracer, 99);
    ck_assert_uint_eq(wakes, 0);
    spans_pass(tracer, 901);
    ck_assert_uint_ge(wakes, 5);
    ck_assert_uint_le(wakes, 10);

    tracez_collector_on_batch(first_collector(tracer), 0, NULL, NULL);
    spans_pass(tracer, 1000);
    ck_assert_uint_le(wakes, 10);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(on_batch_wakes_also_where_the_buffer_is_smaller_than_a_batch)
{
    struct tracez_tracer *tracer = create_small(10, 1);
    unsigned wakes = 0;

    tracez_collector_on_batch(first_collector(tracer), 512, count_wake, &wakes);
    spans_pass(tracer, 10);

    ck_assert_uint_ge(wakes, 1);
    ck_assert_uint_le(wakes, 10);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collector");
    TCase *refused = case_of(suite, "refused");
    TCase *match = case_of(suite, "match");
    TCase *kept = case_of(suite, "kept");

    tcase_add_test(refused, a_full_collector_refuses_and_counts_and_takes_exactly_its_number);
    tcase_add_test(refused, a_collector_counts_its_own_drops);
    tcase_add_test(refused, each_of_two_collectors_counts_what_it_refused_itself);
    tcase_add_test(refused, what_a_collector_refused_is_counted_beside_what_the_reader_dropped);
    tcase_add_test(refused, a_span_longer_than_half_a_shard_is_oversize_and_one_below_is_not);
    tcase_add_test(refused, seven_writers_that_stopped_while_they_pushed_cost_no_other_a_span);
    tcase_add_test(refused, bytes_run_out_before_spans_do_when_spans_are_long);
    tcase_add_test(match, a_span_goes_to_the_first_collector_that_wants_it);
    tcase_add_test(match, what_a_collector_has_the_rest_of_goes_to_it_when_no_other_wants_it);
    tcase_add_test(match, a_span_that_no_collector_wants_is_not_kept);
    tcase_add_test(match, a_full_collector_does_not_hand_its_spans_to_the_next);
    tcase_add_test(match, a_named_only_collector_gets_only_the_spans_that_name_it);
    tcase_add_test(match, collectors_are_found_by_index_and_by_name_and_others_are_not);
    tcase_add_test(kept, drained_space_is_free_again);
    tcase_add_test(kept, a_span_of_any_size_survives_wrapping_round_the_ring);
    tcase_add_test(kept, pressure_follows_the_number_of_spans);
    tcase_add_test(kept, on_batch_wakes_about_once_a_batch_and_never_more_often);
    tcase_add_test(kept, on_batch_wakes_also_where_the_buffer_is_smaller_than_a_batch);
    return run_suite(suite);
}
