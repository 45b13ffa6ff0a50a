/* SPDX-License-Identifier: MIT
 *
 * Goal: of several exporters over one shared buffer exactly one sends each lane, for all of them;
 * when it stops or dies another takes over, and no span is lost between the two. Method: two
 * tracers over the same memory with one eventfd a lane, as nginx's workers have; then a child
 * process that is killed while it holds everything. */
#include "exporting.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 2

/* What processes share. */
struct shared {
    struct tracez_config config; /* with the memory */
    int wake_fds[TRACEZ_LANES_MAX];
};

static void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static struct shared share(uint32_t lanes)
{
    static const struct tracez_collector_config collector = {.name = "shared", .writers = WRITERS};
    struct shared shared;
    struct tracez_config *config = &shared.config;

    tracez_config_init(config);
    config->lanes = lanes;
    for (uint32_t lane = 0; lane < lanes; lane++) {
        shared.wake_fds[lane] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ck_assert_int_ge(shared.wake_fds[lane], 0);
    }
    config->collectors = &collector;
    config->collector_count = 1;
    size_t buffer_bytes = tracez_buffer_bytes(config, NULL);
    size_t ledger_bytes = tracez_ledger_bytes();
    void *buffer = map_shared(buffer_bytes);
    void *ledger = map_shared(ledger_bytes);
    ck_assert_int_eq(tracez_buffer_format(config, buffer, buffer_bytes, NULL, NULL), TRACEZ_OK);
    ck_assert_int_eq(tracez_ledger_format(ledger, ledger_bytes, NULL, NULL), TRACEZ_OK);
    config->buffer_memory = buffer;
    config->buffer_bytes = buffer_bytes;
    config->ledger_memory = ledger;
    config->ledger_bytes = ledger_bytes;
    return shared;
}

static void unshare_all(const struct shared *shared)
{
    munmap(shared->config.buffer_memory, shared->config.buffer_bytes);
    munmap(shared->config.ledger_memory, shared->config.ledger_bytes);
    for (uint32_t lane = 0; lane < shared->config.lanes; lane++) {
        close(shared->wake_fds[lane]);
    }
}

/* One process's part. */
struct worker {
    struct tracez_tracer *tracer;
    struct tracez_exporter *exporter;
};

static struct worker worker_start(const struct shared *shared, uint32_t writer, const char *url)
{
    struct tracez_config config = shared->config;
    struct tracez_exporter_config exporter;
    struct worker worker;

    config.writer = writer;
    worker.tracer = tracer_create(&config);
    tracez_exporter_config_init(&exporter);
    exporter.endpoint = url;
    for (uint32_t lane = 0; lane < shared->config.lanes; lane++) {
        exporter.wake_fds[lane] = shared->wake_fds[lane];
    }
    exporter.interval_ms = 3600000;
    exporter.batch_size = 10;
    worker.exporter = exporter_create(&exporter, worker.tracer);
    exporter_start(worker.exporter);
    return worker;
}

static void worker_end(struct worker *worker)
{
    tracez_exporter_destroy(worker->exporter);
    tracez_tracer_destroy(worker->tracer);
}

/* In this order. */
static void end_all(struct worker *first, struct worker *last, struct backend *backend,
                    const struct shared *shared)
{
    worker_end(first);
    worker_end(last);
    backend_stop(backend);
    unshare_all(shared);
}

/* ---- A death ------------------------------------------------------------------------------- */

static void read_line(int fd, char *line, size_t line_bytes)
{
    ssize_t bytes = read(fd, line, line_bytes - 1);

    ck_assert_int_gt(bytes, 0);
    line[bytes] = '\0';
}

/* The child waits for the URL, records spans, and sends them until it is killed. */
static void run_child(const struct shared *shared, int url_fd)
{
    char url[64];
    read_line(url_fd, url, sizeof(url));
    struct worker worker = worker_start(shared, 0, url);

    wait_state(worker.exporter, TRACEZ_EXPORTER_UP);
    spans_pass(worker.tracer, 25);
    tracez_exporter_flush(worker.exporter);
    for (;;) {
        pause();
    }
}

/* Forked before any thread is there, so that it may have threads of its own. */
static pid_t fork_child(const struct shared *shared, int *url_fd)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        run_child(shared, fds[0]);
    }
    close(fds[0]);
    *url_fd = fds[1];
    return child;
}

