/* SPDX-License-Identifier: MIT
 *
 * Goal: spans leave in batches, when a batch is full, when the interval is over, when the buffer is
 * half full or when somebody flushes, and not before; each batch is one POST request of bounded
 * size; and what the backend says of it is read with the care that a stranger's words deserve.
 * Method: hostile and partial answers first; then one reason to leave after the other, with all
 * other reasons out of reach. */
#include "exporting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Answers ------------------------------------------------------------------------------- */

START_TEST(an_answer_that_never_ends_is_cut_off_and_the_batch_counts_as_taken)
{
    const enum backend_action floods[] = {BACKEND_FLOOD_BODY, BACKEND_FLOOD_HEADERS};
    struct exporting exporting = exporting_begin(STEPS({.action = floods[_i]}));

    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);
    exporting_flush_spans(&exporting, 2); /* life goes on */
    wait_settled(exporting.tracer, 5);

    /* 4 MiB are read of a body, 64 KiB of headers; the rest lies in the sockets' buffers. */
    ck_assert_uint_le(backend_flooded_bytes(exporting.backend), 32 * 1024 * 1024);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 5);
    ck_assert_uint_eq(end.stats.malformed_responses, 1);
    ck_assert_uint_eq(end.stats.attempts, 2);
}
END_TEST

/* ---- Bounds -------------------------------------------------------------------------------- */

/* Spans may be long, their number is given, and all are in one shard. */
static struct exporting exporting_init_large(uint32_t spans_max)
{
    const struct tracez_collector_config collector = {
        .name = "large", .spans_max = spans_max, .writers = 1};
    struct exporting exporting = exporting_init(NULL, 0);
    struct tracez_config config;

    tracez_tracer_destroy(exporting.tracer);
    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.span_bytes_max = 65536;
    config.max_tag_bytes = 32000;
    exporting.tracer = tracer_create(&config);
    return exporting;
}

static void pass_large_spans(struct tracez_tracer *tracer, size_t count, size_t tag_bytes)
{
    char *value = malloc(tag_bytes);

    ck_assert_ptr_nonnull(value);
    memset(value, 1, tag_bytes); /* six bytes each, once escaped */
    for (size_t i = 0; i < count; i++) {
        struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
        tracez_span_set_bytes(span, "large", value, tag_bytes);
        tracez_span_finish(span);
    }
    free(value);
}

START_TEST(no_body_is_longer_than_max_batch_bytes)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.format = (enum tracez_format)_i;
    exporting.config.max_batch_bytes = 65536;
    exporting.config.batch_size = 500;
    exporting_start(&exporting);

    pass_large_spans(exporting.tracer, 100, 1000);
    tracez_exporter_flush(exporting.exporter);
    wait_settled(exporting.tracer, 100);

    size_t requests = backend_request_count(exporting.backend);
    ck_assert_uint_ge(requests, 10);
    ck_assert_uint_le(requests, 11); /* filled as far as whole spans go */
    for (size_t i = 0; i < requests; i++) {
        ck_assert_uint_le(strlen(backend_body(exporting.backend, i)), 65536);
    }
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 100);
}
END_TEST

START_TEST(a_span_that_no_body_can_hold_is_dropped_as_oversize_and_costs_no_other)
{
    struct exporting exporting = exporting_init_large(8192);
    exporting.config.max_batch_bytes = 65536;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, 2);
    pass_large_spans(exporting.tracer, 1, 20000);
    spans_pass(exporting.tracer, 2);
    tracez_exporter_flush(exporting.exporter);
    wait_settled(exporting.tracer, 5);
    pass_large_spans(exporting.tracer, 2, 20000); /* nothing but */
    tracez_exporter_flush(exporting.exporter);
    wait_settled(exporting.tracer, 7);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_OVERSIZE], 3);
    ck_assert_uint_eq(end.accepted, 4);
}
END_TEST

START_TEST(no_more_requests_are_in_flight_than_connections)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct exporting exporting = exporting_init(STEPS(held, held, held));
    exporting.config.connections = 3;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, 100);
    backend_wait_requests(exporting.backend, 3);
    wait_turn(&exporting);
    size_t unanswered_max = backend_unanswered_max(exporting.backend);
    uint64_t inflight = books(exporting.tracer).inflight;
    for (size_t i = 0; i < 3; i++) {
        backend_release(exporting.backend, i);
    }
    wait_settled(exporting.tracer, 100);

    ck_assert_uint_eq(unanswered_max, 3);
    ck_assert_uint_eq(inflight, 30); /* the others wait in the collector, not in memory of ours */
    ck_assert_uint_le(backend_unanswered_max(exporting.backend), 3);
    ck_assert_uint_le(backend_connection_count(exporting.backend), 3);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 100);
}
END_TEST

START_TEST(a_batch_that_is_done_early_waits_for_the_one_before_it)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));

    spans_pass(exporting.tracer, 10);
    backend_wait_requests(exporting.backend, 1);
    spans_pass(exporting.tracer, 90);
    wait_attempts(exporting.exporter, 9); /* over the other connection */
    uint64_t inflight = books(exporting.tracer).inflight;
    uint64_t exported = books(exporting.tracer).exported;
    backend_release(exporting.backend, 0);
    wait_settled(exporting.tracer, 100);

    ck_assert_uint_eq(inflight, 100);
    ck_assert_uint_eq(exported, 0);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 100);
}
END_TEST

