/* SPDX-License-Identifier: MIT
 *
 * Goal: a forked child's tracer is inert: whatever the child calls on it, nothing starts, nothing
 * finishes, and the parent's books do not change; yet the child may make a tracer of its own, and
 * gets thread numbers for it. And a process that is given the writer of one that died counts what
 * that left, and frees what it held.
 * Method: buffer and ledger lie in memory that parent and child really share, so that a counter
 * which the child touches shows in the parent. The child reports by its exit status: the number of
 * the check that failed. */
#include "process.h"
#include "collector.h"
#include "spans.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* A tracer over shared memory; unmap gives it back. */
static struct tracez_tracer *create_shared(struct tracez_config *config)
{
    tracez_config_init(config);
    config->buffer_bytes = tracez_buffer_bytes(config, NULL);
    config->ledger_bytes = tracez_ledger_bytes();
    config->buffer_memory = map_shared(config->buffer_bytes);
    config->ledger_memory = map_shared(config->ledger_bytes);
    ck_assert_int_eq(
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, NULL, NULL),
        TRACEZ_OK);
    ck_assert_int_eq(tracez_ledger_format(config->ledger_memory, config->ledger_bytes, NULL, NULL),
                     TRACEZ_OK);
    return tracer_create(config);
}

static void unmap(const struct tracez_config *config)
{
    munmap(config->buffer_memory, config->buffer_bytes);
    munmap(config->ledger_memory, config->ledger_bytes);
}

/* Runs check in a child and fails with the number of what it found wrong. */
static void run_in_child(int (*check)(void *state), void *state)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        _exit(check(state)); /* without Check: another thread may have held its lock */
    }
    ck_assert_int_ge(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's check %d failed",
                  WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* What the parent hands to its child: a tracer with spans in every stage of their life. */
struct inherited {
    struct tracez_tracer *tracer;
    struct tracez_span live[3];
    struct tracez_span over;
};

static void count_records(const struct tracez_record *record, void *state)
{
    (void)record;
    ++*(unsigned *)state;
}

/* Every call that could move a counter or a span. */
static int use_the_parents_tracer(void *state)
{
    struct inherited *parents = state;
    struct tracez_tracer *tracer = parents->tracer;
    const struct tracez_context parent = {.trace_id = {1}, .span_id = {2}, .flags = 1};
    struct tracez_context own;
    unsigned drained = 0;

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &parent, &own);
    if (span.slot != NULL || memcmp(own.trace_id, parent.trace_id, sizeof(own.trace_id)) != 0 ||
        memcmp(own.span_id, parent.span_id, sizeof(own.span_id)) != 0 ||
        own.flags != parent.flags) {
        return 1; /* something started, or the parent's context was not handed on */
    }
    tracez_span_set_int(span, "key", 1);
    tracez_span_finish(span);
    tracez_span_set_string(parents->live[0], "", "a key that is refused");
    tracez_span_finish(parents->live[0]);
    tracez_span_finish_after(parents->live[1], 1);
    tracez_span_discard(parents->live[2]);
    tracez_span_finish(parents->live[0]); /* misuse, each of them */
    tracez_span_finish(parents->over);
    tracez_tracer_count_request(tracer, true);
    tracez_tracer_count_request(tracer, false);
    if (tracez_lane_lease(lane_of(tracez_tracer_collector(tracer, 0))) != TRACEZ_BUSY) {
        return 2;
    }
    if (tracez_collector_drain(tracez_tracer_collector(tracer, 0), 10, count_records, &drained) !=
            0 ||
        drained != 0) {
        return 3;
    }
    tracez_tracer_destroy(tracer);
    return 0;
}

