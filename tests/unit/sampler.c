/* SPDX-License-Identifier: MIT
 *
 * Goal: samplers decide as published: ratio by the right-most 56 bits of the trace id alone, so
 * that every service decides alike; parent-based by the parent's flag alone; and a root that was
 * kept at less than every time says so in ot=th:. Method: bad rates first; then the exact bits next
 * to a threshold; then statistics, 4 sigma on 100,000 ids, from a fixed seed where samplers are
 * asked directly. */
#include "spans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define IDS_COUNT 100000
#define FIRST_RANDOM_BYTE 9 /* of 16: 7 bytes, 56 bits */

static struct tracez_sampling_decision ask(const struct tracez_sampler *sampler,
                                           const uint8_t trace_id[16],
                                           const struct tracez_context *parent)
{
    const struct tracez_sampling_query query = {
        .parent = parent,
        .trace_id = trace_id,
        .kind = TRACEZ_KIND_SERVER,
        .name = {"name", 4},
    };
    struct tracez_sampling_decision decision = {0};

    sampler->decide(sampler, &query, &decision);
    return decision;
}

static struct tracez_sampling_decision decide(const struct tracez_sampler *sampler,
                                              const uint8_t trace_id[16],
                                              const struct tracez_context *parent)
{
    struct tracez_sampling_decision decision = ask(sampler, trace_id, parent);

    ck_assert_ptr_nonnull(decision.reason);
    ck_assert(decision.rate >= 0.0 && decision.rate <= 1.0);
    return decision;
}

/* An id whose right-most 56 bits are these; the others are all set or all clear. */
static void make_id(uint8_t trace_id[16], uint64_t randomness, uint8_t others)
{
    memset(trace_id, others, 16);
    for (int i = 15; i >= FIRST_RANDOM_BYTE; i--) {
        trace_id[i] = (uint8_t)randomness;
        randomness >>= 8;
    }
}

/* splitmix64: the same numbers everywhere, and much faster than random() for whole words. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t word = *state += 0x9e3779b97f4a7c15U;

    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9U;
    word = (word ^ word >> 27) * 0x94d049bb133111ebU;
    return word ^ word >> 31;
}

/* Asserts nothing an id: Check writes a line down for each assertion, and that took seconds. */
static unsigned count_kept(const struct tracez_sampler *sampler, uint64_t seed)
{
    unsigned kept = 0;

    for (int i = 0; i < IDS_COUNT; i++) {
        const uint64_t words[2] = {next_random(&seed), next_random(&seed)};
        uint8_t trace_id[16];
        memcpy(trace_id, words, sizeof(trace_id));
        kept += ask(sampler, trace_id, NULL).record;
    }
    return kept;
}

START_TEST(a_rate_that_is_no_number_or_below_zero_keeps_nothing)
{
    static const double rates[] = {(double)NAN, -0.0, 0.0, -1e-300, -1.0, -(double)INFINITY};

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct tracez_sampler sampler = tracez_sampler_ratio(rates[i]);
        uint8_t highest[16];
        make_id(highest, (1ULL << 56) - 1, 0xff);

        struct tracez_sampling_decision decision = decide(&sampler, highest, NULL);

        ck_assert(!decision.record && !decision.sampled);
        ck_assert_uint_eq(decision.threshold, 0);
        ck_assert_uint_eq(count_kept(&sampler, 1), 0);
    }
}
END_TEST

START_TEST(a_rate_of_one_or_more_keeps_everything_and_publishes_nothing)
{
    static const double rates[] = {1.0, 1.0000001, 1e300, (double)INFINITY};

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct tracez_sampler sampler = tracez_sampler_ratio(rates[i]);
        uint8_t lowest[16];
        make_id(lowest, 0, 0);
        lowest[0] = 1;

        struct tracez_sampling_decision decision = decide(&sampler, lowest, NULL);

        ck_assert(decision.record && decision.sampled);
        ck_assert_uint_eq(decision.threshold, 0);
        ck_assert_uint_eq(count_kept(&sampler, 1), IDS_COUNT);
    }
}
END_TEST

START_TEST(the_smallest_and_the_largest_rates_stay_within_bounds)
{
    struct tracez_sampler smallest = tracez_sampler_ratio(4.9e-324);
    struct tracez_sampler largest = tracez_sampler_ratio(nextafter(1.0, 0.0));

    ck_assert_uint_eq(count_kept(&smallest, 2), 0);
    ck_assert_uint_eq(count_kept(&largest, 2), IDS_COUNT);
}
END_TEST

START_TEST(ratio_looks_at_the_right_most_56_bits_only)
{
    struct tracez_sampler half = tracez_sampler_ratio(0.5);
    const uint64_t threshold = 1ULL << 55;
    uint8_t trace_id[16];

    for (unsigned others = 0; others < 256; others++) {
        make_id(trace_id, threshold - 1, (uint8_t)others);
        ck_assert(!decide(&half, trace_id, NULL).record);
        make_id(trace_id, threshold, (uint8_t)others);
        ck_assert(decide(&half, trace_id, NULL).record);
    }
}
END_TEST

