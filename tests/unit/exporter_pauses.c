/* SPDX-License-Identifier: MIT
 *
 * Goal: a backend that asks for a pause gets it, for as long as it says but no longer than a minute
 * and no less than a tenth of a second; one that asks in words that nobody understands gets what
 * any other one gets that fails.
 * Method: each form of Retry-After before an answer that takes the batch. A pause of seconds is
 * measured; a longer one is seen by a batch that is given up, after one attempt, before it is over.
 */
#include "exporting.h"

#include <stdio.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define PATIENCE_MS 150 /* of a batch, where the pause must be longer */

/* ---- Forms --------------------------------------------------------------------------------- */

enum pause {
    OUR_OWN,  /* 1 to 5 ms, in these tests */
    SHORT,    /* a tenth of a second at least */
    A_SECOND, /* at least */
    LONG      /* longer than anybody waits here */
};

/* HTTP's three (RFC 9110, 5.6.7). */
enum date { NO_DATE, IMF_FIXDATE, RFC_850_DATE, ASCTIME_DATE };

#define HOUR_S 3600
#define CENTURY_S (INT64_C(100) * 365 * 24 * HOUR_S)

static const struct form {
    enum pause pause;
    const char *headers; /* NULL: a date */
    enum date date;
    int64_t from_now_s;
} forms[] = {
    {.pause = A_SECOND, .headers = "Retry-After: 1\r\n"},
    {.pause = A_SECOND, .headers = "retry-after:\t 01 \r\n"},
    {.pause = A_SECOND, .headers = "Retry-After: 1\r\nRetry-After: 0\r\n"},
    {.pause = A_SECOND, .headers = "Retry-After: nonsense\r\nRetry-After: 1\r\n"},
    {.pause = LONG, .headers = "Retry-After: 60\r\n"},
    {.pause = LONG, .headers = "Retry-After: 86400\r\n"},
    {.pause = LONG, .headers = "Retry-After: 9223372036854775807\r\n"},
    {.pause = LONG, .headers = "Retry-After: 99999999999999999999999999999999\r\n"},
    {.pause = LONG, .headers = "Retry-After: 300\r\nRetry-After: 2\r\n"},
    {LONG, NULL, IMF_FIXDATE, HOUR_S},
    {LONG, NULL, RFC_850_DATE, HOUR_S},
    {LONG, NULL, ASCTIME_DATE, HOUR_S},
    {LONG, NULL, IMF_FIXDATE, CENTURY_S},
    {.pause = SHORT, .headers = "Retry-After: 0\r\n"},
    {SHORT, NULL, IMF_FIXDATE, -HOUR_S},
    {SHORT, NULL, RFC_850_DATE, -HOUR_S},
    {SHORT, NULL, ASCTIME_DATE, -HOUR_S},
    {.pause = SHORT, .headers = "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After:\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: -1\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: 120s\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: 1.5\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: 1e9\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: 60, 120\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: in a while\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: Foo, 99 Bar 2026 77:88:99 GMT\r\n"},
    {.pause = OUR_OWN, .headers = "Retry-After: \xff\xfe\r\n"},
    {.pause = OUR_OWN, .headers = "X-Retry-After: 60\r\n"},
};

#define HEADERS_BYTES 128

