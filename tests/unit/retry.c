/* SPDX-License-Identifier: MIT
 *
 * Goal: only what may pass by is tried again, after a wait that doubles up to its bound with full
 * jitter or that the endpoint asked for within reason; one probe at a time while it is down; and
 * news from before it went down are no news.
 * Method: verdicts as a table; waits over many seeds; rounds step by step. Time is a number here.
 */
#include "retry.h"
#include "retry_after.h"

#include "spans.h"

#define MS UINT64_C(1000000)
#define SEEDS 1000
#define NOW (UINT64_C(5000) * MS)

/* ---- Verdicts ------------------------------------------------------------------------------ */

START_TEST(of_all_statuses_four_are_tried_again_and_2xx_are_accepted)
{
    for (int status = 100; status <= 999; status++) {
        enum verdict expected = VERDICT_FINAL;
        if (status == 429 || status == 502 || status == 503 || status == 504) {
            expected = VERDICT_RETRY;
        } else if (status / 100 == 2) {
            expected = VERDICT_ACCEPTED;
        }
        ck_assert_msg(verdict_of(TRANSPORT_ANSWERED, status) == expected, "%d", status);
    }
}
END_TEST

START_TEST(no_answer_is_tried_again_and_no_http_is_final_whatever_the_status)
{
    const int statuses[] = {0, 100, 200, 400, 503};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        ck_assert_int_eq(verdict_of(TRANSPORT_UNANSWERED, statuses[i]), VERDICT_RETRY);
        ck_assert_int_eq(verdict_of(TRANSPORT_BROKEN, statuses[i]), VERDICT_FINAL);
    }
}
END_TEST

/* ---- Waits --------------------------------------------------------------------------------- */

/* Fails so many times in a row; returns the last wait. */
static uint64_t fail_times(struct retry *retry, uint32_t failures, int64_t retry_after_s)
{
    for (uint32_t i = 0; i < failures; i++) {
        retry_note_failure(retry, retry_begin(retry), retry_after_s, NOW);
    }
    return retry_next_ns(retry) - NOW;
}

struct spread {
    uint64_t min_ns;
    uint64_t max_ns;
};

/* The shortest and longest wait after so many failures, over many seeds. */
static struct spread spread_of(uint32_t failures, uint32_t min_ms, uint32_t max_ms)
{
    struct spread spread = {UINT64_MAX, 0};

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct retry retry;
        retry_init(&retry, min_ms, max_ms, seed * 7919);
        uint64_t wait_ns = fail_times(&retry, failures, RETRY_AFTER_NONE);
        spread.min_ns = wait_ns < spread.min_ns ? wait_ns : spread.min_ns;
        spread.max_ns = wait_ns > spread.max_ns ? wait_ns : spread.max_ns;
    }
    return spread;
}

START_TEST(waits_double_up_to_their_bound_and_use_all_of_the_room)
{
    static const uint64_t bounds_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
    uint64_t bound_ns = bounds_ms[_i] * MS;

    struct spread spread = spread_of((uint32_t)_i + 1, 1000, 30000);

    ck_assert_uint_ge(spread.min_ns, 100 * MS);
    ck_assert_uint_le(spread.min_ns, 100 * MS + bound_ns / 50); /* of 1000 seeds */
    ck_assert_uint_le(spread.max_ns, bound_ns);
    ck_assert_uint_ge(spread.max_ns, bound_ns - bound_ns / 50);
}
END_TEST

START_TEST(bounds_that_are_equal_small_or_huge_hold)
{
    struct spread equal = spread_of(3, 50, 50);
    struct spread smallest = spread_of(1, 1, 1);
    struct spread growing = spread_of(20, 1, 700);
    struct spread huge = spread_of(40, 3600000, 3600000);

    ck_assert_uint_eq(equal.min_ns, 50 * MS);
    ck_assert_uint_eq(equal.max_ns, 50 * MS);
    ck_assert_uint_eq(smallest.max_ns, 1 * MS);
    ck_assert_uint_le(growing.max_ns, 700 * MS);
    ck_assert_uint_ge(growing.min_ns, 1 * MS);
    ck_assert_uint_le(huge.max_ns, 3600000 * MS);
}
END_TEST

