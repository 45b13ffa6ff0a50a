/* SPDX-License-Identifier: MIT
 *
 * Goal: what the exporter says about itself is exact: each attempt and each span is counted once,
 * under the right name, and histograms hold each value in the bucket that its bounds say.
 * Method: a histogram by itself, at the edges of its buckets; then one kind of ending after the
 * other, each counted. What must be true of all of them, exporting_end checks in every test. */
#include "histogram.h"

#include "exporting.h"

#include <string.h>

static uint64_t now_ns(void)
{
    return monotonic_ms() * 1000000;
}

/* The only value's bucket. */
static size_t bucket_of(const struct tracez_histogram *histogram)
{
    size_t bucket = 0;

    ck_assert_uint_eq(histogram_count(histogram), 1);
    while (histogram->buckets[bucket] == 0) {
        bucket++;
    }
    return bucket;
}

/* ---- Histograms ---------------------------------------------------------------------------- */

START_TEST(a_value_at_a_bound_is_below_it_and_one_more_is_above)
{
    const uint64_t *bounds = _i == 0 ? tracez_export_duration_bounds_ns : tracez_batch_spans_bounds;

    for (size_t i = 0; i < TRACEZ_HISTOGRAM_BOUNDS; i++) {
        struct tracez_histogram at = {0};
        struct tracez_histogram above = {0};
        ck_assert(i == 0 || bounds[i] > bounds[i - 1]);

        histogram_add(&at, bounds, bounds[i]);
        histogram_add(&above, bounds, bounds[i] + 1);

        ck_assert_uint_eq(bucket_of(&at), i);
        ck_assert_uint_eq(at.sum, bounds[i]);
        ck_assert_uint_eq(bucket_of(&above), i + 1);
    }
}
END_TEST

START_TEST(what_is_beyond_all_bounds_is_in_the_last_bucket)
{
    struct tracez_histogram histogram = {0};

    histogram_add(&histogram, tracez_batch_spans_bounds, 65536);
    histogram_add(&histogram, tracez_batch_spans_bounds, 40000);
    histogram_add(&histogram, tracez_batch_spans_bounds, 0);

    ck_assert_uint_eq(histogram.buckets[TRACEZ_HISTOGRAM_BOUNDS], 2);
    ck_assert_uint_eq(histogram.buckets[0], 1);
    ck_assert_uint_eq(histogram.sum, 105536);
}
END_TEST

/* ---- Endings ------------------------------------------------------------------------------- */

START_TEST(three_retries_and_then_success_are_four_attempts_and_one_batch)
{
    const struct backend_step busy = {.status = 503};
    struct exporting exporting = exporting_begin(STEPS(busy, busy, busy));

    exporting_flush_spans(&exporting, 7);
    wait_settled(exporting.tracer, 7);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.attempts, 4);
    ck_assert_uint_eq(end.stats.failed_attempts, 3);
    ck_assert_uint_eq(end.stats.retries, 3);
    ck_assert_uint_eq(end.stats.batches, 1);
    ck_assert_uint_eq(end.stats.exported, 7);
    ck_assert_uint_eq(histogram_count(&end.stats.failed_duration_ns), 3);
    ck_assert_uint_eq(bucket_of(&end.stats.batch_spans), 2); /* 5 to 16 */
    ck_assert_uint_eq(end.stats.batch_spans.sum, 7);
    ck_assert_uint_gt(end.stats.last_error_unix_ns, 0);
    ck_assert_uint_ge(end.stats.last_success_unix_ns, end.stats.last_error_unix_ns);
}
END_TEST

START_TEST(what_works_at_once_is_no_retry_and_no_error)
{
    struct exporting exporting = exporting_begin(NULL, 0);

    for (uint64_t spans = 1; spans <= 3; spans++) {
        exporting_flush_spans(&exporting, 1);
        wait_settled(exporting.tracer, spans);
    }

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.attempts, 3);
    ck_assert_uint_eq(end.stats.retries, 0);
    ck_assert_uint_eq(end.stats.last_error_unix_ns, 0);
    ck_assert_str_eq(end.stats.last_error, "");
    ck_assert_uint_eq(end.stats.batch_spans.buckets[0], 3);
}
END_TEST

START_TEST(refusals_are_counted_by_reason_and_not_as_exported)
{
    struct exporting exporting = exporting_begin(
        STEPS({.status = 400}, {.body = "{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}"}));

    exporting_flush_spans(&exporting, 2);
    wait_settled(exporting.tracer, 2);
    exporting_flush_spans(&exporting, 10);
    wait_settled(exporting.tracer, 12);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.dropped[TRACEZ_DROP_REJECTED], 2);
    ck_assert_uint_eq(end.stats.dropped[TRACEZ_DROP_PARTIAL_REJECTED], 3);
    ck_assert_uint_eq(end.stats.exported, 7);
    ck_assert_uint_eq(end.stats.batches, 1);
    ck_assert_uint_eq(end.stats.batch_spans.sum, 10); /* as sent */
}
END_TEST