/* ---- Reasons to leave ---------------------------------------------------------------------- */

START_TEST(a_batch_leaves_when_it_is_full_and_not_before)
{
    struct exporting exporting = exporting_begin(NULL, 0);

    spans_pass(exporting.tracer, 9);
    wait_turn(&exporting);
    size_t early = backend_request_count(exporting.backend);
    spans_pass(exporting.tracer, 1);
    wait_settled(exporting.tracer, 10);

    ck_assert_uint_eq(early, 0);
    ck_assert_uint_eq(backend_request_count(exporting.backend), 1);
    ck_assert_uint_eq(exporting_end(&exporting).stats.batches, 1);
}
END_TEST

START_TEST(an_exporter_without_a_shared_eventfd_has_one_of_its_own)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.wake_fds[0] = -1;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, 10);
    wait_settled(exporting.tracer, 10);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 10);
}
END_TEST

START_TEST(a_batch_leaves_when_the_interval_is_over)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.interval_ms = 10;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, 1);
    wait_settled(exporting.tracer, 1);
    spans_pass(exporting.tracer, 2);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

START_TEST(a_flush_sends_what_is_there_in_full_batches)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.batch_size = 100;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 99);
    wait_settled(exporting.tracer, 99);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 1);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 99);
}
END_TEST

START_TEST(a_buffer_that_is_smaller_than_a_batch_is_emptied_when_it_is_half_full)
{
    struct exporting exporting = exporting_init_large(20);
    exporting.config.batch_size = 1000;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, 9);
    wait_turn(&exporting);
    size_t early = backend_request_count(exporting.backend);
    spans_pass(exporting.tracer, 1);
    wait_settled(exporting.tracer, 10);

    ck_assert_uint_eq(early, 0);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 10);
}
END_TEST

START_TEST(a_buffer_that_few_large_spans_fill_is_emptied_when_it_is_half_full)
{
    struct exporting exporting = exporting_init_large(8192);
    exporting.config.batch_size = 10000;
    exporting_start(&exporting);

    /* For 8192 spans there are 4 MiB: fewer than 400 of these fill half of it. */
    pass_large_spans(exporting.tracer, 300, 6000);
    wait_turn(&exporting);
    size_t early = backend_request_count(exporting.backend);
    pass_large_spans(exporting.tracer, 100, 6000);
    backend_wait_requests(exporting.backend, 1);

    ck_assert_uint_eq(early, 0);
    exporting_end(&exporting);
}
END_TEST

START_TEST(what_was_buffered_before_the_start_leaves_at_once)
{
    struct exporting exporting = exporting_init(NULL, 0);
    spans_pass(exporting.tracer, 3);

    exporting_start(&exporting);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

START_TEST(every_collector_of_a_tracer_is_emptied)
{
    const struct tracez_collector_config collectors[] = {
        {.name = "errors", .match = TRACEZ_MATCH_ERRORS}, {.name = "others"}};
    struct exporting exporting = exporting_init(NULL, 0);
    struct tracez_config config;
    tracez_tracer_destroy(exporting.tracer);
    tracez_config_init(&config);
    config.collectors = collectors;
    config.collector_count = 2;
    exporting.tracer = tracer_create(&config);
    exporting_start(&exporting);

    struct tracez_span failed =
        tracez_span_start(exporting.tracer, TRACEZ_KIND_SERVER, "failed", NULL, NULL);
    tracez_span_set_error(failed, "timeout", NULL);
    tracez_span_finish(failed);
    exporting_flush_spans(&exporting, 2);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 2);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

/* ---- On the wire --------------------------------------------------------------------------- */

static void assert_header(const char *head, const char *line)
{
    ck_assert_msg(strcasestr(head, line) != NULL, "no %s in:\n%s", line, head);
}

START_TEST(a_batch_is_one_post_request_with_the_configured_headers)
{
    const struct tracez_header headers[] = {{"Authorization", "Bearer secret"}, {"X-Empty", ""}};
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.headers = headers;
    exporting.config.header_count = 2;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 1);

    const char *head = backend_head(exporting.backend, 0);
    ck_assert_int_eq(strncmp(head, "POST /v1/traces HTTP/1.1\r\n", 26), 0);
    assert_header(head, "\r\nContent-Type: application/json\r\n");
    assert_header(head, "\r\nUser-Agent: tracez/" TRACEZ_VERSION "\r\n");
    assert_header(head, "\r\nAuthorization: Bearer secret\r\n");
    assert_header(head, "\r\nX-Empty:\r\n");
    ck_assert_ptr_null(strcasestr(head, "\r\nExpect:"));
    exporting_end(&exporting);
}
END_TEST

