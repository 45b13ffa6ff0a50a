/* SPDX-License-Identifier: MIT
 *
 * Goal: stopping sends what can be sent and ends at its deadline, whatever the backend, the name
 * lookup or a call that never returns do; what was not sent is counted, or left where it lies when
 * another process is to have it.
 * Method: each way to hang, with a short deadline and a watch; then the orderly ends. Times are
 * measured, so nothing else should run beside this program. */
#include "exporting.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 150
#define GRACE_MS 200 /* the promise: shutdown_timeout + 0.2 s */

/* ---- Calls that hang ----------------------------------------------------------------------- */

/* A gate that is shut keeps its callers until it is opened again. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_shut;
    unsigned waiting;
};

#define GATE_OPEN                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0                              \
    }

static struct gate name_lookups = GATE_OPEN;
static struct gate polls = GATE_OPEN;

static void gate_set(struct gate *gate, bool is_shut)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_shut = is_shut;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    while (gate->is_shut) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
}

static void gate_wait(struct gate *gate, unsigned waiting)
{
    uint64_t begin_ms = 0;
    unsigned now;

    do {
        poll_again(&begin_ms, "callers at the gate");
        pthread_mutex_lock(&gate->lock);
        now = gate->waiting;
        pthread_mutex_unlock(&gate->lock);
    } while (now != waiting);
}

/* In place of the C library's, for libcurl's lookups: no name exists. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *req,
                                                       struct addrinfo **pai)
{
    (void)name;
    (void)service;
    (void)req;
    (void)pai;
    gate_pass(&name_lookups);
    return EAI_NONAME;
}

/* The linker sends the transport's calls here (--wrap). */
typedef int multi;
int __real_curl_multi_poll(multi *handle, void *fds, unsigned fd_count, int timeout_ms, int *ready);
int __wrap_curl_multi_poll(multi *handle, void *fds, unsigned fd_count, int timeout_ms, int *ready);

int __wrap_curl_multi_poll(multi *handle, void *fds, unsigned fd_count, int timeout_ms, int *ready)
{
    gate_pass(&polls);
    return __real_curl_multi_poll(handle, fds, fd_count, timeout_ms, ready);
}

/* ---- Hanging ends -------------------------------------------------------------------------- */

/* Stops; the deadline must have been used, and kept. */
static void stop_at_deadline(struct tracez_exporter *exporter, bool keep_rest)
{
    uint64_t took_ms;

    ck_assert_int_eq(exporter_stop_timed(exporter, DEADLINE_MS, keep_rest, &took_ms), TRACEZ_OK);
    ck_assert_uint_ge(took_ms, DEADLINE_MS);
    ck_assert_uint_le(took_ms, DEADLINE_MS + GRACE_MS);
}

START_TEST(a_backend_that_never_answers_delays_stop_until_the_deadline_only)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct exporting exporting = exporting_begin(STEPS(held, held));
    spans_pass(exporting.tracer, 35);
    backend_wait_requests(exporting.backend, 2);

    stop_at_deadline(exporting.exporter, false);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 35);
    ck_assert_uint_eq(end.books.exported, 0);
    ck_assert_int_eq(end.stats.state, TRACEZ_EXPORTER_WAITING);
}
END_TEST

START_TEST(a_backend_that_is_not_there_delays_stop_until_the_deadline_only)
{
    struct exporting exporting = exporting_init_to(backend_start_deaf(NULL, 0));
    exporting_start(&exporting);
    spans_pass(exporting.tracer, 35);

    stop_at_deadline(exporting.exporter, false);

    ck_assert_uint_eq(exporting_end(&exporting).books.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 35);
}
END_TEST

START_TEST(a_name_lookup_that_hangs_delays_stop_until_the_deadline_only)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.endpoint = "http://backend.invalid:4318";
    exporting_start(&exporting);
    gate_set(&name_lookups, true);
    exporting_flush_spans(&exporting, 3);
    gate_wait(&name_lookups, 1);

    stop_at_deadline(exporting.exporter, false);

    gate_set(&name_lookups, false);
    gate_wait(&name_lookups, 0);
    ck_assert_uint_eq(exporting_end(&exporting).books.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 3);
}
END_TEST