START_TEST(what_a_lower_rate_keeps_every_higher_rate_keeps)
{
    static const double rates[] = {0.001, 0.01, 0.1, 1.0 / 3, 0.5, 0.9, 1.0};
    unsigned broken = 0;

    srandom(3);
    for (int i = 0; i < 10000; i++) {
        uint8_t trace_id[16];
        bool kept = false;
        make_id(trace_id, (uint64_t)random() << 26 ^ (uint64_t)random(), (uint8_t)random());

        for (size_t j = 0; j < sizeof(rates) / sizeof(rates[0]); j++) {
            struct tracez_sampler sampler = tracez_sampler_ratio(rates[j]);
            bool keeps = ask(&sampler, trace_id, NULL).record;
            broken += kept && !keeps;
            kept = keeps;
        }
        broken += !kept;
    }

    ck_assert_uint_eq(broken, 0);
}
END_TEST

START_TEST(a_rate_is_kept_within_4_sigma)
{
    static const double rates[] = {0.01, 0.1, 0.25, 0.5, 0.9, 0.99};

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct tracez_sampler sampler = tracez_sampler_ratio(rates[i]);
        double sigma = sqrt(IDS_COUNT * rates[i] * (1.0 - rates[i]));

        unsigned kept = count_kept(&sampler, 11 + i);

        ck_assert_msg(fabs(kept - IDS_COUNT * rates[i]) < 4.0 * sigma, "rate %f kept %u", rates[i],
                      kept);
    }
}
END_TEST

START_TEST(a_tracers_own_ids_are_kept_at_its_rate_within_5_sigma)
{
    struct tracez_config config;
    struct tracez_sampler ratio = tracez_sampler_ratio(0.1);
    double sigma = sqrt(IDS_COUNT * 0.1 * 0.9);

    tracez_config_init(&config);
    config.sampler = tracez_sampler_parent_based(&ratio);
    struct tracez_tracer *tracer = tracer_create(&config);
    spans_pass(tracer, IDS_COUNT);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.started, IDS_COUNT);
    ck_assert(fabs((double)stats.recorded - IDS_COUNT * 0.1) < 5.0 * sigma);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(parent_based_follows_the_flag_and_never_asks_the_root_sampler)
{
    struct tracez_sampler never = tracez_sampler_never();
    struct tracez_sampler always = tracez_sampler_always();
    struct tracez_sampler or_never = tracez_sampler_parent_based(&never);
    struct tracez_sampler or_always = tracez_sampler_parent_based(&always);
    uint8_t trace_id[16] = {1};
    struct tracez_context parent = {.trace_id = {1}, .span_id = {1}};

    for (unsigned remote = 0; remote < 2; remote++) {
        parent.is_remote = remote == 1;
        parent.flags = TRACEZ_FLAG_RANDOM;
        ck_assert(!decide(&or_always, trace_id, &parent).record);
        ck_assert(!decide(&or_always, trace_id, &parent).sampled);
        parent.flags = TRACEZ_FLAG_SAMPLED;
        ck_assert(decide(&or_never, trace_id, &parent).record);
        ck_assert(decide(&or_never, trace_id, &parent).sampled);
    }
    ck_assert(!decide(&or_never, trace_id, NULL).record);
    ck_assert(decide(&or_always, trace_id, NULL).record);
}
END_TEST

START_TEST(each_decision_names_its_reason)
{
    struct tracez_sampler never = tracez_sampler_never();
    struct tracez_sampler always = tracez_sampler_always();
    struct tracez_sampler ratio = tracez_sampler_ratio(0.5);
    struct tracez_sampler parent_based = tracez_sampler_parent_based(&ratio);
    struct tracez_context parent = {.trace_id = {1}, .span_id = {1}};
    uint8_t trace_id[16] = {1};

    ck_assert_str_eq(decide(&never, trace_id, NULL).reason, "never");
    ck_assert_str_eq(decide(&always, trace_id, NULL).reason, "always");
    ck_assert_str_eq(decide(&ratio, trace_id, NULL).reason, "ratio");
    ck_assert_str_eq(decide(&parent_based, trace_id, NULL).reason, "ratio");
    ck_assert_str_eq(decide(&parent_based, trace_id, &parent).reason, "parent");
    ck_assert_double_eq(decide(&ratio, trace_id, NULL).rate, 0.5);
}
END_TEST

static struct tracez_tracer *create_with_rate(double rate)
{
    struct tracez_sampler ratio = tracez_sampler_ratio(rate);
    struct tracez_config config;

    tracez_config_init(&config);
    config.sampler = ratio;
    return tracer_create(&config);
}

