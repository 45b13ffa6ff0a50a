/* SPDX-License-Identifier: MIT
 *
 * Goal: what fails for now is sent again until it is taken, byte for byte the same; what is refused
 * for good is sent once and counted; redirects lead nowhere; and every span ends in exactly one
 * place.
 * Method: a backend with a script for its first requests, which takes everything afterwards; at the
 * end of each test the books must balance and agree with what the backend took. */
#include "exporting.h"

#include <stdio.h>

static void assert_same_body(struct backend *backend, size_t index, size_t other)
{
    ck_assert_str_eq(backend_body(backend, index), backend_body(backend, other));
}

/* ---- Final --------------------------------------------------------------------------------- */

static const int final_statuses[] = {301, 308, 400, 401, 408, 413, 500, 505};
#define FINAL_COUNT (int)(sizeof(final_statuses) / sizeof(final_statuses[0]))

START_TEST(a_final_status_is_counted_as_rejected_after_one_attempt)
{
    struct exporting exporting =
        exporting_begin(STEPS({.status = final_statuses[_i], .headers = "Retry-After: 0\r\n"}));
    char text[16];

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 1);
    struct exporting_end end = exporting_end(&exporting);
    snprintf(text, sizeof(text), "HTTP %d", final_statuses[_i]);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_REJECTED], 3);
    ck_assert_uint_eq(end.books.exported, 0);
    ck_assert_uint_eq(end.stats.attempts, 1);
    ck_assert_uint_eq(end.stats.failed_attempts, 1);
    ck_assert_str_eq(end.stats.last_error, text);
}
END_TEST

static bool is_retried(int status)
{
    return status == 429 || (status >= 502 && status <= 504);
}

/* One batch a status, several at once: none of them is a reason to wait. */
START_TEST(each_status_but_four_is_final_and_2xx_are_taken)
{
    const int first = _i == 0 ? 200 : 300;
    const int last = _i == 0 ? 299 : 599;
    struct backend_step steps[300];
    size_t count = 0;
    for (int status = first; status <= last; status++) {
        if (!is_retried(status)) {
            steps[count++] = (struct backend_step){.status = status, .body = ""};
        }
    }
    struct exporting exporting = exporting_init(steps, count);
    exporting.config.batch_size = 1;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, count);
    wait_settled(exporting.tracer, count);

    ck_assert_uint_eq(backend_request_count(exporting.backend), count);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.attempts, count);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_REJECTED], _i == 0 ? 0 : count);
    ck_assert_uint_eq(end.accepted, _i == 0 ? count : 0);
    ck_assert_uint_eq(end.stats.malformed_responses, 0);
}
END_TEST

START_TEST(a_redirect_is_never_followed)
{
    struct backend *canary = backend_start(NULL, 0);
    char location[128];
    snprintf(location, sizeof(location), "Location: %s/v1/traces\r\n", backend_url(canary));
    struct exporting exporting = exporting_begin(
        STEPS({.status = 307, .headers = location}, {.status = 308, .headers = location}));

    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 1);
    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 2);

    ck_assert_uint_eq(exporting_end(&exporting).books.dropped[TRACEZ_DROP_REJECTED], 2);
    ck_assert_uint_eq(backend_connection_count(canary), 0);
    backend_stop(canary);
}
END_TEST

START_TEST(a_refusal_that_comes_before_the_body_was_read_is_final)
{
    struct exporting exporting = exporting_init(STEPS({.action = BACKEND_EARLY, .status = 413}));
    exporting.config.batch_size = 4000;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 4000); /* over a megabyte: more than sockets hold */
    wait_settled(exporting.tracer, 4000);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 1);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_REJECTED], 4000);
    ck_assert_str_eq(end.stats.last_error, "HTTP 413");
}
END_TEST