START_TEST(a_thread_that_is_stuck_is_left_behind_with_all_that_it_may_touch)
{
    static struct exporting exporting; /* what is left behind stays reachable: no leak */
    uint64_t took_ms;
    exporting = exporting_begin(NULL, 0);
    gate_set(&polls, true);
    tracez_exporter_flush(exporting.exporter); /* out of the call before */
    gate_wait(&polls, 1);

    enum tracez_result result =
        exporter_stop_timed(exporting.exporter, DEADLINE_MS, false, &took_ms);
    uint64_t destroy_ms = monotonic_ms();
    tracez_exporter_destroy(exporting.exporter);
    destroy_ms = monotonic_ms() - destroy_ms;

    ck_assert_int_eq(result, TRACEZ_TIMED_OUT);
    ck_assert_uint_ge(took_ms, DEADLINE_MS);
    ck_assert_uint_le(took_ms, DEADLINE_MS + GRACE_MS);
    ck_assert_uint_le(destroy_ms, GRACE_MS);
    spans_pass(exporting.tracer, 20); /* wakes nobody */
    gate_set(&polls, false);
    wait_settled(exporting.tracer, 20); /* the thread came back, and ended as it was told to */
    backend_stop(exporting.backend);
}
END_TEST

struct writer {
    struct tracez_tracer *tracer;
    atomic_bool is_over;
};

static void *write_on(void *state)
{
    struct writer *writer = state;

    while (!atomic_load(&writer->is_over)) {
        span_pass(writer->tracer, "and on");
    }
    return NULL;
}

START_TEST(a_writer_that_never_pauses_does_not_keep_stop_from_ending)
{
    const bool keep_rest = _i != 0;
    struct exporting exporting = exporting_init(NULL, 0);
    struct writer writer = {.tracer = exporting.tracer};
    pthread_t thread;
    uint64_t took_ms;
    exporting.config.batch_size = 200;
    exporting_start(&exporting);
    ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &writer), 0);
    backend_wait_requests(exporting.backend, 1);

    enum tracez_result result =
        exporter_stop_timed(exporting.exporter, DEADLINE_MS, keep_rest, &took_ms);
    atomic_store(&writer.is_over, true);
    pthread_join(thread, NULL);

    ck_assert_int_eq(result, TRACEZ_OK);
    ck_assert_uint_le(took_ms, DEADLINE_MS + GRACE_MS);
    ck_assert_uint_gt(books(exporting.tracer).exported, 0);
    exporter_start(exporting.exporter);
    exporting_end(&exporting);
}
END_TEST

static uint64_t inflight_spans(const struct tracez_tracer *tracer)
{
    struct tracez_stats stats;

    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    return stats.inflight;
}

/* Bytes that are escaped, six for one: 20 bodies of 4 MiB take a quarter of a second to write. */
static void pass_laborious_spans(struct tracez_tracer *tracer, size_t count)
{
    char value[6000];

    memset(value, 1, sizeof(value));
    for (size_t i = 0; i < count; i++) {
        struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
        tracez_span_set_bytes(span, "value", value, sizeof(value));
        tracez_span_finish(span);
    }
}

START_TEST(stop_does_not_wait_until_all_that_is_due_is_encoded)
{
    struct exporting exporting = exporting_init(NULL, 0);
    struct tracez_config config;
    uint64_t begin_ms = 0;
    uint64_t took_ms;
    tracez_tracer_destroy(exporting.tracer);
    tracez_config_init(&config);
    config.spans_max = 65536;
    config.max_tag_bytes = 6000;
    exporting.tracer = tracer_create(&config);
    exporting.config.connections = 100; /* a sanitizer encodes one body in time, but not all */
    exporting.config.max_batch_bytes = 1024 * 1024;
    exporting.config.batch_size = 65536;
    exporting_start(&exporting);
    pass_laborious_spans(exporting.tracer, 2400);
    tracez_exporter_flush(exporting.exporter);
    while (inflight_spans(exporting.tracer) == 0) {
        poll_again(&begin_ms, "the first batch");
    }

    ck_assert_int_eq(exporter_stop_timed(exporting.exporter, 0, false, &took_ms), TRACEZ_OK);

    ck_assert_uint_le(took_ms, GRACE_MS);
    exporting_end(&exporting);
}
END_TEST

