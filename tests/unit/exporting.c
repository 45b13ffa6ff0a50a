/* SPDX-License-Identifier: MIT
 *
 * Tracer, backend and exporter for tests; see exporting.h. */
#include "exporting.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define HOUR_MS 3600000
#define STOP_MS 10000

uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void poll_again(uint64_t *begin_ms, const char *what)
{
    *begin_ms = *begin_ms != 0 ? *begin_ms : monotonic_ms();
    ck_assert_msg(monotonic_ms() - *begin_ms < BACKEND_DEADLINE_MS, "%s: not in %d ms", what,
                  BACKEND_DEADLINE_MS);
    poll(NULL, 0, 1);
}

struct exporting exporting_init_to(struct backend *backend)
{
    struct exporting exporting = {.backend = backend, .tracer = tracer_create_default()};

    exporting.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(exporting.wake_fd, 0);
    tracez_exporter_config_init(&exporting.config);
    exporting.config.wake_fds[0] = exporting.wake_fd;
    exporting.config.endpoint = backend_url(backend);
    exporting.config.interval_ms = HOUR_MS;
    exporting.config.batch_size = 10;
    exporting.config.connections = 2;
    exporting.config.retry_min_ms = 1;
    exporting.config.retry_max_ms = 5;
    return exporting;
}

struct exporting exporting_init(const struct backend_step *steps, size_t step_count)
{
    return exporting_init_to(backend_start(steps, step_count));
}

struct tracez_exporter *exporter_create(const struct tracez_exporter_config *config,
                                        struct tracez_tracer *tracer)
{
    struct tracez_exporter *exporter = NULL;
    struct tracez_error error = {0};
    enum tracez_result result = tracez_exporter_create(config, tracer, &exporter, &error);

    ck_assert_msg(result == TRACEZ_OK, "no exporter: %s", error.text);
    ck_assert_ptr_nonnull(exporter);
    return exporter;
}

void exporter_start(struct tracez_exporter *exporter)
{
    struct tracez_error error = {0};
    enum tracez_result result = tracez_exporter_start(exporter, &error);

    ck_assert_msg(result == TRACEZ_OK, "no thread: %s", error.text);
}

void exporting_start(struct exporting *exporting)
{
    exporting->exporter = exporter_create(&exporting->config, exporting->tracer);
    exporter_start(exporting->exporter);
    wait_state(exporting->exporter, TRACEZ_EXPORTER_UP);
}

struct exporting exporting_begin(const struct backend_step *steps, size_t step_count)
{
    struct exporting exporting = exporting_init(steps, step_count);

    exporting_start(&exporting);
    return exporting;
}

void exporting_flush_spans(struct exporting *exporting, size_t count)
{
    spans_pass(exporting->tracer, count);
    tracez_exporter_flush(exporting->exporter);
}

uint64_t histogram_count(const struct tracez_histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i <= TRACEZ_HISTOGRAM_BOUNDS; i++) {
        count += histogram->buckets[i];
    }
    return count;
}

/* Of an exporter that has stopped, the only one of its tracer. */
static void check_stats(const struct tracez_exporter_stats *stats, const struct tracez_stats *books)
{
    static const enum tracez_drop own[] = {TRACEZ_DROP_REJECTED, TRACEZ_DROP_PARTIAL_REJECTED,
                                           TRACEZ_DROP_RETRY_EXHAUSTED,
                                           TRACEZ_DROP_SHUTDOWN_DEADLINE};

    ck_assert_uint_eq(stats->exported, books->exported);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        ck_assert_uint_eq(stats->dropped[own[i]], books->dropped[own[i]]);
    }
    ck_assert_uint_eq(stats->inflight + stats->requests_inflight, 0);
    ck_assert_uint_eq(stats->attempts, stats->batches + stats->failed_attempts);
    ck_assert_uint_le(stats->retries, stats->failed_attempts);
    ck_assert_uint_eq(histogram_count(&stats->duration_ns), stats->batches);
    ck_assert_uint_eq(histogram_count(&stats->failed_duration_ns), stats->failed_attempts);
    ck_assert_uint_eq(histogram_count(&stats->batch_spans), stats->batches);
}

struct exporting_end exporting_end(struct exporting *exporting)
{
    struct exporting_end end;

    ck_assert_int_eq(tracez_exporter_stop(exporting->exporter, STOP_MS, false), TRACEZ_OK);
    end.stats = exporter_stats(exporting->exporter);
    tracez_exporter_destroy(exporting->exporter);
    end.accepted = backend_accepted_spans(exporting->backend);
    backend_stop(exporting->backend);
    end.books = books(exporting->tracer);
    ck_assert_uint_eq(end.books.queued + end.books.inflight + end.books.live, 0);
    check_stats(&end.stats, &end.books);
    tracez_tracer_destroy(exporting->tracer);
    close(exporting->wake_fd);
    return end;
}

enum tracez_result exporter_stop_timed(struct tracez_exporter *exporter, uint32_t timeout_ms,
                                       bool keep_rest, uint64_t *took_ms)
{
    uint64_t begin_ms = monotonic_ms();
    enum tracez_result result = tracez_exporter_stop(exporter, timeout_ms, keep_rest);

    *took_ms = monotonic_ms() - begin_ms;
    return result;
}

struct tracez_exporter_stats exporter_stats(struct tracez_exporter *exporter)
{
    struct tracez_exporter_stats stats;

    tracez_exporter_stats_init(&stats);
    tracez_exporter_stats(exporter, &stats);
    return stats;
}

uint64_t dropped_spans(const struct tracez_stats *books)
{
    uint64_t dropped = 0;

    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        dropped += books->dropped[reason];
    }
    return dropped;
}

void wait_turn(const struct exporting *exporting)
{
    /* It empties wake_fd once a turn, after it has sent: twice, so that a whole turn lies between.
     */
    for (int i = 0; i < 2; i++) {
        struct pollfd wake = {.fd = exporting->wake_fd, .events = POLLIN};
        uint64_t begin_ms = 0;

        ck_assert_int_eq(eventfd_write(exporting->wake_fd, 1), 0);
        while (poll(&wake, 1, 0) != 0) {
            poll_again(&begin_ms, "a turn of the thread");
        }
    }
}

/* Without the balance, which only holds at rest. */
static uint64_t settled_spans(const struct tracez_tracer *tracer)
{
    struct tracez_stats stats;

    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    return stats.exported + dropped_spans(&stats);
}

void wait_settled(struct tracez_tracer *tracer, uint64_t spans)
{
    uint64_t begin_ms = 0;

    while (settled_spans(tracer) < spans) {
        poll_again(&begin_ms, "spans exported or dropped");
    }
    ck_assert_uint_eq(settled_spans(tracer), spans);
}

void wait_state(struct tracez_exporter *exporter, enum tracez_exporter_state state)
{
    uint64_t begin_ms = 0;

    while (exporter_stats(exporter).state != state) {
        poll_again(&begin_ms, "another state");
    }
}

void wait_attempts(struct tracez_exporter *exporter, uint64_t attempts)
{
    uint64_t begin_ms = 0;

    while (exporter_stats(exporter).attempts < attempts) {
        poll_again(&begin_ms, "more attempts");
    }
}