START_TEST(a_refusal_that_is_cut_off_is_final)
{
    struct exporting exporting =
        exporting_begin(STEPS({.action = BACKEND_CUT, .status = 413},
                              {.action = BACKEND_RAW, .body = "HTTP/1.1 400 No\r\nContent-Le"}));

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);
    exporting_flush_spans(&exporting, 4);
    wait_settled(exporting.tracer, 7);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 2);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_REJECTED], 7);
    ck_assert_str_eq(end.stats.last_error, "HTTP 400");
}
END_TEST

START_TEST(what_does_not_speak_http_is_final)
{
    struct exporting exporting = exporting_begin(
        STEPS({.action = BACKEND_RAW, .body = "SSH-2.0-OpenSSH_9.2\r\n"},
              {.action = BACKEND_RAW, .body = "\1\2\3 no idea what this is\r\n\r\n"}));

    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 1);
    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 2);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_REJECTED], 2);
    ck_assert_str_eq(end.stats.last_error, "the answer is not HTTP/1.1 (a gRPC port?)");
}
END_TEST

START_TEST(a_batch_is_given_up_when_retry_max_elapsed_is_over)
{
    struct exporting exporting = exporting_init_to(backend_start_deaf(NULL, 0));
    exporting.config.retry_max_elapsed_ms = 1000;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_RETRY_EXHAUSTED], 3);
    ck_assert_uint_gt(end.stats.attempts, 1);
}
END_TEST

START_TEST(a_batch_that_waits_for_a_distant_retry_is_given_up_in_time)
{
    struct exporting exporting =
        exporting_init(STEPS({.status = 503, .headers = "Retry-After: 60\r\n"}));
    exporting.config.retry_max_elapsed_ms = 20;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_RETRY_EXHAUSTED], 3);
    ck_assert_uint_eq(end.stats.attempts, 1);
}
END_TEST

/* ---- For now ------------------------------------------------------------------------------- */

static const int retried_statuses[] = {429, 502, 503, 504};

START_TEST(a_retried_status_is_tried_again_with_the_same_body)
{
    const struct backend_step busy = {.status = retried_statuses[_i]};
    struct exporting exporting = exporting_begin(STEPS(busy, busy));

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 3);
    assert_same_body(exporting.backend, 0, 1);
    assert_same_body(exporting.backend, 0, 2);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 3);
    ck_assert_uint_eq(end.accepted, 3);
    ck_assert_uint_eq(end.stats.attempts, 3);
    ck_assert_uint_eq(end.stats.failed_attempts, 2);
    ck_assert_uint_eq(end.stats.batches, 1);
}
END_TEST

/* Each leaves the client without a whole answer. */
static const struct backend_step broken[] = {
    {.action = BACKEND_CLOSE},
    {.action = BACKEND_RESET},
    {.action = BACKEND_CUT},
    {.action = BACKEND_RAW, .body = "HTTP/1.1 200 OK\r\nContent-Le"},
    {.action = BACKEND_RAW, .body = "HTTP/1.1 100 Continue\r\n\r\n"},
};

START_TEST(an_answer_that_does_not_come_whole_is_asked_for_again)
{
    struct exporting exporting = exporting_begin(STEPS(broken[_i], broken[_i]));

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 3);
    assert_same_body(exporting.backend, 0, 2);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 3);
    ck_assert_uint_eq(end.accepted, 3);
    ck_assert_uint_eq(end.stats.failed_attempts, 2);
}
END_TEST

START_TEST(a_request_that_is_never_answered_times_out_and_is_tried_again)
{
    struct exporting exporting = exporting_init(STEPS({.action = BACKEND_HOLD}));
    exporting.config.timeout_ms = 100;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 3);
    backend_wait_requests(exporting.backend, 2);
    wait_settled(exporting.tracer, 3);

    assert_same_body(exporting.backend, 0, 1);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 3);
    ck_assert_uint_eq(end.stats.failed_attempts, 1);
    ck_assert_str_eq(end.stats.last_error, "timed out");
}
END_TEST

