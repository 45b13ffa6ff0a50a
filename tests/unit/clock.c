/* SPDX-License-Identifier: MIT
 *
 * Goal: a span's times come from the tracer's clocks, wherever its start was taken.
 * Method: two clocks that the test sets, and that count how often they are read. */
#include "spans.h"

#define SECOND UINT64_C(1000000000)
#define UNIX_NS (1795000000 * SECOND)

struct clocks {
    uint64_t monotonic_ns;
    uint64_t unix_ns;
    int monotonic_reads;
    int unix_reads;
};

static uint64_t read_monotonic(void *state)
{
    struct clocks *clocks = state;

    clocks->monotonic_reads++;
    return clocks->monotonic_ns;
}

static uint64_t read_unix(void *state)
{
    struct clocks *clocks = state;

    clocks->unix_reads++;
    return clocks->unix_ns;
}

static struct tracez_tracer *tracer_of(struct clocks *clocks)
{
    struct tracez_config config;

    *clocks = (struct clocks){.monotonic_ns = 100 * SECOND, .unix_ns = UNIX_NS};
    tracez_config_init(&config);
    config.clock = (struct tracez_clock){read_monotonic, read_unix, clocks};
    return tracer_create(&config);
}

static void pass(struct clocks *clocks, uint64_t ns)
{
    clocks->monotonic_ns += ns;
    clocks->unix_ns += ns;
}

static void assert_times(struct tracez_tracer *tracer, uint64_t start_unix_ns, uint64_t duration_ns)
{
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(spans.records[0].start_unix_ns, start_unix_ns);
    ck_assert_uint_eq(spans.records[0].duration_ns, duration_ns);
    spans_free(&spans);
}

START_TEST(a_start_in_the_future_is_now)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);
    const struct tracez_span_options options = {.start_unix_ns = UNIX_NS + 5};

    struct tracez_span span = tracez_span_start_with(tracer, &options, NULL);
    pass(&clocks, 7);
    tracez_span_finish(span);

    assert_times(tracer, UNIX_NS, 7);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_start_before_the_machine_was_started_is_its_start)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);
    const struct tracez_span_options options = {.start_unix_ns = 1};

    tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));

    assert_times(tracer, UNIX_NS - 100 * SECOND, 100 * SECOND);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_reads_the_clock_at_its_start_and_at_its_end)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);
    int reads = clocks.monotonic_reads;

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    pass(&clocks, 1234);
    tracez_span_finish(span);

    ck_assert_int_eq(clocks.monotonic_reads, reads + 2);
    assert_times(tracer, UNIX_NS, 1234);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_start_given_in_wall_clock_time_may_lie_in_the_past)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);
    const struct tracez_span_options options = {.start_unix_ns = UNIX_NS - 3 * SECOND};

    struct tracez_span span = tracez_span_start_with(tracer, &options, NULL);
    pass(&clocks, 1);
    tracez_span_finish(span);

    assert_times(tracer, UNIX_NS - 3 * SECOND, 3 * SECOND + 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_start_that_was_taken_before_costs_no_clock_read_more)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);
    const struct tracez_span_options options = {.start_monotonic_ns = tracez_tracer_now_ns(tracer)};
    int reads = clocks.monotonic_reads;

    pass(&clocks, 500);
    struct tracez_span span = tracez_span_start_with(tracer, &options, NULL);
    pass(&clocks, 4);
    tracez_span_finish(span);

    ck_assert_int_eq(clocks.monotonic_reads, reads + 1);
    assert_times(tracer, UNIX_NS, 504);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_start_from_before_the_clocks_were_compared_is_where_it_was)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);
    const struct tracez_span_options options = {.start_monotonic_ns = tracez_tracer_now_ns(tracer)};

    pass(&clocks, 2 * SECOND);
    span_pass(tracer, "compares the clocks");
    struct spans ignored = spans_drain_first(tracer);
    spans_free(&ignored);
    int reads = clocks.unix_reads;
    tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));

    ck_assert_int_eq(clocks.unix_reads, reads);
    assert_times(tracer, UNIX_NS, 2 * SECOND);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_wall_clock_that_was_set_is_noticed_after_a_second_and_harms_no_duration)
{
    struct clocks clocks;
    struct tracez_tracer *tracer = tracer_of(&clocks);

    struct tracez_span before = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    clocks.unix_ns -= 3600 * SECOND;
    pass(&clocks, SECOND + 1);
    tracez_span_finish(before);
    assert_times(tracer, UNIX_NS, SECOND + 1);
    span_pass(tracer, "n");

    assert_times(tracer, UNIX_NS - 3599 * SECOND + 1, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    TCase *times = case_of(suite, "times");

    tcase_add_test(times, a_start_in_the_future_is_now);
    tcase_add_test(times, a_start_before_the_machine_was_started_is_its_start);
    tcase_add_test(times, a_span_reads_the_clock_at_its_start_and_at_its_end);
    tcase_add_test(times, a_start_given_in_wall_clock_time_may_lie_in_the_past);
    tcase_add_test(times, a_start_that_was_taken_before_costs_no_clock_read_more);
    tcase_add_test(times, a_start_from_before_the_clocks_were_compared_is_where_it_was);
    tcase_add_test(times,
                   a_wall_clock_that_was_set_is_noticed_after_a_second_and_harms_no_duration);
    return run_suite(suite);
}