START_TEST(a_billion_failures_overflow_nothing)
{
    struct retry retry;
    retry_init(&retry, 1000, 30000, 1);
    fail_times(&retry, 1, RETRY_AFTER_NONE);
    retry.failures = UINT32_MAX;

    uint64_t wait_ns = fail_times(&retry, 1, RETRY_AFTER_NONE);

    ck_assert_uint_eq(retry.failures, UINT32_MAX);
    ck_assert_uint_le(wait_ns, 30000 * MS);
}
END_TEST

static const struct asked {
    int64_t retry_after_s;
    uint64_t min_ms;
    uint64_t max_ms;
} asked[] = {
    {1, 1000, 1000},
    {59, 59000, 59000},
    {60, 60000, 60000},
    {61, 60000, 60000},
    {INT64_MAX, 60000, 60000},
    {0, 100, 1000}, /* as long as we like */
    {RETRY_AFTER_NONE, 100, 1000},
};

START_TEST(what_the_endpoint_asks_for_is_honoured_up_to_a_minute)
{
    struct retry retry;
    retry_init(&retry, 1000, 30000, 1);

    uint64_t wait_ns = fail_times(&retry, 1, asked[_i].retry_after_s);

    ck_assert_uint_ge(wait_ns, asked[_i].min_ms * MS);
    ck_assert_uint_le(wait_ns, asked[_i].max_ms * MS);
}
END_TEST

START_TEST(a_tenth_of_a_second_is_the_least_that_one_who_asks_gets)
{
    struct retry retry;
    retry_init(&retry, 1, 5, 1);

    ck_assert_uint_le(fail_times(&retry, 1, RETRY_AFTER_NONE), 5 * MS);
    ck_assert_uint_eq(fail_times(&retry, 1, 0), 100 * MS);
}
END_TEST

/* ---- Rounds -------------------------------------------------------------------------------- */

static struct retry up(void)
{
    struct retry retry;

    retry_init(&retry, 1000, 30000, 42);
    return retry;
}

START_TEST(while_it_is_up_any_number_of_attempts_may_begin)
{
    struct retry retry = up();

    for (int i = 0; i < 100; i++) {
        ck_assert(retry_may_send(&retry, NOW));
        retry_begin(&retry);
    }
}
END_TEST

START_TEST(while_it_is_down_one_probe_may_begin_after_the_wait_and_no_second)
{
    struct retry retry = up();
    fail_times(&retry, 1, 5);

    ck_assert(!retry_may_send(&retry, NOW + 5000 * MS - 1));
    ck_assert(retry_may_send(&retry, NOW + 5000 * MS));
    retry_begin(&retry);
    ck_assert(!retry_may_send(&retry, NOW + 5000 * MS));
    ck_assert(!retry_may_send(&retry, UINT64_MAX));
}
END_TEST

START_TEST(failures_of_one_round_count_once)
{
    struct retry retry = up();
    uint32_t first = retry_begin(&retry);
    uint32_t second = retry_begin(&retry);

    retry_note_failure(&retry, first, RETRY_AFTER_NONE, NOW);
    uint64_t next_ns = retry_next_ns(&retry);
    retry_note_failure(&retry, second, RETRY_AFTER_NONE, NOW);

    ck_assert_uint_eq(retry.failures, 1);
    ck_assert_uint_eq(retry_next_ns(&retry), next_ns);
}
END_TEST

START_TEST(the_longest_pause_that_any_attempt_was_asked_for_is_kept)
{
    struct retry retry = up();
    uint32_t attempts[3] = {retry_begin(&retry), retry_begin(&retry), retry_begin(&retry)};

    retry_note_failure(&retry, attempts[0], 5, NOW);
    retry_note_failure(&retry, attempts[1], 50, NOW);
    retry_note_failure(&retry, attempts[2], 20, NOW);

    ck_assert_uint_eq(retry.failures, 1);
    ck_assert_uint_eq(retry_next_ns(&retry), NOW + 50000 * MS);
}
END_TEST

