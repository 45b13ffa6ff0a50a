/* SPDX-License-Identifier: MIT
 *
 * Goal: a bucket gives out its burst, then its rate, to the token, whoever takes and however often
 * it is asked.
 * Method: the time is a number that the test moves on; only threads that compete for tokens need a
 * real one, and they are given the same moment. */
#include "bucket.h"

#include "spans.h"

#include <pthread.h>

#define SECOND UINT64_C(1000000000)
#define START (1000 * SECOND)
#define TAKERS 4

static uint64_t read_number(void *state)
{
    return *(const uint64_t *)state;
}

/* At this time. */
static bool take(struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ns)
{
    const struct clock clock = {.source = {.monotonic_ns = read_number, .state = &now_ns}};

    return bucket_take(bucket, rate, &clock);
}

static uint64_t take_all(struct bucket *bucket, const struct bucket_rate *rate, uint64_t now_ns)
{
    uint64_t taken = 0;

    while (take(bucket, rate, now_ns)) {
        taken++;
    }
    return taken;
}

START_TEST(zeroed_memory_is_a_full_bucket_of_twice_the_rate)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(100, 0);

    ck_assert_uint_eq(take_all(&bucket, &rate, START), 200);
}
END_TEST

START_TEST(it_is_full_also_at_the_beginning_of_time)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(5, 0);

    ck_assert_uint_eq(take_all(&bucket, &rate, 0), 10);
}
END_TEST

START_TEST(the_burst_can_be_set)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(100, 7);

    ck_assert_uint_eq(take_all(&bucket, &rate, START), 7);
}
END_TEST

START_TEST(a_burst_is_one_token_at_least)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(0.1, 0);

    ck_assert_uint_eq(take_all(&bucket, &rate, START), 1);
    ck_assert(!take(&bucket, &rate, START + 10 * SECOND - 1));
    ck_assert(take(&bucket, &rate, START + 10 * SECOND));
}
END_TEST

START_TEST(an_empty_bucket_gets_its_next_token_when_that_is_due_and_not_before)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(100, 0);

    take_all(&bucket, &rate, START);

    ck_assert(!take(&bucket, &rate, START + SECOND / 100 - 1));
    ck_assert_uint_eq(take_all(&bucket, &rate, START + SECOND / 100), 1);
}
END_TEST

START_TEST(a_bucket_that_nobody_asks_saves_no_more_than_its_burst)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(100, 50);

    take_all(&bucket, &rate, START);

    ck_assert_uint_eq(take_all(&bucket, &rate, START + 3600 * SECOND), 50);
}
END_TEST

START_TEST(who_asks_for_ever_gets_the_rate_and_one_burst)
{
    static const uint32_t rates[] = {1, 3, 7, 100, 1000, 33333};
    uint32_t per_second = rates[_i];
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(per_second, 0);
    uint64_t step_ns = SECOND / per_second / 3;
    uint64_t taken = 0;

    for (uint64_t now_ns = 0; now_ns < 30 * SECOND; now_ns += step_ns) {
        taken += take(&bucket, &rate, START + now_ns) ? 1 : 0;
    }

    ck_assert_uint_ge(taken, (30 + 2) * per_second - 1);
    ck_assert_uint_le(taken, (30 + 2) * per_second + 30); /* a tick is a little less than exact */
}
END_TEST

START_TEST(the_greatest_and_the_smallest_rate_are_kept)
{
    struct bucket quick = {0};
    struct bucket slow = {0};
    struct bucket_rate quick_rate = bucket_rate_of(BUCKET_RATE_MAX, 100);
    struct bucket_rate slow_rate = bucket_rate_of(BUCKET_RATE_MIN, 0);

    take_all(&quick, &quick_rate, START);
    ck_assert_uint_eq(take_all(&quick, &quick_rate, START + 10), 10);
    take_all(&slow, &slow_rate, START);
    ck_assert(!take(&slow, &slow_rate, START + 999 * SECOND));
    ck_assert(take(&slow, &slow_rate, START + 1000 * SECOND));
}
END_TEST

START_TEST(a_burst_that_would_take_longer_than_time_is_one_of_years)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(BUCKET_RATE_MIN, 1e300);

    for (int i = 0; i < 1000; i++) {
        ck_assert(take(&bucket, &rate, START));
    }
}
END_TEST

START_TEST(who_read_the_clock_before_others_gets_no_more_than_they)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(100, 10);

    take_all(&bucket, &rate, START);

    ck_assert(!take(&bucket, &rate, START - SECOND / 2));
    ck_assert(!take(&bucket, &rate, START));
    ck_assert_uint_eq(take_all(&bucket, &rate, START + SECOND / 10), 10);
}
END_TEST