START_TEST(a_forked_childs_tracer_is_inert_and_the_parents_books_do_not_change)
{
    struct tracez_config config;
    struct inherited inherited = {.tracer = create_shared(&config)};
    for (size_t i = 0; i < 3; i++) {
        inherited.live[i] =
            tracez_span_start(inherited.tracer, TRACEZ_KIND_SERVER, "live", NULL, NULL);
    }
    inherited.over = tracez_span_start(inherited.tracer, TRACEZ_KIND_SERVER, "over", NULL, NULL);
    tracez_span_finish(inherited.over);
    struct tracez_stats before = books(inherited.tracer);

    run_in_child(use_the_parents_tracer, &inherited);

    struct tracez_stats after = books(inherited.tracer);
    ck_assert_mem_eq(&after, &before, sizeof(after));
    ck_assert_uint_eq(after.live, 3);
    for (size_t i = 0; i < 3; i++) {
        tracez_span_finish(inherited.live[i]);
    }
    struct spans spans = spans_drain_first(inherited.tracer);
    ck_assert_uint_eq(spans.count, 4);
    ck_assert_uint_eq(books(inherited.tracer).misuse, 0);
    spans_free(&spans);
    tracez_tracer_destroy(inherited.tracer);
    unmap(&config);
}
END_TEST

static int use_a_tracer_of_its_own(void *state)
{
    struct tracez_config config;
    struct tracez_tracer *tracer = NULL;
    unsigned drained = 0;

    (void)state;
    tracez_config_init(&config);
    if (tracez_tracer_create(&config, &tracer, NULL) != TRACEZ_OK) {
        return 1;
    }
    spans_pass(tracer, 10);
    tracez_collector_drain(tracez_tracer_collector(tracer, 0), 100, count_records, &drained);
    tracez_tracer_destroy(tracer);
    return drained == 10 ? 0 : 2;
}

START_TEST(a_forked_child_may_make_a_tracer_of_its_own)
{
    struct tracez_tracer *tracer = tracer_create_default();
    spans_pass(tracer, 3);

    run_in_child(use_a_tracer_of_its_own, NULL);

    ck_assert_uint_eq(books(tracer).queued, 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* A thread that takes a number and keeps it until the barrier is passed the second time. */
static void *hold_a_number(void *barrier)
{
    uint32_t number = thread_number();

    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    return (void *)(uintptr_t)number;
}

static int has_a_number(void *state)
{
    (void)state;
    return thread_number() != THREAD_NUMBER_SHARED ? 0 : 1;
}

/* From a thread that has no number yet. */
static void *fork_and_take_a_number(void *state)
{
    (void)state;
    run_in_child(has_a_number, NULL);
    return NULL;
}

START_TEST(in_a_forked_child_the_numbers_of_the_threads_that_stayed_behind_are_free)
{
    pthread_t threads[TRACEZ_WRITERS_MAX];
    pthread_t forking;
    pthread_barrier_t barrier;
    bool is_taken[THREAD_NUMBER_SHARED + 1] = {false};

    process_init();
    ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, TRACEZ_WRITERS_MAX + 1), 0);
    for (int i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hold_a_number, &barrier), 0);
    }
    pthread_barrier_wait(&barrier); /* now all numbers are taken */
    ck_assert_int_eq(pthread_create(&forking, NULL, fork_and_take_a_number, NULL), 0);
    ck_assert_int_eq(pthread_join(forking, NULL), 0);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        void *number;
        ck_assert_int_eq(pthread_join(threads[i], &number), 0);
        ck_assert((uintptr_t)number == THREAD_NUMBER_SHARED || !is_taken[(uintptr_t)number]);
        is_taken[(uintptr_t)number] = true;
    }

    pthread_barrier_destroy(&barrier);
}
END_TEST