START_TEST(a_pause_that_was_asked_for_is_kept_though_another_attempt_is_answered)
{
    struct retry retry = up();
    uint32_t limited = retry_begin(&retry);
    uint32_t late = retry_begin(&retry);
    retry_begin(&retry); /* the one that is answered, twice */

    retry_note_failure(&retry, limited, 5, NOW);
    retry_note_answer(&retry);
    ck_assert(!retry_may_send(&retry, NOW + 5000 * MS - 1));
    ck_assert(retry_may_send(&retry, NOW + 5000 * MS));
    retry_note_answer(&retry);
    retry_note_failure(&retry, late, 10, NOW);

    ck_assert_uint_eq(retry.failures, 0);
    ck_assert(!retry_may_send(&retry, NOW + 10000 * MS - 1));
    ck_assert(retry_may_send(&retry, NOW + 10000 * MS));
}
END_TEST

START_TEST(a_failure_of_an_earlier_round_does_not_end_the_probe)
{
    struct retry retry = up();
    uint32_t first = retry_begin(&retry);
    uint32_t straggler = retry_begin(&retry);
    retry_note_failure(&retry, first, 1, NOW);
    uint32_t probe = retry_begin(&retry);

    retry_note_failure(&retry, straggler, RETRY_AFTER_NONE, NOW);
    ck_assert(!retry_may_send(&retry, UINT64_MAX));
    retry_note_failure(&retry, probe, RETRY_AFTER_NONE, NOW);

    ck_assert_uint_eq(retry.failures, 2);
    ck_assert(retry_may_send(&retry, UINT64_MAX));
}
END_TEST

START_TEST(any_answer_ends_the_outage_and_what_began_in_it_brings_no_new_one)
{
    struct retry retry = up();
    uint32_t straggler = retry_begin(&retry);
    fail_times(&retry, 3, RETRY_AFTER_NONE);
    uint32_t probe = retry_begin(&retry);

    retry_note_answer(&retry);
    ck_assert(retry_may_send(&retry, NOW));
    retry_note_failure(&retry, straggler, RETRY_AFTER_NONE, NOW);
    retry_note_failure(&retry, probe, RETRY_AFTER_NONE, NOW);

    ck_assert_uint_eq(retry.failures, 0);
    ck_assert_uint_le(fail_times(&retry, 1, RETRY_AFTER_NONE),
                      1000 * MS); /* from the beginning again */
}
END_TEST

START_TEST(a_hurry_allows_one_probe_at_once)
{
    struct retry retry = up();
    fail_times(&retry, 1, 60);

    retry_hurry(&retry, NOW + 7);

    ck_assert(retry_may_send(&retry, NOW + 7));
    retry_begin(&retry);
    ck_assert(!retry_may_send(&retry, NOW + 7));
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    Suite *suite = suite_create("retry");
    TCase *verdicts = case_of(suite, "verdicts");
    TCase *waits = case_of(suite, "waits");
    TCase *rounds = case_of(suite, "rounds");

    tcase_add_test(verdicts, of_all_statuses_four_are_tried_again_and_2xx_are_accepted);
    tcase_add_test(verdicts, no_answer_is_tried_again_and_no_http_is_final_whatever_the_status);
    tcase_add_loop_test(waits, waits_double_up_to_their_bound_and_use_all_of_the_room, 0, 8);
    tcase_add_test(waits, bounds_that_are_equal_small_or_huge_hold);
    tcase_add_test(waits, a_billion_failures_overflow_nothing);
    tcase_add_loop_test(waits, what_the_endpoint_asks_for_is_honoured_up_to_a_minute, 0,
                        COUNT(asked));
    tcase_add_test(waits, a_tenth_of_a_second_is_the_least_that_one_who_asks_gets);
    tcase_add_test(rounds, while_it_is_up_any_number_of_attempts_may_begin);
    tcase_add_test(rounds, while_it_is_down_one_probe_may_begin_after_the_wait_and_no_second);
    tcase_add_test(rounds, failures_of_one_round_count_once);
    tcase_add_test(rounds, the_longest_pause_that_any_attempt_was_asked_for_is_kept);
    tcase_add_test(rounds, a_pause_that_was_asked_for_is_kept_though_another_attempt_is_answered);
    tcase_add_test(rounds, a_failure_of_an_earlier_round_does_not_end_the_probe);
    tcase_add_test(rounds, any_answer_ends_the_outage_and_what_began_in_it_brings_no_new_one);
    tcase_add_test(rounds, a_hurry_allows_one_probe_at_once);
    return run_suite(suite);
}
