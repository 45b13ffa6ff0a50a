/* SPDX-License-Identifier: MIT
 *
 * Goal: a collector with a pace of its own leaves at that one, in portions of its own size,
 * whatever the others do; no collector holds up another, and the books of each are exact at the
 * end. Method: paces that are refused first; then two collectors, "errors" and "requests", of which
 * one is hurried and the other has no reason to leave. */
#include "exporting.h"

#include <string.h>

#define HOUR_MS 3600000

static const struct tracez_collector_config collectors[] = {
    {.name = "errors", .match = TRACEZ_MATCH_ERRORS, .writers = 1},
    {.name = "requests", .match = TRACEZ_MATCH_ALL, .writers = 1},
};

/* A whole set-up over those two, without an exporter yet. */
static struct exporting init_two(const struct backend_step *steps, size_t step_count)
{
    struct exporting exporting = exporting_init(steps, step_count);
    struct tracez_config config;

    tracez_tracer_destroy(exporting.tracer);
    tracez_config_init(&config);
    config.collectors = collectors;
    config.collector_count = 2;
    exporting.tracer = tracer_create(&config);
    return exporting;
}

/* Likewise, but with a pace for the errors, and started. */
static struct exporting begin_two(const struct backend_step *steps, size_t step_count,
                                  struct tracez_collector_pace pace)
{
    struct exporting exporting = init_two(steps, step_count);

    pace.collector = "errors";
    exporting.config.paces = &pace;
    exporting.config.pace_count = 1;
    exporting_start(&exporting);
    return exporting;
}

static void pass_errors(struct tracez_tracer *tracer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "e", NULL, NULL);
        tracez_span_set_error(span, "500", NULL);
        tracez_span_finish(span);
    }
}

static struct tracez_collector_stats books_of(const struct exporting *exporting, const char *name)
{
    return collector_books(tracez_tracer_find_collector(exporting->tracer, name));
}

/* ---- What is refused ----------------------------------------------------------------------- */

START_TEST(a_pace_that_makes_no_sense_is_refused_with_the_collectors_name)
{
    const struct {
        struct tracez_collector_pace pace;
        const char *sentence;
    } rows[] = {
        {{.collector = NULL}, "pace 0 rejected: it names no collector"},
        {{.collector = "slow", .interval_ms = 9},
         "interval_ms 9 of collector \"slow\" rejected: 10 to 3600000"},
        {{.collector = "slow", .interval_ms = 3600001},
         "interval_ms 3600001 of collector \"slow\" rejected: 10 to 3600000"},
        {{.collector = "slow", .batch_size = 65537},
         "batch_size 65537 of collector \"slow\" rejected: 1 to 65536"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tracez_exporter_config config;
        struct tracez_error error = {0};
        tracez_exporter_config_init(&config);
        config.paces = &rows[i].pace;
        config.pace_count = 1;

        ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
        ck_assert_str_eq(error.text, rows[i].sentence);
    }
}
END_TEST

START_TEST(two_paces_of_one_collector_are_refused_and_so_are_more_than_there_are_collectors)
{
    const struct tracez_collector_pace twice[] = {
        {.collector = "a"}, {.collector = "b"}, {.collector = "a"}};
    struct tracez_exporter_config config;
    struct tracez_error error = {0};
    tracez_exporter_config_init(&config);
    config.paces = twice;

    config.pace_count = 3;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, "pace of collector \"a\" rejected: it has one already");
    config.pace_count = TRACEZ_COLLECTORS_MAX + 1;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, "pace_count 17 rejected: 0 to 16");
    config.pace_count = 2;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_OK);
    config.paces = NULL;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, "paces rejected: pace_count is 2, and there is none");
}
END_TEST

START_TEST(a_pace_of_a_collector_that_is_not_there_is_refused)
{
    struct exporting exporting = init_two(NULL, 0);
    const struct tracez_collector_pace pace = {.collector = "mistakes", .interval_ms = 1000};
    struct tracez_exporter *exporter = NULL;
    struct tracez_error error = {0};
    exporting.config.paces = &pace;
    exporting.config.pace_count = 1;

    ck_assert_int_eq(tracez_exporter_create(&exporting.config, exporting.tracer, &exporter, &error),
                     TRACEZ_INVALID);

    ck_assert_str_eq(error.text,
                     "pace of collector \"mistakes\" rejected: the tracer has none of this name");
    ck_assert_ptr_null(exporter);
    exporting.config.pace_count = 0;
    exporting_start(&exporting);
    exporting_end(&exporting);
}
END_TEST

/* ---- Paces --------------------------------------------------------------------------------- */

START_TEST(a_collector_leaves_after_its_own_interval_while_the_slow_one_waits)
{
    struct exporting exporting =
        begin_two(NULL, 0, (struct tracez_collector_pace){.interval_ms = 20, .batch_size = 100});

    for (size_t round = 1; round <= 3; round++) {
        spans_pass(exporting.tracer, 3);
        pass_errors(exporting.tracer, 2);
        wait_settled(exporting.tracer, round * 2);
    }

    ck_assert_uint_eq(books_of(&exporting, "errors").exported, 6);
    ck_assert_uint_eq(books_of(&exporting, "requests").exported, 0);
    ck_assert_uint_eq(books_of(&exporting, "requests").queued, 9);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 15);
    ck_assert_uint_eq(end.accepted, 15);
}
END_TEST