START_TEST(a_batch_that_is_given_up_counts_its_retries_and_its_spans)
{
    const struct backend_step busy = {.status = 503};
    struct exporting exporting =
        exporting_init(STEPS(busy, busy, busy, busy, busy, busy, busy, busy, busy, busy));
    exporting.config.retry_min_ms = exporting.config.retry_max_ms = 200;
    exporting.config.retry_max_elapsed_ms = 1;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 4);
    wait_settled(exporting.tracer, 4);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.dropped[TRACEZ_DROP_RETRY_EXHAUSTED], 4);
    ck_assert_uint_eq(end.stats.retries, 0);
    ck_assert_uint_eq(end.stats.failed_attempts, 1);
}
END_TEST

/* ---- On their way -------------------------------------------------------------------------- */

START_TEST(what_is_on_its_way_is_counted_until_it_is_answered)
{
    const struct backend_step hold = {.action = BACKEND_HOLD};
    struct exporting exporting = exporting_begin(STEPS(hold, hold));

    exporting_flush_spans(&exporting, 15);
    backend_wait_requests(exporting.backend, 2);
    struct tracez_exporter_stats under_way = exporter_stats(exporting.exporter);
    backend_release(exporting.backend, 0);
    backend_release(exporting.backend, 1);
    wait_settled(exporting.tracer, 15);

    ck_assert_uint_eq(under_way.requests_inflight, 2);
    ck_assert_uint_eq(under_way.inflight, 15);
    ck_assert_uint_eq(under_way.attempts, 0);
    exporting_end(&exporting);
}
END_TEST

START_TEST(an_attempt_takes_as_long_as_its_answer_was_held_back)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));
    uint64_t began_ns = now_ns();

    exporting_flush_spans(&exporting, 1);
    backend_wait_requests(exporting.backend, 1);
    wait_turn(&exporting); /* a moment, however short */
    uint64_t held_ns = now_ns() - began_ns;
    uint64_t arrival_ns = backend_arrival_ns(exporting.backend, 0);
    uint64_t released_ns = now_ns();
    backend_release(exporting.backend, 0);
    wait_settled(exporting.tracer, 1);
    uint64_t took_at_most_ns = now_ns() + 1000000 - began_ns;

    struct tracez_histogram duration_ns = exporting_end(&exporting).stats.duration_ns;
    if (released_ns > arrival_ns) { /* the clock of this test has a step of a millisecond */
        ck_assert_uint_ge(duration_ns.sum, released_ns - arrival_ns);
    }
    ck_assert_uint_le(duration_ns.sum, took_at_most_ns);
    ck_assert_uint_ge(took_at_most_ns, held_ns);
    struct tracez_histogram expected = {0};
    histogram_add(&expected, tracez_export_duration_bounds_ns, duration_ns.sum);
    ck_assert_uint_eq(bucket_of(&duration_ns), bucket_of(&expected));
}
END_TEST

START_TEST(what_is_cut_off_is_on_its_way_no_more)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));
    uint64_t took_ms;

    exporting_flush_spans(&exporting, 3);
    backend_wait_requests(exporting.backend, 1);
    ck_assert_int_eq(exporter_stop_timed(exporting.exporter, 50, false, &took_ms), TRACEZ_OK);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 3);
    ck_assert_uint_eq(end.stats.attempts, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_stats");
    TCase *histograms = case_of(suite, "histograms");
    TCase *endings = case_of(suite, "endings");
    TCase *under_way = case_of(suite, "under_way");

    tcase_add_loop_test(histograms, a_value_at_a_bound_is_below_it_and_one_more_is_above, 0, 2);
    tcase_add_test(histograms, what_is_beyond_all_bounds_is_in_the_last_bucket);
    tcase_add_test(endings, three_retries_and_then_success_are_four_attempts_and_one_batch);
    tcase_add_test(endings, what_works_at_once_is_no_retry_and_no_error);
    tcase_add_test(endings, refusals_are_counted_by_reason_and_not_as_exported);
    tcase_add_test(endings, a_batch_that_is_given_up_counts_its_retries_and_its_spans);
    tcase_add_test(under_way, what_is_on_its_way_is_counted_until_it_is_answered);
    tcase_add_test(under_way, an_attempt_takes_as_long_as_its_answer_was_held_back);
    tcase_add_test(under_way, what_is_cut_off_is_on_its_way_no_more);
    return run_suite(suite);
}
