/* SPDX-License-Identifier: MIT
 *
 * A program in which each probe fires, of which test_probes.py knows how often and with what: a
 * span that ends, one that finds no place, one that finds its collector full; then batches, of
 * which the first is put off and tried again, and the last one refused. */
#include "exporting.h"

#define SPANS_MAX 10
#define DURATION_NS 1234567

static void fire_in_spans(struct tracez_tracer *tracer)
{
    struct tracez_span span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /probed", NULL, NULL);
    struct tracez_span too_many =
        tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "no place", NULL, NULL);

    tracez_span_finish(too_many);
    tracez_span_set_status(span, TRACEZ_STATUS_ERROR, NULL);
    tracez_span_finish_after(span, DURATION_NS);
    spans_pass(tracer, SPANS_MAX); /* one more than there is room for */
}

START_TEST(each_probe_fires)
{
    struct exporting exporting =
        exporting_init(STEPS({.status = 503}, {.status = 200}, {.status = 400}));
    struct tracez_config config;

    tracez_tracer_destroy(exporting.tracer);
    tracez_config_init(&config);
    config.spans_max = SPANS_MAX;
    config.live_spans_max = 1;
    exporting.tracer = tracer_create(&config);
    fire_in_spans(exporting.tracer);
    exporting.config.batch_size = SPANS_MAX;
    exporting_start(&exporting);
    wait_settled(exporting.tracer, SPANS_MAX + 2);
    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, SPANS_MAX + 2 + 3);
    struct exporting_end end = exporting_end(&exporting);

    ck_assert_uint_eq(end.books.exported, SPANS_MAX);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_NO_SLOT], 1);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_REJECTED], 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probed");

    tcase_add_test(case_of(suite, "probes"), each_probe_fires);
    return run_suite(suite);
}