START_TEST(spans_wait_for_a_backend_that_is_not_there_and_reach_it_when_it_is)
{
    struct exporting exporting = exporting_init_to(backend_start_deaf(NULL, 0));
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 35);
    wait_attempts(exporting.exporter, 3);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_DOWN);
    struct tracez_exporter_stats down = exporter_stats(exporting.exporter);
    backend_listen(exporting.backend);
    wait_settled(exporting.tracer, 35);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_UP);
    struct tracez_exporter_stats up = exporter_stats(exporting.exporter);

    ck_assert_str_eq(down.last_error, "connection refused");
    ck_assert_uint_gt(down.down_since_unix_ns, 0);
    ck_assert_uint_eq(down.last_success_unix_ns, 0);
    ck_assert_uint_eq(down.connections_opened, 0);
    ck_assert_uint_eq(up.down_since_unix_ns, 0);
    ck_assert_uint_gt(up.last_success_unix_ns, down.down_since_unix_ns);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 35);
}
END_TEST

START_TEST(one_probe_at_a_time_knocks_at_a_backend_that_is_down)
{
    const struct backend_step busy = {.status = 503};
    const struct backend_step held = {.action = BACKEND_HOLD, .status = 503};
    struct exporting exporting = exporting_init(STEPS(busy, held));
    exporting.config.connections = 10;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 1);
    backend_wait_requests(exporting.backend, 2); /* the probe */
    spans_pass(exporting.tracer, 100);           /* ten batches that might leave */
    tracez_exporter_flush(exporting.exporter);
    wait_turn(&exporting);
    size_t unanswered_max = backend_unanswered_max(exporting.backend);
    backend_release(exporting.backend, 1);
    wait_settled(exporting.tracer, 101);

    ck_assert_uint_eq(unanswered_max, 1);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 101);
}
END_TEST

START_TEST(a_backend_that_flaps_gets_every_span_once)
{
    const struct backend_step ok = {.status = 200};
    const struct backend_step busy = {.status = 503};
    struct exporting exporting =
        exporting_begin(STEPS(ok, busy, {.action = BACKEND_CLOSE}, ok, busy, ok,
                              {.action = BACKEND_RESET}, ok, busy, busy));

    exporting_flush_spans(&exporting, 200);
    wait_settled(exporting.tracer, 200);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 200);
    ck_assert_uint_eq(end.accepted, 200);
    ck_assert_uint_eq(end.stats.batches, 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_retry");
    TCase *final = case_of(suite, "final");
    TCase *again = case_of(suite, "again");

    tcase_add_loop_test(final, a_final_status_is_counted_as_rejected_after_one_attempt, 0,
                        FINAL_COUNT);
    tcase_add_loop_test(final, each_status_but_four_is_final_and_2xx_are_taken, 0, 2);
    tcase_add_test(final, a_redirect_is_never_followed);
    tcase_add_test(final, a_refusal_that_comes_before_the_body_was_read_is_final);
    tcase_add_test(final, a_refusal_that_is_cut_off_is_final);
    tcase_add_test(final, what_does_not_speak_http_is_final);
    tcase_add_test(final, a_batch_is_given_up_when_retry_max_elapsed_is_over);
    tcase_add_test(final, a_batch_that_waits_for_a_distant_retry_is_given_up_in_time);
    tcase_add_loop_test(again, a_retried_status_is_tried_again_with_the_same_body, 0, 4);
    tcase_add_loop_test(again, an_answer_that_does_not_come_whole_is_asked_for_again, 0,
                        (int)(sizeof(broken) / sizeof(broken[0])));
    tcase_add_test(again, a_request_that_is_never_answered_times_out_and_is_tried_again);
    tcase_add_test(again, spans_wait_for_a_backend_that_is_not_there_and_reach_it_when_it_is);
    tcase_add_test(again, one_probe_at_a_time_knocks_at_a_backend_that_is_down);
    tcase_add_test(again, a_backend_that_flaps_gets_every_span_once);
    return run_suite(suite);
}
