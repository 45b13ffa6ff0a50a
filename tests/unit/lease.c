/* SPDX-License-Identifier: MIT
 *
 * Goal: one reader at a time; what was read stays until it is acknowledged, is read again after a
 * rewind or a new lease, and what became of it is counted as the reader said.
 * Method: the refused lease first; then reading, acknowledging and rewinding on a small collector
 * whose spans are numbered. */
#include "spans.h"

#include <pthread.h>

static struct tracez_tracer *create_small(uint32_t spans_max)
{
    const struct tracez_collector_config collector = {
        .name = "small", .spans_max = spans_max, .writers = 1};
    struct tracez_config config;

    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    return tracer_create(&config);
}

static void pass_numbers(struct tracez_tracer *tracer, int first, int last)
{
    for (int i = first; i <= last; i++) {
        struct tracez_span span =
            tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "number", NULL, NULL);
        tracez_span_set_int(span, "number", i);
        tracez_span_finish(span);
    }
}

/* Reads this many and checks that they are numbered from first on. */
static struct tracez_mark read_numbers(struct tracez_collector *collector, size_t count, int first)
{
    struct spans spans = {0};
    struct tracez_mark mark;

    size_t taken = tracez_lane_read(lane_of(collector), count, spans_read, &spans, &mark);

    ck_assert_uint_eq(taken, count);
    ck_assert_uint_eq(spans.count, count);
    for (size_t i = 0; i < spans.count; i++) {
        assert_tag_int(&spans.records[i], "number", first + (int)i);
    }
    spans_free(&spans);
    return mark;
}

static void take_lease(struct tracez_collector *collector)
{
    ck_assert_int_eq(tracez_lane_lease(lane_of(collector)), TRACEZ_OK);
}

static void *try_lease(void *state)
{
    enum tracez_result result = tracez_lane_lease(lane_of(state));

    if (result == TRACEZ_OK) {
        tracez_lane_release(lane_of(state));
    }
    return (void *)(uintptr_t)result;
}

static enum tracez_result try_lease_elsewhere(struct tracez_collector *collector)
{
    pthread_t thread;
    void *result;

    ck_assert_int_eq(pthread_create(&thread, NULL, try_lease, collector), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    return (enum tracez_result)(uintptr_t)result;
}

static void count_none(const struct tracez_record *record, void *state)
{
    (void)record;
    ++*(unsigned *)state;
}

START_TEST(a_held_lease_is_busy_for_everybody_and_draining_gets_nothing)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    unsigned drained = 0;
    pass_numbers(tracer, 0, 2);

    take_lease(collector);
    enum tracez_result here = tracez_lane_lease(lane_of(collector));
    enum tracez_result elsewhere = try_lease_elsewhere(collector);
    size_t count = tracez_collector_drain(collector, 10, count_none, &drained);
    tracez_lane_release(lane_of(collector));

    ck_assert_int_eq(here, TRACEZ_BUSY);
    ck_assert_int_eq(elsewhere, TRACEZ_BUSY);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(drained, 0);
    ck_assert_int_eq(try_lease_elsewhere(collector), TRACEZ_OK);
    ck_assert_uint_eq(tracez_collector_drain(collector, 10, count_none, &drained), 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void *read_and_die(void *state)
{
    struct tracez_collector *collector = state;

    if (tracez_lane_lease(lane_of(collector)) == TRACEZ_OK) {
        read_numbers(collector, 2, 0);
    }
    return NULL; /* without releasing: like a thread that crashed */
}

START_TEST(the_lease_of_a_thread_that_died_goes_to_the_next_who_reads_again)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    pthread_t thread;
    pass_numbers(tracer, 0, 4);

    ck_assert_int_eq(pthread_create(&thread, NULL, read_and_die, collector), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    take_lease(collector);

    read_numbers(collector, 5, 0);
    tracez_lane_release(lane_of(collector));
    books(tracer);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_was_read_and_not_acknowledged_still_takes_its_space)
{
    struct tracez_tracer *tracer = create_small(4);
    struct tracez_collector *collector = first_collector(tracer);
    pass_numbers(tracer, 0, 3);

    take_lease(collector);
    read_numbers(collector, 4, 0);
    pass_numbers(tracer, 4, 4);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.inflight, 4);
    ck_assert_uint_eq(stats.queued, 0);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    ck_assert_uint_eq(tracez_collector_unread(collector), 0);
    ck_assert_uint_eq(collector_books(collector).inflight, 4);
    tracez_lane_release(lane_of(collector));
    tracez_tracer_destroy(tracer);
}
END_TEST

static bool refuse_the_third(const struct tracez_record *record, void *state)
{
    unsigned *seen = state;

    (void)record;
    return ++*seen < 3;
}

START_TEST(a_record_that_fn_refuses_stays_unread)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    struct tracez_outcome outcome = {.exported = 2};
    struct tracez_mark mark;
    unsigned seen = 0;
    pass_numbers(tracer, 0, 4);