START_TEST(what_an_exporter_held_when_it_was_killed_is_sent_by_the_next)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct shared shared = share(1);
    int url_fd;
    pid_t child = fork_child(&shared, &url_fd);
    struct backend *backend = backend_start(STEPS({.status = 200}, held, held));
    ck_assert_int_gt(write(url_fd, backend_url(backend), strlen(backend_url(backend))), 0);
    backend_wait_requests(backend, 3);
    struct worker heir = worker_start(&shared, 1, backend_url(backend));
    spans_pass(heir.tracer, 5);
    wait_settled(heir.tracer, 10); /* the first batch is acknowledged, two are on their way */

    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    wait_settled(heir.tracer, 30);

    ck_assert_int_eq(exporter_stats(heir.exporter).state, TRACEZ_EXPORTER_UP);
    ck_assert_uint_eq(exporter_stats(heir.exporter).exported, 20);
    ck_assert_uint_eq(backend_accepted_spans(backend), 30);
    ck_assert_uint_eq(books(heir.tracer).exported, 30);
    worker_end(&heir);
    close(url_fd);
    backend_stop(backend);
    unshare_all(&shared);
}
END_TEST

/* ---- Neighbours ---------------------------------------------------------------------------- */

START_TEST(the_holder_sends_everybodys_spans_and_hears_everybodys_wakes)
{
    struct backend *backend = backend_start(NULL, 0);
    struct shared shared = share(1);
    struct worker holder = worker_start(&shared, 0, backend_url(backend));
    wait_state(holder.exporter, TRACEZ_EXPORTER_UP);
    struct worker other = worker_start(&shared, 1, backend_url(backend));

    spans_pass(other.tracer, 10); /* one batch: it wakes the holder, who else */
    wait_settled(other.tracer, 10);
    spans_pass(holder.tracer, 10);
    wait_settled(other.tracer, 20);

    ck_assert_int_eq(exporter_stats(other.exporter).state, TRACEZ_EXPORTER_WAITING);
    ck_assert_uint_eq(exporter_stats(other.exporter).attempts, 0);
    ck_assert_uint_eq(exporter_stats(holder.exporter).exported, 20);
    ck_assert_uint_eq(backend_accepted_spans(backend), 20);
    end_all(&other, &holder, backend, &shared);
}
END_TEST

START_TEST(one_that_leaves_without_waiting_leaves_its_spans_to_the_next)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct backend *backend = backend_start(STEPS(held, held));
    struct shared shared = share(1);
    struct worker old = worker_start(&shared, 0, backend_url(backend));
    wait_state(old.exporter, TRACEZ_EXPORTER_UP);
    struct worker new = worker_start(&shared, 1, backend_url(backend));
    spans_pass(old.tracer, 20);
    backend_wait_requests(backend, 2);

    ck_assert_int_eq(tracez_exporter_stop(old.exporter, 0, true), TRACEZ_OK);
    spans_pass(old.tracer, 5); /* still serving its last requests */
    spans_pass(new.tracer, 5);
    wait_settled(new.tracer, 30); /* within a second; without a flush */

    ck_assert_uint_eq(backend_accepted_spans(backend), 30); /* the held ones were never taken */
    ck_assert_uint_eq(books(new.tracer).exported, 30);
    ck_assert_uint_eq(exporter_stats(new.exporter).exported, 30);
    end_all(&old, &new, backend, &shared);
}
END_TEST

START_TEST(one_that_waits_leaves_at_once_when_it_may_leave_the_rest)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct backend *backend = backend_start(STEPS(held));
    struct shared shared = share(1);
    struct worker holder = worker_start(&shared, 0, backend_url(backend));
    wait_state(holder.exporter, TRACEZ_EXPORTER_UP);
    struct worker other = worker_start(&shared, 1, backend_url(backend));
    uint64_t took_ms;
    spans_pass(other.tracer, 10);
    backend_wait_requests(backend, 1);

    enum tracez_result result = exporter_stop_timed(other.exporter, 10000, true, &took_ms);

    ck_assert_int_eq(result, TRACEZ_OK);
    ck_assert_uint_lt(took_ms, 5000);
    ck_assert_uint_eq(books(other.tracer).inflight, 10);
    backend_release(backend, 0);
    wait_settled(holder.tracer, 10);
    end_all(&other, &holder, backend, &shared);
}
END_TEST