START_TEST(a_root_kept_below_rate_one_publishes_its_threshold_and_others_do_not)
{
    struct tracez_tracer *tracer = create_with_rate(0.5);
    unsigned kept = 0;

    for (int i = 0; i < 200; i++) {
        struct tracez_context own;
        char tracestate[TRACEZ_TRACESTATE_TEXT_BYTES];

        struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "r", NULL, &own);
        size_t bytes = tracez_context_format_tracestate(&own, tracestate, sizeof(tracestate));

        bool sampled = (own.flags & TRACEZ_FLAG_SAMPLED) != 0;
        kept += sampled;
        ck_assert_str_eq(tracestate, sampled ? "ot=th:8" : "");
        ck_assert_uint_eq(bytes, strlen(tracestate));
        ck_assert(tracez_span_is_recording(span) == sampled);
        tracez_span_finish(span);
    }

    ck_assert_uint_gt(kept, 0);
    ck_assert_uint_lt(kept, 200);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_root_kept_every_time_publishes_no_threshold)
{
    struct tracez_tracer *tracer = create_with_rate(1.0);
    struct tracez_context own;
    char tracestate[TRACEZ_TRACESTATE_TEXT_BYTES];

    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "r", NULL, &own));
    size_t bytes = tracez_context_format_tracestate(&own, tracestate, sizeof(tracestate));

    ck_assert_uint_eq(own.threshold, 0);
    ck_assert_uint_eq(bytes, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_local_child_hands_on_the_threshold_of_its_root)
{
    struct tracez_sampler half = tracez_sampler_ratio(0.5);
    struct tracez_config config;
    struct tracez_context root;
    struct tracez_context child;
    struct tracez_span span = {0};

    tracez_config_init(&config);
    config.sampler = tracez_sampler_parent_based(&half);
    struct tracez_tracer *tracer = tracer_create(&config);
    while (!tracez_span_is_recording(span)) {
        span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "root", NULL, &root);
    }
    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "child", &root, &child));

    ck_assert_uint_eq(child.threshold, 1ULL << 55);
    tracez_span_finish(span);
    tracez_tracer_destroy(tracer);
}
END_TEST

static const int sampler_state = 0;

static void record_but_do_not_sample(const struct tracez_sampler *sampler,
                                     const struct tracez_sampling_query *query,
                                     struct tracez_sampling_decision *decision)
{
    ck_assert_ptr_eq(sampler->state, &sampler_state);
    assert_text(query->name, "own sampler");
    ck_assert_int_eq(query->kind, TRACEZ_KIND_CONSUMER);
    *decision = (struct tracez_sampling_decision){.record = true, .rate = 0.25, .reason = "mine"};
}

START_TEST(a_sampler_of_ones_own_decides_recording_and_flag_apart)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_sampler own_sampler = {.decide = record_but_do_not_sample,
                                         .state = &sampler_state};
    struct tracez_sampling_decision decision = {0};
    struct tracez_span_options options = {
        .kind = TRACEZ_KIND_CONSUMER,
        .name = {"own sampler", 11},
        .sampler = &own_sampler,
        .decision = &decision,
    };
    struct tracez_context own;

    struct tracez_span span = tracez_span_start_with(tracer, &options, &own);
    bool was_recording = tracez_span_is_recording(span);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert(was_recording);
    ck_assert_uint_eq(own.flags & TRACEZ_FLAG_SAMPLED, 0);
    ck_assert_str_eq(decision.reason, "mine");
    ck_assert_double_eq(decision.rate, 0.25);
    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(spans.records[0].flags & TRACEZ_FLAG_SAMPLED, 0);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *rates = case_of(suite, "rates");
    TCase *parents = case_of(suite, "parents");
    TCase *threshold = case_of(suite, "threshold");

    tcase_add_test(rates, a_rate_that_is_no_number_or_below_zero_keeps_nothing);
    tcase_add_test(rates, a_rate_of_one_or_more_keeps_everything_and_publishes_nothing);
    tcase_add_test(rates, the_smallest_and_the_largest_rates_stay_within_bounds);
    tcase_add_test(rates, ratio_looks_at_the_right_most_56_bits_only);
    tcase_add_test(rates, what_a_lower_rate_keeps_every_higher_rate_keeps);
    tcase_add_test(rates, a_rate_is_kept_within_4_sigma);
    tcase_add_test(rates, a_tracers_own_ids_are_kept_at_its_rate_within_5_sigma);
    tcase_add_test(parents, parent_based_follows_the_flag_and_never_asks_the_root_sampler);
    tcase_add_test(parents, each_decision_names_its_reason);
    tcase_add_test(parents, a_sampler_of_ones_own_decides_recording_and_flag_apart);
    tcase_add_test(threshold, a_root_kept_below_rate_one_publishes_its_threshold_and_others_do_not);
    tcase_add_test(threshold, a_root_kept_every_time_publishes_no_threshold);
    tcase_add_test(threshold, a_local_child_hands_on_the_threshold_of_its_root);
    return run_suite(suite);
}