START_TEST(each_collector_leaves_in_portions_of_its_own_size)
{
    struct exporting exporting =
        begin_two(NULL, 0, (struct tracez_collector_pace){.batch_size = 3});

    pass_errors(exporting.tracer, 2);
    spans_pass(exporting.tracer, 9);
    wait_turn(&exporting);
    ck_assert_uint_eq(backend_request_count(exporting.backend), 0);
    pass_errors(exporting.tracer, 1);
    wait_settled(exporting.tracer, 3);
    spans_pass(exporting.tracer, 1);
    wait_settled(exporting.tracer, 13);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 2);
    ck_assert_uint_eq(backend_body_spans(exporting.backend, 0), 3);
    ck_assert_uint_eq(backend_body_spans(exporting.backend, 1), 10);
    exporting_end(&exporting);
}
END_TEST

START_TEST(what_a_pace_does_not_say_is_the_exporters)
{
    struct exporting exporting = init_two(NULL, 0);
    const struct tracez_collector_pace pace = {.collector = "errors", .batch_size = 2};
    exporting.config.paces = &pace;
    exporting.config.pace_count = 1;
    exporting.config.interval_ms = 20;
    exporting_start(&exporting);

    pass_errors(exporting.tracer, 1);
    spans_pass(exporting.tracer, 1);
    wait_settled(exporting.tracer, 2);

    ck_assert_uint_eq(exporting_end(&exporting).stats.batches, 2);
}
END_TEST

START_TEST(a_flush_sends_what_waits_in_all_of_them)
{
    struct exporting exporting =
        begin_two(NULL, 0, (struct tracez_collector_pace){.interval_ms = HOUR_MS});

    pass_errors(exporting.tracer, 1);
    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 2);

    ck_assert_uint_eq(exporting_end(&exporting).stats.batches, 2);
}
END_TEST

/* ---- Beside each other --------------------------------------------------------------------- */

START_TEST(a_full_collector_does_not_hold_up_the_other)
{
    const struct backend_step hold = {.action = BACKEND_HOLD};
    struct exporting exporting =
        begin_two(STEPS(hold, hold, hold), (struct tracez_collector_pace){.batch_size = 1});

    spans_pass(exporting.tracer, 9000); /* more than it holds; two requests are on their way */
    backend_wait_requests(exporting.backend, 2);
    pass_errors(exporting.tracer, 1);
    backend_release(exporting.backend, 0);
    backend_wait_requests(exporting.backend, 3);

    /* The connection that became free is the errors', though hundreds of batches were before it. */
    ck_assert_uint_eq(backend_body_spans(exporting.backend, 2), 1);
    ck_assert_ptr_nonnull(strstr(backend_body(exporting.backend, 2), "\"error.type\""));
    ck_assert_uint_gt(books_of(&exporting, "requests").dropped[TRACEZ_DROP_QUEUE_FULL], 0);
    ck_assert_uint_eq(books_of(&exporting, "errors").dropped[TRACEZ_DROP_QUEUE_FULL], 0);
    backend_release(exporting.backend, 1);
    backend_release(exporting.backend, 2);
    tracez_exporter_flush(exporting.exporter);
    wait_settled(exporting.tracer, 9001);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported + end.books.dropped[TRACEZ_DROP_QUEUE_FULL], 9001);
}
END_TEST

START_TEST(stop_in_mid_flight_counts_the_spans_of_each_exactly)
{
    const struct backend_step hold = {.action = BACKEND_HOLD};
    struct exporting exporting =
        begin_two(STEPS({.status = 200}, hold), (struct tracez_collector_pace){.batch_size = 4});
    uint64_t took_ms;

    pass_errors(exporting.tracer, 4);
    wait_settled(exporting.tracer, 4);
    spans_pass(exporting.tracer, 10);
    backend_wait_requests(exporting.backend, 2);
    pass_errors(exporting.tracer, 3);
    spans_pass(exporting.tracer, 5);
    ck_assert_int_eq(exporter_stop_timed(exporting.exporter, 1000, false, &took_ms), TRACEZ_OK);

    struct tracez_collector_stats errors = books_of(&exporting, "errors");
    struct tracez_collector_stats requests = books_of(&exporting, "requests");
    ck_assert_uint_eq(errors.exported, 7); /* the second connection was free */
    ck_assert_uint_eq(requests.exported, 5);
    ck_assert_uint_eq(requests.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 10);
    ck_assert_uint_eq(errors.queued + errors.inflight + requests.queued + requests.inflight, 0);
    exporting_end(&exporting);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_pace");
    TCase *refused = case_of(suite, "refused");
    TCase *paces = case_of(suite, "paces");
    TCase *beside = case_of(suite, "beside");

    tcase_add_test(refused, a_pace_that_makes_no_sense_is_refused_with_the_collectors_name);
    tcase_add_test(
        refused, two_paces_of_one_collector_are_refused_and_so_are_more_than_there_are_collectors);
    tcase_add_test(refused, a_pace_of_a_collector_that_is_not_there_is_refused);
    tcase_add_test(paces, a_collector_leaves_after_its_own_interval_while_the_slow_one_waits);
    tcase_add_test(paces, each_collector_leaves_in_portions_of_its_own_size);
    tcase_add_test(paces, what_a_pace_does_not_say_is_the_exporters);
    tcase_add_test(paces, a_flush_sends_what_waits_in_all_of_them);
    tcase_add_test(beside, a_full_collector_does_not_hold_up_the_other);
    tcase_add_test(beside, stop_in_mid_flight_counts_the_spans_of_each_exactly);
    return run_suite(suite);
}