START_TEST(the_last_one_counts_what_others_left)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct backend *backend = backend_start(STEPS(held, held, held));
    struct shared shared = share(1);
    struct worker first = worker_start(&shared, 0, backend_url(backend));
    wait_state(first.exporter, TRACEZ_EXPORTER_UP);
    struct worker last = worker_start(&shared, 1, backend_url(backend));
    spans_pass(first.tracer, 20);
    backend_wait_requests(backend, 2);

    ck_assert_int_eq(tracez_exporter_stop(first.exporter, 0, true), TRACEZ_OK);
    ck_assert_int_eq(tracez_exporter_stop(last.exporter, 0, false), TRACEZ_OK);

    ck_assert_uint_eq(books(last.tracer).dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 20);
    ck_assert_uint_eq(books(last.tracer).queued + books(last.tracer).inflight, 0);
    end_all(&first, &last, backend, &shared);
}
END_TEST

static void *leave_soon(void *state)
{
    struct worker *worker = state;

    ck_assert_int_eq(tracez_exporter_stop(worker->exporter, 20, true), TRACEZ_OK);
    return NULL;
}

START_TEST(the_last_one_counts_what_another_lets_go_of_a_moment_after_the_deadline)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct backend *backend = backend_start(STEPS(held, held, held));
    struct shared shared = share(1);
    struct worker first = worker_start(&shared, 0, backend_url(backend));
    wait_state(first.exporter, TRACEZ_EXPORTER_UP);
    struct worker last = worker_start(&shared, 1, backend_url(backend));
    pthread_t thread;
    spans_pass(first.tracer, 20);
    backend_wait_requests(backend, 2);

    ck_assert_int_eq(pthread_create(&thread, NULL, leave_soon, &first), 0);
    ck_assert_int_eq(tracez_exporter_stop(last.exporter, 0, false), TRACEZ_OK);
    pthread_join(thread, NULL);

    ck_assert_uint_eq(books(last.tracer).dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 20);
    ck_assert_uint_eq(books(last.tracer).queued + books(last.tracer).inflight, 0);
    end_all(&first, &last, backend, &shared);
}
END_TEST

/* ---- Lanes --------------------------------------------------------------------------------- */

static uint32_t lanes_of(const struct worker *worker)
{
    return exporter_stats(worker->exporter).lanes;
}

static void wait_lanes(const struct worker *worker, uint32_t lanes)
{
    uint64_t deadline_ms = monotonic_ms() + BACKEND_DEADLINE_MS;

    while (lanes_of(worker) != lanes) {
        ck_assert_msg(monotonic_ms() < deadline_ms, "it reads lanes %x, not %x", lanes_of(worker),
                      lanes);
        sched_yield();
    }
}

START_TEST(each_of_two_has_a_lane_and_hears_its_wakes)
{
    struct backend *backend = backend_start(NULL, 0);
    struct shared shared = share(2);
    struct worker one = worker_start(&shared, 0, backend_url(backend));
    wait_lanes(&one, 1);
    struct worker two = worker_start(&shared, 1, backend_url(backend));
    wait_lanes(&two, 2);

    spans_pass(one.tracer, 10); /* a batch each */
    wait_settled(one.tracer, 10);
    spans_pass(two.tracer, 10);
    wait_settled(one.tracer, 20);

    ck_assert_uint_eq(exporter_stats(one.exporter).exported, 10);
    ck_assert_uint_eq(exporter_stats(two.exporter).exported, 10);
    ck_assert_uint_eq(backend_accepted_spans(backend), 20);
    end_all(&two, &one, backend, &shared);
}
END_TEST

START_TEST(one_that_is_alone_reads_all_lanes_and_gives_one_to_who_comes)
{
    struct backend *backend = backend_start(NULL, 0);
    struct shared shared = share(2);
    struct worker first = worker_start(&shared, 0, backend_url(backend));
    wait_lanes(&first, 3);
    spans_pass(first.tracer, 10);
    wait_settled(first.tracer, 10);

    struct worker second = worker_start(&shared, 1, backend_url(backend));
    spans_pass(second.tracer, 10);
    wait_settled(second.tracer, 20); /* whoever has its lane by now */
    wait_lanes(&first, 1);
    wait_lanes(&second, 2);
    spans_pass(second.tracer, 10);
    wait_settled(second.tracer, 30);

    ck_assert_uint_eq(backend_accepted_spans(backend), 30);
    ck_assert_uint_eq(
        exporter_stats(second.exporter).exported + exporter_stats(first.exporter).exported, 30);
    end_all(&second, &first, backend, &shared);
}
END_TEST