START_TEST(batches_that_were_taken_behind_one_that_hangs_count_as_exported)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));
    spans_pass(exporting.tracer, 10);
    backend_wait_requests(exporting.backend, 1);
    spans_pass(exporting.tracer, 20);
    wait_attempts(exporting.exporter, 2);

    stop_at_deadline(exporting.exporter, false);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 10);
    ck_assert_uint_eq(end.books.exported, 20);
    ck_assert_uint_eq(end.stats.exported, 20);
    ck_assert_uint_eq(end.accepted, 20);
}
END_TEST

START_TEST(keep_rest_leaves_what_was_not_sent_in_the_buffer)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct exporting exporting = exporting_begin(STEPS(held, held));
    spans_pass(exporting.tracer, 35);
    backend_wait_requests(exporting.backend, 2);

    stop_at_deadline(exporting.exporter, true);

    struct tracez_stats kept = books(exporting.tracer);
    ck_assert_uint_eq(kept.queued, 35);
    ck_assert_uint_eq(kept.inflight + kept.exported + dropped_spans(&kept), 0);
    exporter_start(exporting.exporter); /* the next one, so to speak */
    wait_settled(exporting.tracer, 35);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 35);
}
END_TEST

/* ---- Orderly ends -------------------------------------------------------------------------- */

/* Stops, long before the deadline. */
static void stop_soon(struct tracez_exporter *exporter, bool keep_rest)
{
    uint64_t took_ms;

    ck_assert_int_eq(exporter_stop_timed(exporter, 10000, keep_rest, &took_ms), TRACEZ_OK);
    ck_assert_uint_lt(took_ms, 5000);
}

START_TEST(stop_sends_what_is_buffered_first)
{
    struct exporting exporting = exporting_begin(NULL, 0);
    spans_pass(exporting.tracer, 1005);

    stop_soon(exporting.exporter, false);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 1005);
}
END_TEST

static void *release_first(void *backend)
{
    backend_release(backend, 0);
    return NULL;
}

START_TEST(keep_rest_waits_for_what_is_in_flight_and_begins_nothing_more)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));
    pthread_t thread;
    spans_pass(exporting.tracer, 10);
    backend_wait_requests(exporting.backend, 1);
    spans_pass(exporting.tracer, 3); /* not yet a batch */
    ck_assert_int_eq(pthread_create(&thread, NULL, release_first, exporting.backend), 0);

    stop_soon(exporting.exporter, true); /* while the answer is on its way */

    struct tracez_stats kept = books(exporting.tracer);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(kept.exported, 10);
    ck_assert_uint_eq(kept.queued, 3);
    ck_assert_uint_eq(backend_request_count(exporting.backend), 1);
    exporter_start(exporting.exporter);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 13);
}
END_TEST

START_TEST(handing_over_ends_what_is_in_flight_without_waiting_for_it)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));
    spans_pass(exporting.tracer, 10);
    backend_wait_requests(exporting.backend, 1);
    spans_pass(exporting.tracer, 3);

    tracez_exporter_hand_over(exporting.exporter, 10000);
    ck_assert_int_eq(exporter_stats(exporting.exporter).state, TRACEZ_EXPORTER_UP);
    backend_release(exporting.backend, 0);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_WAITING);

    struct tracez_stats kept = books(exporting.tracer);
    ck_assert_uint_eq(kept.exported, 10);
    ck_assert_uint_eq(kept.queued, 3);
    stop_soon(exporting.exporter, true);
    exporter_start(exporting.exporter);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 13);
}
END_TEST

START_TEST(keep_rest_does_not_wait_where_nothing_is_in_flight)
{
    struct exporting exporting =
        exporting_begin(STEPS({.status = 503, .headers = "Retry-After: 60\r\n"}));
    exporting_flush_spans(&exporting, 3);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_DOWN);

    stop_soon(exporting.exporter, true);

    ck_assert_uint_eq(books(exporting.tracer).queued, 3);
    ck_assert_uint_eq(backend_request_count(exporting.backend), 1);
    exporter_start(exporting.exporter);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

START_TEST(stop_tries_once_at_once_where_the_backend_asked_for_a_long_pause)
{
    struct exporting exporting =
        exporting_begin(STEPS({.status = 503, .headers = "Retry-After: 60\r\n"}));
    exporting_flush_spans(&exporting, 3);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_DOWN);

    stop_soon(exporting.exporter, false);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