struct sleeper {
    struct bucket bucket;
    struct bucket_rate rate;
    bool has_slept;
};

/* Tells the time, and falls asleep for five seconds, in which others take all there is. */
static uint64_t read_and_sleep(void *state)
{
    struct sleeper *sleeper = state;

    if (sleeper->has_slept) {
        return START + 5 * SECOND;
    }
    sleeper->has_slept = true;
    take_all(&sleeper->bucket, &sleeper->rate, START + 5 * SECOND);
    return START;
}

START_TEST(who_slept_with_the_time_in_its_hand_gets_nothing_and_gives_nothing_back)
{
    struct sleeper sleeper = {.rate = bucket_rate_of(100, 10)};
    const struct clock clock = {.source = {.monotonic_ns = read_and_sleep, .state = &sleeper}};

    ck_assert(!bucket_take(&sleeper.bucket, &sleeper.rate, &clock));
    ck_assert_uint_eq(take_all(&sleeper.bucket, &sleeper.rate, START + 5 * SECOND), 0);
}
END_TEST

START_TEST(a_slow_rates_bucket_that_a_quick_rate_takes_over_is_empty_and_fills)
{
    struct bucket bucket = {0};
    struct bucket_rate before = bucket_rate_of(BUCKET_RATE_MIN, 100);
    struct bucket_rate after = bucket_rate_of(100, 10);

    take_all(&bucket, &before, START); /* full again in more than a day */

    ck_assert(!take(&bucket, &after, START));
    ck_assert_uint_eq(take_all(&bucket, &after, START + SECOND / 100), 1);
    ck_assert_uint_eq(take_all(&bucket, &after, START + SECOND), 10);
}
END_TEST

START_TEST(garbage_is_an_empty_bucket_and_fills)
{
    struct bucket bucket = {UINT64_MAX};
    struct bucket_rate rate = bucket_rate_of(100, 10);

    ck_assert(!take(&bucket, &rate, START));
    ck_assert_uint_eq(take_all(&bucket, &rate, START + SECOND / 20), 5);
}
END_TEST

struct taker {
    pthread_t thread;
    struct bucket *bucket;
    const struct bucket_rate *rate;
    uint64_t taken;
};

static void *run_taker(void *argument)
{
    struct taker *taker = argument;

    taker->taken = take_all(taker->bucket, taker->rate, START);
    return NULL;
}

START_TEST(no_token_is_given_out_twice_or_lost_among_threads)
{
    struct bucket bucket = {0};
    struct bucket_rate rate = bucket_rate_of(1000, 200000);
    struct taker takers[TAKERS];
    uint64_t taken = 0;

    for (int i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.bucket = &bucket, .rate = &rate};
        ck_assert_int_eq(pthread_create(&takers[i].thread, NULL, run_taker, &takers[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(takers[i].thread, NULL);
        taken += takers[i].taken;
    }

    ck_assert_uint_eq(taken, 200000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bucket");
    TCase *tokens = case_of(suite, "tokens");
    TCase *others = case_of(suite, "others");

    tcase_add_test(tokens, zeroed_memory_is_a_full_bucket_of_twice_the_rate);
    tcase_add_test(tokens, it_is_full_also_at_the_beginning_of_time);
    tcase_add_test(tokens, the_burst_can_be_set);
    tcase_add_test(tokens, a_burst_is_one_token_at_least);
    tcase_add_test(tokens, an_empty_bucket_gets_its_next_token_when_that_is_due_and_not_before);
    tcase_add_test(tokens, a_bucket_that_nobody_asks_saves_no_more_than_its_burst);
    tcase_add_loop_test(tokens, who_asks_for_ever_gets_the_rate_and_one_burst, 0, 6);
    tcase_add_test(tokens, the_greatest_and_the_smallest_rate_are_kept);
    tcase_add_test(tokens, a_burst_that_would_take_longer_than_time_is_one_of_years);
    tcase_add_test(others, who_read_the_clock_before_others_gets_no_more_than_they);
    tcase_add_test(others, who_slept_with_the_time_in_its_hand_gets_nothing_and_gives_nothing_back);
    tcase_add_test(others, a_slow_rates_bucket_that_a_quick_rate_takes_over_is_empty_and_fills);
    tcase_add_test(others, garbage_is_an_empty_bucket_and_fills);
    tcase_add_test(others, no_token_is_given_out_twice_or_lost_among_threads);
    return run_suite(suite);
}
