/* SPDX-License-Identifier: MIT
 *
 * Goal: no more spans than so many a second and a burst, whatever callers force, over all samplers
 * that share a bucket; what the sampler behind does not want takes nothing of it.
 * Method: bad limits first; a clock that the test sets. */
#include "spans.h"

#include <tracez/sampler.h>

#include <math.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

static uint64_t now_ns = 1000 * SECOND;

static uint64_t read_clock(void *state)
{
    (void)state;
    return now_ns;
}

static struct tracez_tracer *tracer_with(const struct tracez_rate_limit *limit)
{
    struct tracez_config config;
    struct tracez_error error;

    tracez_config_init(&config);
    config.clock = (struct tracez_clock){read_clock, read_clock, NULL};
    ck_assert_msg(tracez_sampler_rate_limited(limit, &config.sampler, &error) == TRACEZ_OK, "%s",
                  error.text);
    return tracer_create(&config);
}

/* Starts so many, and returns how many of them were recorded. */
static unsigned recorded_of(struct tracez_tracer *tracer, unsigned count,
                            const struct tracez_context *parent)
{
    unsigned recorded = 0;

    for (unsigned i = 0; i < count; i++) {
        struct tracez_context own;
        struct tracez_span span =
            tracez_span_start(tracer, TRACEZ_KIND_SERVER, "asked", parent, &own);

        ck_assert_int_eq(tracez_span_is_recording(span), (own.flags & TRACEZ_FLAG_SAMPLED) != 0);
        recorded += tracez_span_is_recording(span);
        tracez_span_finish(span);
    }
    return recorded;
}

static void assert_refused(struct tracez_rate_limit limit, const char *expected)
{
    struct tracez_sampler sampler = {.rate = 42};
    struct tracez_error error;

    ck_assert_int_eq(tracez_sampler_rate_limited(&limit, &sampler, &error), TRACEZ_INVALID);
    ck_assert_msg(strncmp(error.text, expected, strlen(expected)) == 0, "%s", error.text);
    ck_assert(sampler.decide == NULL && sampler.rate == 42);
}

START_TEST(a_bad_limit_is_refused_by_a_text_that_names_value_and_range)
{
    uint64_t words[2] = {0};
    uint64_t *odd = (uint64_t *)((uintptr_t)words + 1);

    assert_refused((struct tracez_rate_limit){0, 0, words, NULL},
                   "per_second 0 rejected: 0.001 to 1e+09");
    assert_refused((struct tracez_rate_limit){-1, 0, words, NULL}, "per_second -1 rejected");
    assert_refused((struct tracez_rate_limit){(double)NAN, 0, words, NULL}, "per_second nan rej");
    assert_refused((struct tracez_rate_limit){2e9, 0, words, NULL}, "per_second 2e+09 rejected");
    assert_refused((struct tracez_rate_limit){1, 0.5, words, NULL},
                   "burst 0.5 rejected: 1 to 1e+09, or 0");
    assert_refused((struct tracez_rate_limit){1, (double)NAN, words, NULL}, "burst nan rejected");
    assert_refused((struct tracez_rate_limit){1, 1, NULL, NULL}, "bucket");
    assert_refused((struct tracez_rate_limit){1, 1, odd, NULL}, "bucket");
}
END_TEST

START_TEST(a_burst_of_twice_the_rate_goes_through_and_then_the_rate)
{
    uint64_t bucket = 0;
    const struct tracez_rate_limit limit = {.per_second = 10, .bucket = &bucket};
    struct tracez_tracer *tracer = tracer_with(&limit);

    ck_assert_uint_eq(recorded_of(tracer, 100, NULL), 20);
    now_ns += SECOND;
    ck_assert_uint_eq(recorded_of(tracer, 100, NULL), 10);
    now_ns += SECOND / 10;
    ck_assert_uint_eq(recorded_of(tracer, 100, NULL), 1);
    now_ns += 3600 * SECOND;
    ck_assert_uint_eq(recorded_of(tracer, 100, NULL), 20);
    ck_assert_uint_eq(books(tracer).not_recorded, 400 - 51);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_caller_who_forces_sampling_is_limited_as_well)
{
    uint64_t bucket = 0;
    const struct tracez_sampler by_parent = tracez_sampler_parent_based(NULL);
    const struct tracez_rate_limit limit = {
        .per_second = 5, .burst = 1, .bucket = &bucket, .sampler = &by_parent};
    const struct tracez_context forced = {
        .trace_id = {1}, .span_id = {2}, .flags = TRACEZ_FLAG_SAMPLED, .is_remote = true};
    struct tracez_tracer *tracer = tracer_with(&limit);

    ck_assert_uint_eq(recorded_of(tracer, 10, &forced), 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_the_sampler_behind_does_not_want_takes_no_token)
{
    uint64_t bucket = 0;
    const struct tracez_sampler by_parent = tracez_sampler_parent_based(NULL);
    const struct tracez_rate_limit limit = {
        .per_second = 5, .burst = 3, .bucket = &bucket, .sampler = &by_parent};
    const struct tracez_context unwanted = {.trace_id = {1}, .span_id = {2}, .is_remote = true};
    struct tracez_tracer *tracer = tracer_with(&limit);

    ck_assert_uint_eq(recorded_of(tracer, 10, &unwanted), 0);
    ck_assert_uint_eq(bucket, 0);
    ck_assert_uint_eq(recorded_of(tracer, 10, NULL), 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(samplers_of_one_bucket_share_the_limit)
{
    uint64_t bucket = 0;
    const struct tracez_rate_limit limit = {.per_second = 10, .burst = 7, .bucket = &bucket};
    const struct tracez_rate_limit same = limit;
    struct tracez_tracer *one = tracer_with(&limit);
    struct tracez_tracer *other = tracer_with(&same);

    ck_assert_uint_eq(recorded_of(one, 4, NULL), 4);
    ck_assert_uint_eq(recorded_of(other, 10, NULL), 3);
    ck_assert_uint_eq(recorded_of(one, 10, NULL), 0);
    tracez_tracer_destroy(one);
    tracez_tracer_destroy(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate limit");
    TCase *refused = case_of(suite, "refused");
    TCase *limited = case_of(suite, "limited");

    tcase_add_test(refused, a_bad_limit_is_refused_by_a_text_that_names_value_and_range);
    tcase_add_test(limited, a_burst_of_twice_the_rate_goes_through_and_then_the_rate);
    tcase_add_test(limited, a_caller_who_forces_sampling_is_limited_as_well);
    tcase_add_test(limited, what_the_sampler_behind_does_not_want_takes_no_token);
    tcase_add_test(limited, samplers_of_one_bucket_share_the_limit);
    return run_suite(suite);
}
