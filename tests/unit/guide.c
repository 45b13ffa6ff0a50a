/* SPDX-License-Identifier: MIT
 *
 * Goal: what docs/production.md shows is so: three collectors of different sizes that do not harm
 * each other, and errors that say their category and no more.
 * Method: its configuration, one kind of span at a time. */
#include "spans.h"

#include <tracez/keys.h>

#include <string.h>

enum { ERRORS, HTTP, JOBS, COLLECTORS };

/* 100 errors a second for 5 s, 1,000 requests for 15 s, 50 jobs for 60 s. */
static struct tracez_tracer *tracer_of_the_guide(void)
{
    const struct tracez_collector_config collectors[COLLECTORS] = {
        [ERRORS] = {.name = "errors",
                    .spans_max = tracez_collector_capacity_for(100, 5000),
                    .match = TRACEZ_MATCH_ERRORS},
        [HTTP] = {.name = "http", .spans_max = tracez_collector_capacity_for(1000, 15000)},
        [JOBS] = {.name = "jobs",
                  .spans_max = tracez_collector_capacity_for(50, 60000),
                  .match = TRACEZ_MATCH_NAMED_ONLY},
    };
    struct tracez_config config;

    tracez_config_init(&config);
    config.collectors = collectors;
    config.collector_count = COLLECTORS;
    return tracer_create(&config);
}

static void fail_request(struct tracez_tracer *tracer)
{
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /", NULL, NULL);

    tracez_span_set_error(span, "timeout", "the database did not answer within 2 s");
    tracez_span_finish(span);
}

static void run_job(struct tracez_tracer *tracer)
{
    const struct tracez_span_options options = {
        .name = {"rebuild index", strlen("rebuild index")},
        .collector = tracez_tracer_find_collector(tracer, "jobs"),
    };

    tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
}

static struct tracez_collector_stats stats_of(struct tracez_tracer *tracer, size_t index)
{
    return collector_books(tracez_tracer_collector(tracer, index));
}

START_TEST(each_collector_is_sized_for_its_rate_and_interval)
{
    struct tracez_tracer *tracer = tracer_of_the_guide();

    ck_assert_uint_eq(stats_of(tracer, ERRORS).spans_max, 750);
    ck_assert_uint_eq(stats_of(tracer, HTTP).spans_max, 22500);
    ck_assert_uint_eq(stats_of(tracer, JOBS).spans_max, 4500);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(each_span_waits_in_the_collector_that_it_is_for)
{
    struct tracez_tracer *tracer = tracer_of_the_guide();

    spans_pass(tracer, 3);
    fail_request(tracer);
    run_job(tracer);
    run_job(tracer);

    ck_assert_uint_eq(stats_of(tracer, ERRORS).queued, 1);
    ck_assert_uint_eq(stats_of(tracer, HTTP).queued, 3);
    ck_assert_uint_eq(stats_of(tracer, JOBS).queued, 2);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_storm_of_errors_fills_its_own_collector_and_is_counted_there)
{
    struct tracez_tracer *tracer = tracer_of_the_guide();

    for (int i = 0; i < 2000; i++) {
        fail_request(tracer);
    }
    spans_pass(tracer, 100);

    struct tracez_collector_stats errors = stats_of(tracer, ERRORS);
    struct tracez_collector_stats http = stats_of(tracer, HTTP);
    ck_assert_uint_eq(errors.queued + errors.dropped[TRACEZ_DROP_QUEUE_FULL], 2000);
    ck_assert_uint_ge(errors.dropped[TRACEZ_DROP_QUEUE_FULL], 2000 - 750);
    ck_assert_uint_ge(errors.pressure_percent, 90);
    ck_assert_uint_eq(http.queued, 100);
    ck_assert_uint_eq(http.dropped[TRACEZ_DROP_QUEUE_FULL], 0);
    ck_assert_uint_eq(http.pressure_percent, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(an_error_has_its_category_and_its_message_and_no_tag_more)
{
    struct tracez_tracer *tracer = tracer_of_the_guide();

    fail_request(tracer);

    struct spans spans = spans_drain_first(tracer);
    ck_assert_uint_eq(spans.count, 1);
    ck_assert_int_eq(spans.records[0].status, TRACEZ_STATUS_ERROR);
    ck_assert_uint_eq(spans.records[0].tag_count, 1);
    assert_tag_string(&spans.records[0], TRACEZ_KEY(ERROR_TYPE), "timeout");
    assert_text(spans.records[0].status_message, "the database did not answer within 2 s");
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guide");
    TCase *collectors = case_of(suite, "collectors");
    TCase *errors = case_of(suite, "errors");

    tcase_add_test(collectors, each_collector_is_sized_for_its_rate_and_interval);
    tcase_add_test(collectors, each_span_waits_in_the_collector_that_it_is_for);
    tcase_add_test(collectors, a_storm_of_errors_fills_its_own_collector_and_is_counted_there);
    tcase_add_test(errors, an_error_has_its_category_and_its_message_and_no_tag_more);
    return run_suite(suite);
}