static const char *headers_of(const struct form *form, char headers[HEADERS_BYTES])
{
    time_t moment = time(NULL) + form->from_now_s;
    struct tm parts;
    char day[32];
    char clock[32];

    gmtime_r(&moment, &parts);
    switch (form->date) {
    case NO_DATE:
        return form->headers;
    case IMF_FIXDATE:
        strftime(headers, HEADERS_BYTES, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        return headers;
    case RFC_850_DATE:
        strftime(day, sizeof(day), "%A, %d-%b", &parts);
        strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
        snprintf(headers, HEADERS_BYTES, "Retry-After: %s-%02d %s GMT\r\n", day,
                 parts.tm_year % 100, clock);
        return headers;
    case ASCTIME_DATE:
        strftime(headers, HEADERS_BYTES, "Retry-After: %a %b %e %H:%M:%S %Y\r\n", &parts);
        return headers;
    }
    return NULL;
}

static uint64_t gap_ns(struct backend *backend, size_t index)
{
    return backend_arrival_ns(backend, index) - backend_arrival_ns(backend, index - 1);
}

START_TEST(retry_after_is_honoured_in_every_form_and_otherwise_left_alone)
{
    static const int statuses[] = {429, 503, 502, 504};
    static const uint64_t least_ms[] = {[OUR_OWN] = 1, [SHORT] = 100, [A_SECOND] = 1000};
    const struct form *form = &forms[_i];
    char headers[HEADERS_BYTES];
    struct exporting exporting =
        exporting_init(STEPS({.status = statuses[_i % 4], .headers = headers_of(form, headers)}));
    exporting.config.retry_max_elapsed_ms = form->pause == LONG ? PATIENCE_MS : 0;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    size_t requests = backend_request_count(exporting.backend);
    if (form->pause == LONG) {
        ck_assert_uint_eq(requests, 1);
        ck_assert_uint_eq(books(exporting.tracer).dropped[TRACEZ_DROP_RETRY_EXHAUSTED], 3);
    } else {
        ck_assert_uint_eq(requests, 2);
        ck_assert_uint_ge(gap_ns(exporting.backend, 1), least_ms[form->pause] * NS_PER_MS);
    }
    exporting_end(&exporting);
}
END_TEST

/* ---- Between attempts ---------------------------------------------------------------------- */

START_TEST(retry_after_is_honoured_once)
{
    struct exporting exporting =
        exporting_begin(STEPS({.status = 429, .headers = "Retry-After: 1\r\n"}, {.status = 429}));

    exporting_flush_spans(&exporting, 1);
    backend_wait_requests(exporting.backend, 3);

    ck_assert_uint_ge(gap_ns(exporting.backend, 1), 1000 * NS_PER_MS);
    /* At most 5 ms, and what the machine adds. */
    ck_assert_uint_lt(gap_ns(exporting.backend, 2), 1000 * NS_PER_MS);
    wait_settled(exporting.tracer, 1);
    exporting_end(&exporting);
}
END_TEST

START_TEST(a_pause_is_kept_though_other_batches_are_taken_meanwhile)
{
    struct exporting exporting = exporting_begin(
        STEPS({.action = BACKEND_HOLD}, {.status = 429, .headers = "Retry-After: 1\r\n"}));

    spans_pass(exporting.tracer, 10);
    backend_wait_requests(exporting.backend, 1);
    spans_pass(exporting.tracer, 10);
    wait_attempts(exporting.exporter, 1); /* it asked */
    backend_release(exporting.backend, 0);
    wait_settled(exporting.tracer, 10); /* it takes the other one */
    spans_pass(exporting.tracer, 10);
    wait_settled(exporting.tracer, 30);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 4);
    ck_assert_uint_ge(gap_ns(exporting.backend, 2), 1000 * NS_PER_MS);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 30);
}
END_TEST

START_TEST(without_a_wish_the_waits_are_as_configured)
{
    const struct backend_step busy = {.status = 503};
    struct exporting exporting = exporting_init(STEPS(busy, busy, busy, busy));
    exporting.config.retry_min_ms = 100;
    exporting.config.retry_max_ms = 100; /* which leaves chance no room */
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 1);

    for (size_t i = 1; i <= 4; i++) {
        ck_assert_uint_ge(gap_ns(exporting.backend, i), 100 * NS_PER_MS);
    }
    exporting_end(&exporting);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_pauses");
    TCase *of_forms = case_of(suite, "forms");
    TCase *between = case_of(suite, "between attempts");

    tcase_add_loop_test(of_forms, retry_after_is_honoured_in_every_form_and_otherwise_left_alone, 0,
                        (int)(sizeof(forms) / sizeof(forms[0])));
    tcase_add_test(between, retry_after_is_honoured_once);
    tcase_add_test(between, a_pause_is_kept_though_other_batches_are_taken_meanwhile);
    tcase_add_test(between, without_a_wish_the_waits_are_as_configured);
    return run_suite(suite);
}