START_TEST(stop_with_no_time_at_all_counts_everything)
{
    struct exporting exporting = exporting_begin(NULL, 0);
    spans_pass(exporting.tracer, 9);

    ck_assert_int_eq(tracez_exporter_stop(exporting.exporter, 0, false), TRACEZ_OK);

    ck_assert_uint_eq(exporting_end(&exporting).books.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 9);
}
END_TEST

START_TEST(destroy_stops_by_itself_within_shutdown_timeout)
{
    struct exporting exporting = exporting_init(STEPS({.action = BACKEND_HOLD}));
    exporting.config.shutdown_timeout_ms = DEADLINE_MS;
    exporting_start(&exporting);
    spans_pass(exporting.tracer, 10);

    uint64_t took_ms = monotonic_ms();
    tracez_exporter_destroy(exporting.exporter);
    took_ms = monotonic_ms() - took_ms;

    ck_assert_uint_ge(took_ms, DEADLINE_MS);
    ck_assert_uint_le(took_ms, DEADLINE_MS + GRACE_MS);
    ck_assert_uint_eq(books(exporting.tracer).dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 10);
    backend_stop(exporting.backend);
    tracez_tracer_destroy(exporting.tracer);
    close(exporting.wake_fd);
}
END_TEST

START_TEST(an_exporter_that_never_started_stops_and_goes_without_a_word)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.exporter = exporter_create(&exporting.config, exporting.tracer);
    spans_pass(exporting.tracer, 100);
    tracez_exporter_flush(exporting.exporter);

    stop_soon(exporting.exporter, false);
    tracez_exporter_destroy(NULL);

    ck_assert_uint_eq(books(exporting.tracer).queued, 100);
    ck_assert_int_eq(exporter_stats(exporting.exporter).state, TRACEZ_EXPORTER_WAITING);
    exporter_start(exporting.exporter);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 100);
}
END_TEST

START_TEST(an_exporter_that_was_stopped_amid_a_probe_starts_again_with_a_clean_slate)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct exporting exporting = exporting_begin(STEPS({.status = 503}, held));
    exporting_flush_spans(&exporting, 3);
    backend_wait_requests(exporting.backend, 2);
    ck_assert_int_eq(tracez_exporter_stop(exporting.exporter, 0, true), TRACEZ_OK);

    exporter_start(exporting.exporter);
    wait_settled(exporting.tracer, 3);

    ck_assert_uint_eq(exporting_end(&exporting).books.exported, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_stop");
    TCase *hanging = case_of(suite, "hanging");
    TCase *orderly = case_of(suite, "orderly");

    tcase_add_test(hanging, a_backend_that_never_answers_delays_stop_until_the_deadline_only);
    tcase_add_test(hanging, a_backend_that_is_not_there_delays_stop_until_the_deadline_only);
    tcase_add_test(hanging, a_name_lookup_that_hangs_delays_stop_until_the_deadline_only);
    tcase_add_test(hanging, a_thread_that_is_stuck_is_left_behind_with_all_that_it_may_touch);
    tcase_add_loop_test(hanging, a_writer_that_never_pauses_does_not_keep_stop_from_ending, 0, 2);
    tcase_add_test(hanging, stop_does_not_wait_until_all_that_is_due_is_encoded);
    tcase_add_test(hanging, batches_that_were_taken_behind_one_that_hangs_count_as_exported);
    tcase_add_test(hanging, keep_rest_leaves_what_was_not_sent_in_the_buffer);
    tcase_add_test(orderly, stop_sends_what_is_buffered_first);
    tcase_add_test(orderly, keep_rest_waits_for_what_is_in_flight_and_begins_nothing_more);
    tcase_add_test(orderly, handing_over_ends_what_is_in_flight_without_waiting_for_it);
    tcase_add_test(orderly, keep_rest_does_not_wait_where_nothing_is_in_flight);
    tcase_add_test(orderly, stop_tries_once_at_once_where_the_backend_asked_for_a_long_pause);
    tcase_add_test(orderly, stop_with_no_time_at_all_counts_everything);
    tcase_add_test(orderly, destroy_stops_by_itself_within_shutdown_timeout);
    tcase_add_test(orderly, an_exporter_that_never_started_stops_and_goes_without_a_word);
    tcase_add_test(orderly,
                   an_exporter_that_was_stopped_amid_a_probe_starts_again_with_a_clean_slate);
    return run_suite(suite);
}