START_TEST(what_a_writer_that_died_left_unfinished_is_lost_and_what_it_had_locked_is_free)
{
    struct tracez_config config;
    struct tracez_tracer *died = create_shared(&config);
    config.writer = 1;
    struct tracez_tracer *other = tracer_create(&config);
    config.writer = 0;
    struct tracez_collector *collector = first_collector(died);
    for (int i = 0; i < 5; i++) {
        tracez_span_start(died, TRACEZ_KIND_SERVER, "lost", NULL, NULL);
    }
    spans_pass(died, 2);
    tracez_span_start(other, TRACEZ_KIND_SERVER, "live", NULL, NULL);
    for (uint32_t i = 0; i < collector->geometry.shard_count; i++) {
        atomic_store(&collector->shards[i].shard->lock, 0 + 1); /* it died while pushing */
    }
    spans_pass(other, 1);
    ck_assert_uint_eq(books(other).dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    tracez_tracer_destroy(died);

    struct tracez_tracer *successor = tracer_create(&config);
    tracez_tracer_take_over(successor, 0);
    spans_pass(other, 1);
    spans_pass(successor, 1);

    struct tracez_stats stats = books(successor);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_WORKER_LOST], 5);
    ck_assert_uint_eq(stats.live, 1);
    ck_assert_uint_eq(stats.queued, 4);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    tracez_tracer_take_over(successor, 0); /* nothing is left to take */
    ck_assert_uint_eq(books(successor).dropped[TRACEZ_DROP_WORKER_LOST], 5);
    tracez_tracer_destroy(successor);
    tracez_tracer_destroy(other);
    unmap(&config);
}
END_TEST

START_TEST(a_writer_that_died_is_taken_over_by_one_that_has_a_writer_of_its_own)
{
    struct tracez_config config;
    struct tracez_tracer *died = create_shared(&config);
    config.writer = 1;
    struct tracez_tracer *other = tracer_create(&config);
    tracez_span_start(died, TRACEZ_KIND_SERVER, "lost", NULL, NULL);
    tracez_span_start(other, TRACEZ_KIND_SERVER, "live", NULL, NULL);
    atomic_store(&first_collector(died)->shards[0].shard->lock, 0 + 1);
    tracez_tracer_destroy(died);

    tracez_tracer_take_over(other, 0);
    tracez_tracer_take_over(other, TRACEZ_WRITERS_MAX); /* nobody's */

    struct tracez_stats stats = books(other);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_WORKER_LOST], 1);
    ck_assert_uint_eq(stats.live, 1);
    ck_assert_uint_eq(atomic_load(&first_collector(other)->shards[0].shard->lock), 0);
    tracez_tracer_destroy(other);
    unmap(&config);
}
END_TEST

START_TEST(taking_over_leaves_what_another_writer_has_locked)
{
    struct tracez_config config;
    struct tracez_tracer *tracer = create_shared(&config);
    struct tracez_collector *collector = first_collector(tracer);

    atomic_store(&collector->shards[0].shard->lock, 1 + 1); /* writer 1 is pushing */
    tracez_tracer_take_over(tracer, 0);

    ck_assert_uint_eq(atomic_load(&collector->shards[0].shard->lock), 1 + 1);
    tracez_tracer_destroy(tracer);
    unmap(&config);
}
END_TEST

START_TEST(a_tracer_with_a_ledger_of_its_own_takes_nothing_over)
{
    struct tracez_tracer *tracer = tracer_create_default();

    tracez_span_start(tracer, TRACEZ_KIND_SERVER, "live", NULL, NULL);
    tracez_tracer_take_over(tracer, 0);

    ck_assert_uint_eq(books(tracer).live, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process");
    TCase *forked = case_of(suite, "forked");
    TCase *died = case_of(suite, "died");

    tcase_add_test(forked, a_forked_childs_tracer_is_inert_and_the_parents_books_do_not_change);
    tcase_add_test(forked, a_forked_child_may_make_a_tracer_of_its_own);
    tcase_add_test(forked,
                   in_a_forked_child_the_numbers_of_the_threads_that_stayed_behind_are_free);
    tcase_add_test(died,
                   what_a_writer_that_died_left_unfinished_is_lost_and_what_it_had_locked_is_free);
    tcase_add_test(died, a_writer_that_died_is_taken_over_by_one_that_has_a_writer_of_its_own);
    tcase_add_test(died, taking_over_leaves_what_another_writer_has_locked);
    tcase_add_test(died, a_tracer_with_a_ledger_of_its_own_takes_nothing_over);
    return run_suite(suite);
}