START_TEST(a_lane_is_given_only_when_nothing_of_it_is_under_way)
{
    const struct backend_step held = {.action = BACKEND_HOLD};
    struct backend *backend = backend_start(STEPS(held));
    struct shared shared = share(2);
    struct worker first = worker_start(&shared, 1, backend_url(backend)); /* writes in the second */
    wait_lanes(&first, 3);
    spans_pass(first.tracer, 10);
    backend_wait_requests(backend, 1);
    struct worker second = worker_start(&shared, 0, backend_url(backend));

    spans_pass(second.tracer, 10); /* the first one hears of it, and sends them */
    wait_settled(second.tracer, 10);
    spans_pass(first.tracer, 5);
    ck_assert_uint_eq(lanes_of(&first), 3);
    backend_release(backend, 0);
    wait_lanes(&second, 2); /* with what was not read any more, which is due at once */
    wait_settled(second.tracer, 25);

    ck_assert_uint_eq(backend_accepted_spans(backend), 25);
    end_all(&second, &first, backend, &shared);
}
END_TEST

START_TEST(the_lane_of_one_that_stops_goes_to_the_other_at_once)
{
    struct backend *backend = backend_start(NULL, 0);
    struct shared shared = share(2);
    struct worker one = worker_start(&shared, 0, backend_url(backend));
    wait_lanes(&one, 1);
    struct worker two = worker_start(&shared, 1, backend_url(backend));
    wait_lanes(&two, 2);

    ck_assert_int_eq(tracez_exporter_stop(two.exporter, 0, true), TRACEZ_OK);
    spans_pass(two.tracer, 5);
    wait_lanes(&one, 3);
    wait_settled(one.tracer, 5);
    ck_assert_int_eq(tracez_exporter_stop(one.exporter, 1000, false), TRACEZ_OK);

    ck_assert_uint_eq(backend_accepted_spans(backend), 5);
    end_all(&two, &one, backend, &shared);
}
END_TEST

START_TEST(the_last_one_counts_what_is_left_in_all_lanes)
{
    struct backend *backend = backend_start(NULL, 0);
    struct shared shared = share(2);
    struct worker one = worker_start(&shared, 0, backend_url(backend));
    struct worker two = worker_start(&shared, 1, backend_url(backend));
    ck_assert_int_eq(tracez_exporter_stop(one.exporter, 0, true), TRACEZ_OK);
    spans_pass(one.tracer, 5);
    spans_pass(two.tracer, 5);

    ck_assert_int_eq(tracez_exporter_stop(two.exporter, 0, false), TRACEZ_OK);

    struct tracez_stats stats = books(two.tracer);
    ck_assert_uint_eq(stats.queued + stats.inflight, 0);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE] + stats.exported, 10);
    end_all(&two, &one, backend, &shared);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_lease");
    TCase *death = case_of(suite, "a death");
    TCase *neighbours = case_of(suite, "neighbours");
    TCase *lanes = case_of(suite, "lanes");

    tcase_add_test(death, what_an_exporter_held_when_it_was_killed_is_sent_by_the_next);
    tcase_add_test(neighbours, the_holder_sends_everybodys_spans_and_hears_everybodys_wakes);
    tcase_add_test(neighbours, one_that_leaves_without_waiting_leaves_its_spans_to_the_next);
    tcase_add_test(neighbours, one_that_waits_leaves_at_once_when_it_may_leave_the_rest);
    tcase_add_test(neighbours, the_last_one_counts_what_others_left);
    tcase_add_test(neighbours,
                   the_last_one_counts_what_another_lets_go_of_a_moment_after_the_deadline);
    tcase_add_test(lanes, each_of_two_has_a_lane_and_hears_its_wakes);
    tcase_add_test(lanes, one_that_is_alone_reads_all_lanes_and_gives_one_to_who_comes);
    tcase_add_test(lanes, a_lane_is_given_only_when_nothing_of_it_is_under_way);
    tcase_add_test(lanes, the_lane_of_one_that_stops_goes_to_the_other_at_once);
    tcase_add_test(lanes, the_last_one_counts_what_is_left_in_all_lanes);
    return run_suite(suite);
}
