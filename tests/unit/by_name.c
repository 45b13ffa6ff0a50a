/* SPDX-License-Identifier: MIT
 *
 * Goal: names get their own rates, the first that fits; all others are left to the sampler behind.
 * Method: bad input first, then rates of 0 and 1, where every single decision is known. */
#include "spans.h"

#include <tracez/sampler.h>

#include <math.h>

static const struct tracez_name_rate rates[] = {
    {"GET /health", 0},
    {"GET /admin*", 1},
    {"GET /*", 0},
    {"*", 0.5},
};

static struct tracez_sampler by_name(const struct tracez_name_rates *names)
{
    struct tracez_sampler sampler;
    struct tracez_error error;

    ck_assert_msg(tracez_sampler_by_name(names, &sampler, &error) == TRACEZ_OK, "%s", error.text);
    return sampler;
}

static struct tracez_tracer *tracer_with(struct tracez_sampler sampler)
{
    struct tracez_config config;
    const struct tracez_collector_config collector = {.name = "default", .writers = 1};

    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.sampler = sampler;
    return tracer_create(&config);
}

static void assert_refused(const struct tracez_name_rate *bad, size_t count, const char *expected)
{
    const struct tracez_name_rates names = {bad, count, NULL};
    struct tracez_sampler sampler = {.rate = 42};
    struct tracez_error error;

    ck_assert_int_eq(tracez_sampler_by_name(&names, &sampler, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, expected);
    ck_assert(sampler.decide == NULL && sampler.rate == 42);
}

START_TEST(a_bad_rate_name_or_number_of_them_is_refused_by_a_text_that_names_it)
{
    static const struct tracez_name_rate many[65];

    assert_refused(&(struct tracez_name_rate){"GET", (double)NAN}, 1,
                   "rate nan of name \"GET\" rejected: 0 to 1");
    assert_refused(&(struct tracez_name_rate){"GET", -0.1}, 1,
                   "rate -0.1 of name \"GET\" rejected: 0 to 1");
    assert_refused(&(struct tracez_name_rate){"GET", 1.5}, 1,
                   "rate 1.5 of name \"GET\" rejected: 0 to 1");
    assert_refused(&(struct tracez_name_rate){"", 1}, 1,
                   "name 1 with a rate rejected: it is empty");
    assert_refused(&(struct tracez_name_rate){NULL, 1}, 1,
                   "name 1 with a rate rejected: it is empty");
    assert_refused(many, 65, "65 names with rates rejected: up to 64");
}
END_TEST

START_TEST(the_first_name_that_fits_decides)
{
    const struct tracez_name_rates names = {rates, 3, NULL};
    struct tracez_tracer *tracer = tracer_with(by_name(&names));

    span_pass(tracer, "GET /health");
    span_pass(tracer, "GET /admin/users");
    span_pass(tracer, "GET /shop");
    span_pass(tracer, "GET /healthy");
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    assert_text(spans.records[0].name, "GET /admin/users");
    assert_tag_string(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY), "name");
    assert_tag_string(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_REASON), "name");
    ck_assert_uint_eq(books(tracer).not_recorded, 3);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(other_names_are_kept_and_say_nothing_or_are_left_to_the_next_sampler)
{
    const struct tracez_sampler never = tracez_sampler_never();
    const struct tracez_name_rates kept = {rates, 3, NULL};
    const struct tracez_name_rates left = {rates, 3, &never};
    struct tracez_tracer *tracer = tracer_with(by_name(&kept));
    struct tracez_tracer *strict = tracer_with(by_name(&left));

    span_pass(tracer, "POST /shop");
    span_pass(strict, "POST /shop");
    span_pass(strict, "GET /admin");
    struct spans spans = spans_drain_first(tracer);
    struct spans few = spans_drain_first(strict);

    ck_assert_uint_eq(spans.count, 1);
    assert_no_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY));
    assert_no_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_RATE));
    ck_assert_uint_eq(few.count, 1);
    assert_text(few.records[0].name, "GET /admin");
    spans_free(&spans);
    spans_free(&few);
    tracez_tracer_destroy(tracer);
    tracez_tracer_destroy(strict);
}
END_TEST

START_TEST(a_share_of_a_name_is_chosen_by_the_trace_id_and_published)
{
    const struct tracez_name_rates names = {rates, 4, NULL};
    struct tracez_tracer *tracer = tracer_with(by_name(&names));
    unsigned kept = 0;

    for (int i = 0; i < 10000; i++) {
        struct tracez_context own;
        struct tracez_span span =
            tracez_span_start(tracer, TRACEZ_KIND_SERVER, "POST /shop", NULL, &own);

        ck_assert_int_eq(tracez_span_is_recording(span), (own.trace_id[9] & 0x80) != 0);
        ck_assert_uint_eq(own.threshold,
                          tracez_span_is_recording(span) ? UINT64_C(1) << 55 : UINT64_C(0));
        kept += tracez_span_is_recording(span);
        tracez_span_finish(span);
        struct spans spans = spans_drain_first(tracer);
        spans_free(&spans);
    }
    ck_assert_uint_ge(kept, 4800); /* 4 sigma are 200 */
    ck_assert_uint_le(kept, 5200);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_without_a_name_is_one_of_all_names)
{
    static const struct tracez_name_rate all[] = {{"*", 0}};
    const struct tracez_name_rates names = {all, 1, NULL};
    struct tracez_tracer *tracer = tracer_with(by_name(&names));

    tracez_span_finish(tracez_span_start_with(tracer, &(struct tracez_span_options){0}, NULL));

    ck_assert_uint_eq(books(tracer).not_recorded, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(behind_a_parent_based_sampler_names_decide_only_where_nobody_did)
{
    const struct tracez_name_rates names = {rates, 3, NULL};
    const struct tracez_sampler sampler = by_name(&names);
    struct tracez_tracer *tracer = tracer_with(tracez_sampler_parent_based(&sampler));
    const struct tracez_context sampled = {
        .trace_id = {1}, .span_id = {2}, .flags = TRACEZ_FLAG_SAMPLED, .is_remote = true};

    tracez_span_finish(
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /health", &sampled, NULL));
    span_pass(tracer, "GET /health");
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(spans.records[0].trace_id[0], 1);
    assert_no_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("by name");
    TCase *refused = case_of(suite, "refused");
    TCase *decided = case_of(suite, "decided");

    tcase_add_test(refused, a_bad_rate_name_or_number_of_them_is_refused_by_a_text_that_names_it);
    tcase_add_test(decided, the_first_name_that_fits_decides);
    tcase_add_test(decided, other_names_are_kept_and_say_nothing_or_are_left_to_the_next_sampler);
    tcase_add_test(decided, a_share_of_a_name_is_chosen_by_the_trace_id_and_published);
    tcase_add_test(decided, a_span_without_a_name_is_one_of_all_names);
    tcase_add_test(decided, behind_a_parent_based_sampler_names_decide_only_where_nobody_did);
    return run_suite(suite);
}