    take_lease(collector);
    size_t taken = tracez_lane_read(lane_of(collector), 10, refuse_the_third, &seen, &mark);
    tracez_lane_acknowledge(lane_of(collector), &mark, &outcome);

    ck_assert_uint_eq(taken, 2);
    ck_assert_uint_eq(seen, 3);
    ck_assert_uint_eq(tracez_collector_unread(collector), 3);
    read_numbers(collector, 3, 2);
    tracez_lane_release(lane_of(collector));
    books(tracer);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(reading_an_empty_collector_takes_nothing_and_its_mark_may_be_acknowledged)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    const struct tracez_outcome nothing = {0};
    struct spans spans = {0};
    struct tracez_mark mark;

    take_lease(collector);
    size_t taken = tracez_lane_read(lane_of(collector), 10, spans_read, &spans, &mark);
    tracez_lane_acknowledge(lane_of(collector), &mark, &nothing);
    tracez_lane_release(lane_of(collector));

    ck_assert_uint_eq(taken, 0);
    ck_assert_uint_eq(books(tracer).exported, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(batches_are_acknowledged_in_order_while_later_ones_are_read)
{
    struct tracez_tracer *tracer = create_small(6);
    struct tracez_collector *collector = first_collector(tracer);
    const struct tracez_outcome two = {.exported = 2};
    pass_numbers(tracer, 0, 5);

    take_lease(collector);
    struct tracez_mark first = read_numbers(collector, 2, 0);
    struct tracez_mark second = read_numbers(collector, 2, 2);
    tracez_lane_acknowledge(lane_of(collector), &first, &two);
    struct tracez_stats after_first = books(tracer);
    pass_numbers(tracer, 6, 8); /* two fit into what was freed, one does not */
    tracez_lane_acknowledge(lane_of(collector), &second, &two);
    struct tracez_mark third = read_numbers(collector, 4, 4);
    tracez_lane_acknowledge(lane_of(collector), &third, &(struct tracez_outcome){.exported = 4});
    tracez_lane_release(lane_of(collector));

    ck_assert_uint_eq(after_first.exported, 2);
    ck_assert_uint_eq(after_first.inflight, 2);
    ck_assert_uint_eq(after_first.queued, 2);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.exported, 8);
    ck_assert_uint_eq(stats.inflight, 0);
    ck_assert_uint_eq(stats.queued, 0);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(acknowledging_a_later_mark_covers_the_earlier_one)
{
    struct tracez_tracer *tracer = create_small(6);
    struct tracez_collector *collector = first_collector(tracer);
    pass_numbers(tracer, 0, 3);

    take_lease(collector);
    read_numbers(collector, 1, 0);
    struct tracez_mark later = read_numbers(collector, 2, 1);
    tracez_lane_acknowledge(lane_of(collector), &later, &(struct tracez_outcome){.exported = 3});
    tracez_lane_release(lane_of(collector));

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.exported, 3);
    ck_assert_uint_eq(stats.queued, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(an_outcome_is_counted_by_its_reasons)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    struct tracez_outcome outcome = {.exported = 3};
    outcome.dropped[TRACEZ_DROP_REJECTED] = 2;
    outcome.dropped[TRACEZ_DROP_PARTIAL_REJECTED] = 1;
    pass_numbers(tracer, 0, 5);

    take_lease(collector);
    struct tracez_mark mark = read_numbers(collector, 6, 0);
    tracez_lane_acknowledge(lane_of(collector), &mark, &outcome);
    tracez_lane_release(lane_of(collector));

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.exported, 3);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_REJECTED], 2);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_PARTIAL_REJECTED], 1);
    struct tracez_collector_stats of_collector = collector_books(collector);
    ck_assert_uint_eq(of_collector.exported, 3);
    ck_assert_uint_eq(of_collector.dropped[TRACEZ_DROP_REJECTED], 2);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_rewind_makes_everything_unacknowledged_unread)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    pass_numbers(tracer, 0, 5);

    take_lease(collector);
    struct tracez_mark first = read_numbers(collector, 2, 0);
    tracez_lane_acknowledge(lane_of(collector), &first, &(struct tracez_outcome){.exported = 2});
    read_numbers(collector, 3, 2);
    tracez_lane_rewind(lane_of(collector));

    ck_assert_uint_eq(tracez_collector_unread(collector), 4);
    ck_assert_uint_eq(books(tracer).inflight, 0);
    struct tracez_mark all = read_numbers(collector, 4, 2);
    tracez_lane_acknowledge(lane_of(collector), &all, &(struct tracez_outcome){.exported = 4});
    tracez_lane_release(lane_of(collector));
    ck_assert_uint_eq(books(tracer).exported, 6);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_new_lease_starts_at_the_last_acknowledgement)
{
    struct tracez_tracer *tracer = create_small(10);
    struct tracez_collector *collector = first_collector(tracer);
    pass_numbers(tracer, 0, 5);

    take_lease(collector);
    struct tracez_mark first = read_numbers(collector, 2, 0);
    tracez_lane_acknowledge(lane_of(collector), &first, &(struct tracez_outcome){.exported = 2});
    read_numbers(collector, 2, 2);
    tracez_lane_release(lane_of(collector));
    ck_assert_uint_eq(books(tracer).inflight, 0);
    take_lease(collector);
    read_numbers(collector, 4, 2);
    tracez_lane_release(lane_of(collector));

    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(draining_stops_at_the_number_asked_for)
{
    struct tracez_tracer *tracer = create_small(10);
    unsigned drained = 0;
    pass_numbers(tracer, 0, 5);

    ck_assert_uint_eq(tracez_collector_drain(first_collector(tracer), 0, count_none, &drained), 0);
    ck_assert_uint_eq(tracez_collector_drain(first_collector(tracer), 4, count_none, &drained), 4);
    ck_assert_uint_eq(tracez_collector_drain(first_collector(tracer), 4, count_none, &drained), 2);
    ck_assert_uint_eq(tracez_collector_drain(first_collector(tracer), 4, count_none, &drained), 0);

    ck_assert_uint_eq(drained, 6);
    ck_assert_uint_eq(books(tracer).exported, 6);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *busy = case_of(suite, "busy");
    TCase *reading = case_of(suite, "reading");

    tcase_add_test(busy, a_held_lease_is_busy_for_everybody_and_draining_gets_nothing);
    tcase_add_test(busy, the_lease_of_a_thread_that_died_goes_to_the_next_who_reads_again);
    tcase_add_test(busy, what_was_read_and_not_acknowledged_still_takes_its_space);
    tcase_add_test(reading, a_record_that_fn_refuses_stays_unread);
    tcase_add_test(reading,
                   reading_an_empty_collector_takes_nothing_and_its_mark_may_be_acknowledged);
    tcase_add_test(reading, batches_are_acknowledged_in_order_while_later_ones_are_read);
    tcase_add_test(reading, acknowledging_a_later_mark_covers_the_earlier_one);
    tcase_add_test(reading, an_outcome_is_counted_by_its_reasons);
    tcase_add_test(reading, a_rewind_makes_everything_unacknowledged_unread);
    tcase_add_test(reading, a_new_lease_starts_at_the_last_acknowledgement);
    tcase_add_test(reading, draining_stops_at_the_number_asked_for);
    return run_suite(suite);
}