START_TEST(one_connection_carries_many_batches)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.connections = 1;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, 500);
    wait_settled(exporting.tracer, 500);

    ck_assert_uint_eq(backend_connection_count(exporting.backend), 1);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.stats.connections_opened, 1);
    ck_assert_uint_eq(end.stats.batches, 50);
    ck_assert_uint_gt(end.stats.body_bytes, 500 * 150);
    ck_assert_uint_eq(end.stats.wire_bytes, end.stats.body_bytes);
    ck_assert_str_eq(end.stats.last_error, "");
}
END_TEST

START_TEST(a_compressed_batch_says_so_and_is_the_same_at_each_attempt)
{
    struct exporting exporting = exporting_init(STEPS({.status = 503}, {.action = BACKEND_CLOSE}));
    exporting.config.compression = TRACEZ_COMPRESSION_GZIP;
    exporting.config.batch_size = 100;
    exporting.config.connections = 1;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 250);
    wait_settled(exporting.tracer, 250);

    for (size_t i = 0; i < backend_request_count(exporting.backend); i++) {
        assert_header(backend_head(exporting.backend, i), "\r\nContent-Encoding: gzip\r\n");
    }
    ck_assert(strcmp(backend_body(exporting.backend, 0), backend_body(exporting.backend, 2)) == 0);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.accepted, 250);
    ck_assert_uint_eq(end.stats.exported, 250);
    ck_assert_uint_gt(end.stats.body_bytes, 250 * 150);
    ck_assert_uint_lt(end.stats.wire_bytes, end.stats.body_bytes / 2);
}
END_TEST

START_TEST(user_and_password_go_to_the_backend_and_nowhere_else)
{
    struct exporting exporting = exporting_init(NULL, 0);
    char url[128];
    snprintf(url, sizeof(url), "http://user:pass@%s/in?key=secret",
             strstr(exporting.config.endpoint, "127.0.0.1"));
    exporting.config.endpoint = url;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 1);

    const char *head = backend_head(exporting.backend, 0);
    struct tracez_exporter_stats stats = exporter_stats(exporting.exporter);
    ck_assert_int_eq(strncmp(head, "POST /in?key=secret HTTP/1.1\r\n", 30), 0);
    assert_header(head, "\r\nAuthorization: Basic dXNlcjpwYXNz\r\n");
    ck_assert_ptr_null(strstr(stats.endpoint, "user"));
    ck_assert_ptr_null(strstr(stats.endpoint, "pass"));
    ck_assert_ptr_null(strstr(stats.endpoint, "secret"));
    ck_assert_ptr_nonnull(strstr(stats.endpoint, "/in"));
    exporting_end(&exporting);
}
END_TEST

START_TEST(proxies_of_the_environment_are_not_used)
{
    struct backend *proxy = backend_start(NULL, 0);
    setenv("http_proxy", backend_url(proxy), 1);
    setenv("ALL_PROXY", backend_url(proxy), 1);
    struct exporting exporting = exporting_begin(NULL, 0);

    exporting_flush_spans(&exporting, 1);
    wait_settled(exporting.tracer, 1);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 1);
    ck_assert_uint_eq(backend_connection_count(proxy), 0);
    backend_stop(proxy);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_batches");
    TCase *answers = case_of(suite, "answers");
    TCase *bounds = case_of(suite, "bounds");
    TCase *reasons = case_of(suite, "reasons to leave");
    TCase *wire = case_of(suite, "on the wire");

    tcase_add_loop_test(answers, an_answer_that_never_ends_is_cut_off_and_the_batch_counts_as_taken,
                        0, 2);
    tcase_add_loop_test(bounds, no_body_is_longer_than_max_batch_bytes, TRACEZ_FORMAT_OTLP,
                        TRACEZ_FORMAT_TRACEZ + 1);
    tcase_add_test(bounds, a_span_that_no_body_can_hold_is_dropped_as_oversize_and_costs_no_other);
    tcase_add_test(bounds, no_more_requests_are_in_flight_than_connections);
    tcase_add_test(bounds, a_batch_that_is_done_early_waits_for_the_one_before_it);
    tcase_add_test(reasons, a_batch_leaves_when_it_is_full_and_not_before);
    tcase_add_test(reasons, an_exporter_without_a_shared_eventfd_has_one_of_its_own);
    tcase_add_test(reasons, a_batch_leaves_when_the_interval_is_over);
    tcase_add_test(reasons, a_flush_sends_what_is_there_in_full_batches);
    tcase_add_test(reasons, a_buffer_that_is_smaller_than_a_batch_is_emptied_when_it_is_half_full);
    tcase_add_test(reasons, a_buffer_that_few_large_spans_fill_is_emptied_when_it_is_half_full);
    tcase_add_test(reasons, what_was_buffered_before_the_start_leaves_at_once);
    tcase_add_test(reasons, every_collector_of_a_tracer_is_emptied);
    tcase_add_test(wire, a_batch_is_one_post_request_with_the_configured_headers);
    tcase_add_test(wire, one_connection_carries_many_batches);
    tcase_add_test(wire, a_compressed_batch_says_so_and_is_the_same_at_each_attempt);
    tcase_add_test(wire, user_and_password_go_to_the_backend_and_nowhere_else);
    tcase_add_test(wire, proxies_of_the_environment_are_not_used);
    return run_suite(suite);
}
