/* SPDX-License-Identifier: MIT
 *
 * Goal: a span's handle may be used by any thread at any time, also when the span is over and its
 * slot serves another: each span ends once, a late call never reaches another span, and the books
 * are exact.
 * Method: threads hand their spans to each other over a board of few cells and keep copies of the
 * handles; all of them finish, discard, tag and ask, early, late and twice. There are far fewer
 * slots than spans, so slots are used again at once. What a call is meant for is written into the
 * span, so that the reader sees whether it reached another one. */
#include "random.h"
#include "spans.h"

#include <tracez/sampler.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS 8
#define SPANS_EACH 6000
#define LIVE_MAX 48
#define CELLS 16
#define KEPT 8 /* old handles that a thread remembers */

/* A span that was handed over; id is what its own tags say. */
struct handed {
    struct tracez_span span;
    uint64_t id;
};

struct cell {
    pthread_mutex_t lock;
    struct handed handed;
};

struct run {
    struct tracez_tracer *tracer;
    struct cell cells[CELLS];
    atomic_uint running;
    atomic_uint strays; /* calls that reached another span */
};

struct worker {
    pthread_t thread;
    struct run *run;
    uint64_t index;
    uint64_t random;
    struct handed kept[KEPT];
    uint64_t started;
    uint64_t ends;      /* calls of finish and discard */
    uint64_t late_asks; /* calls that were told that the span is over */
};

/* ---- What threads do ------------------------------------------------------------------------- */

static void end(struct worker *worker, const struct handed *handed)
{
    if (handed->span.slot == NULL) {
        return;
    }
    worker->ends++;
    if (next_random(&worker->random) % 8 == 0) {
        tracez_span_discard(handed->span);
    } else {
        tracez_span_finish(handed->span);
    }
}

/* Its outcome tells whether it was a misuse, and whose span it reached. */
static void ask(struct worker *worker, const struct handed *handed)
{
    char text[32];

    if (handed->span.slot == NULL) {
        return;
    }
    if (tracez_span_get(handed->span, "id", text, sizeof(text)) < 0) {
        worker->late_asks++;
    } else if (strtoull(text, NULL, 10) != handed->id) {
        atomic_fetch_add(&worker->run->strays, 1);
    }
}

static struct handed start_span(struct worker *worker)
{
    struct handed handed = {.id = worker->index << 32 | worker->started};

    worker->started++;
    handed.span =
        tracez_span_start(worker->run->tracer, TRACEZ_KIND_INTERNAL, "stress", NULL, NULL);
    tracez_span_set_int(handed.span, "id", (int64_t)handed.id);
    return handed;
}

/* Puts a span on the board and takes what lay there. */
static struct handed exchange(struct worker *worker, struct handed handed)
{
    struct cell *cell = &worker->run->cells[next_random(&worker->random) % CELLS];

    pthread_mutex_lock(&cell->lock);
    struct handed before = cell->handed;
    cell->handed = handed;
    pthread_mutex_unlock(&cell->lock);
    return before;
}

/* One span's life, all of it visible in counts: ends once, asked for early and late. */
static void live_counted(struct worker *worker)
{
    struct handed own = start_span(worker);
    struct handed *old = &worker->kept[next_random(&worker->random) % KEPT];

    ask(worker, old);
    struct handed others = exchange(worker, own);
    ask(worker, &others);
    end(worker, &others);
    end(worker, old);
    *old = next_random(&worker->random) % 2 == 0 ? own : others;
}

/* As above, with late calls whose outcome shows in the span only. */
static void live_tagged(struct worker *worker)
{
    struct handed own = start_span(worker);
    struct handed *old = &worker->kept[next_random(&worker->random) % KEPT];

    tracez_span_set_int(old->span, "late", (int64_t)old->id);
    struct handed others = exchange(worker, own);
    tracez_span_set_int(others.span, "late", (int64_t)others.id);
    tracez_span_set_format(old->span, "late text", "%llu", (unsigned long long)old->id);
    end(worker, &others);
    tracez_span_add_event(others.span, "late", NULL, 0);
    tracez_span_remove_tag(old->span, "late text");
    tracez_span_set_error(old->span, NULL, NULL);
    *old = own;
}

static const char *const reasons[THREADS] = {"0", "1", "2", "3", "4", "5", "6", "7"};

/* Why a thread wants spans to be kept that itself has started. */
static const char *reason_of(uint64_t id)
{
    return reasons[id >> 32];
}

/* As above, with a rule that decides at the end: half are asked for, early or late. */
static void live_undecided(struct worker *worker)
{
    struct handed own = start_span(worker);
    struct handed *old = &worker->kept[next_random(&worker->random) % KEPT];

    tracez_span_keep(old->span, reason_of(old->id));
    struct handed others = exchange(worker, own);
    if (next_random(&worker->random) % 2 == 0) {
        tracez_span_keep(others.span, reason_of(others.id));
    }
    end(worker, &others);
    tracez_span_keep(others.span, reason_of(others.id));
    *old = own;
}

static void *run_undecided(void *state)
{
    struct worker *worker = state;

    while (worker->started < SPANS_EACH) {
        live_undecided(worker);
    }
    atomic_fetch_sub(&worker->run->running, 1);
    return NULL;
}

static void *run_counted(void *state)
{
    struct worker *worker = state;

    while (worker->started < SPANS_EACH) {
        live_counted(worker);
    }
    atomic_fetch_sub(&worker->run->running, 1);
    return NULL;
}

static void *run_tagged(void *state)
{
    struct worker *worker = state;

    while (worker->started < SPANS_EACH) {
        live_tagged(worker);
    }
    atomic_fetch_sub(&worker->run->running, 1);
    return NULL;
}

/* ---- What comes out -------------------------------------------------------------------------- */

static void check_record(const struct tracez_record *record, void *state)
{
    struct run *run = state;
    struct tracez_entry id;
    struct tracez_entry late;
    struct tracez_entry reason;

    if (!span_find_tag(record, "id", &id) ||
        (span_find_tag(record, "late", &late) && late.integer != id.integer) ||
        (span_find_tag(record, TRACEZ_KEY(TRACEZ_SAMPLING_REASON), &reason) &&
         reason.string.text[0] != *reason_of((uint64_t)id.integer))) {
        atomic_fetch_add(&run->strays, 1);
    }
}

static void *drain(void *state)
{
    struct run *run = state;

    while (atomic_load(&run->running) > 0) {
        tracez_collector_drain(tracez_tracer_collector(run->tracer, 0), 1000, check_record, run);
        sched_yield();
    }
    tracez_collector_drain(tracez_tracer_collector(run->tracer, 0), SIZE_MAX, check_record, run);
    return NULL;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static void run_threads(struct run *run, struct worker *workers, void *(*body)(void *))
{
    static const struct tracez_keep keep = {0}; /* what is asked for, and nothing else */
    struct tracez_config config;
    pthread_t drainer;

    tracez_config_init(&config);
    config.live_spans_max = LIVE_MAX;
    if (body == run_undecided) {
        ck_assert_int_eq(tracez_sampler_keep(&keep, &config.sampler, NULL), TRACEZ_OK);
    }
    run->tracer = tracer_create(&config);
    run->running = THREADS;
    for (int i = 0; i < CELLS; i++) {
        pthread_mutex_init(&run->cells[i].lock, NULL);
    }
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.run = run, .index = i, .random = i};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
    }
    ck_assert_int_eq(pthread_create(&drainer, NULL, drain, run), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
    }
    ck_assert_int_eq(pthread_join(drainer, NULL), 0);
    /* Nothing is live but what may still lie on the board or in a thread's memory. */
    for (int i = 0; i < CELLS; i++) {
        end(&workers[0], &run->cells[i].handed);
        pthread_mutex_destroy(&run->cells[i].lock);
    }
    for (int i = 0; i < THREADS * KEPT; i++) {
        end(&workers[0], &workers[i / KEPT].kept[i % KEPT]);
    }
    tracez_collector_drain(first_collector(run->tracer), SIZE_MAX, check_record, run);
}

static struct tracez_stats assert_balanced(const struct run *run)
{
    struct tracez_stats stats = books(run->tracer);

    ck_assert_uint_eq(run->strays, 0);
    ck_assert_uint_eq(stats.recorded, THREADS * SPANS_EACH);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.queued, 0);
    ck_assert_uint_eq(stats.inflight, 0);
    ck_assert_uint_gt(stats.exported, 0);
    ck_assert_uint_gt(stats.not_kept, 0);
    return stats;
}

START_TEST(each_span_ends_once_and_every_other_call_is_counted_as_misuse)
{
    struct run run = {0};
    struct worker workers[THREADS];
    uint64_t ends = 0;
    uint64_t late_asks = 0;

    run_threads(&run, workers, run_counted);

    struct tracez_stats stats = assert_balanced(&run);
    for (int i = 0; i < THREADS; i++) {
        ends += workers[i].ends;
        late_asks += workers[i].late_asks;
    }
    uint64_t ended = stats.recorded - stats.dropped[TRACEZ_DROP_NO_SLOT];
    ck_assert_uint_gt(ends, ended);
    ck_assert_uint_eq(stats.misuse, ends - ended + late_asks);
    tracez_tracer_destroy(run.tracer);
}
END_TEST

START_TEST(a_late_call_never_reaches_the_span_that_uses_the_slot_now)
{
    struct run run = {0};
    struct worker workers[THREADS];

    run_threads(&run, workers, run_tagged);

    struct tracez_stats stats = assert_balanced(&run);
    ck_assert_uint_gt(stats.misuse, 0);
    tracez_tracer_destroy(run.tracer);
}
END_TEST

START_TEST(a_span_is_kept_for_those_who_asked_for_it_and_not_for_a_late_call)
{
    struct run run = {0};
    struct worker workers[THREADS];

    run_threads(&run, workers, run_undecided);

    struct tracez_stats stats = assert_balanced(&run);
    ck_assert_uint_gt(stats.misuse, 0);
    tracez_tracer_destroy(run.tracer);
}
END_TEST

/* ---- More threads than lines ----------------------------------------------------------------- */

enum { CROWD = TRACEZ_WRITERS_MAX + 16, SPANS_OF_CROWD = 300 };

struct crowd {
    struct tracez_tracer *tracer;
    pthread_barrier_t gate;
};

static void *pass_with_the_crowd(void *state)
{
    struct crowd *crowd = state;

    pthread_barrier_wait(&crowd->gate);
    spans_pass(crowd->tracer, 1); /* now each has its number, or shares the last line */
    pthread_barrier_wait(&crowd->gate);
    spans_pass(crowd->tracer, SPANS_OF_CROWD - 1);
    return NULL;
}

START_TEST(more_threads_at_once_than_there_are_lines_are_counted_exactly)
{
    struct crowd crowd;
    struct tracez_config config;
    pthread_t threads[CROWD];
    tracez_config_init(&config);
    config.spans_max = 1000;
    crowd.tracer = tracer_create(&config);
    ck_assert_int_eq(pthread_barrier_init(&crowd.gate, NULL, CROWD), 0);

    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pass_with_the_crowd, &crowd), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }

    struct tracez_stats stats = books(crowd.tracer);
    ck_assert_uint_eq(stats.recorded, CROWD * SPANS_OF_CROWD);
    ck_assert_uint_eq(stats.queued, 1000);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], CROWD * SPANS_OF_CROWD - 1000);
    ck_assert_uint_eq(stats.live, 0);
    pthread_barrier_destroy(&crowd.gate);
    tracez_tracer_destroy(crowd.tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handles under stress");
    TCase *threads = case_of(suite, "threads");

    tcase_add_test(threads, each_span_ends_once_and_every_other_call_is_counted_as_misuse);
    tcase_add_test(threads, a_late_call_never_reaches_the_span_that_uses_the_slot_now);
    tcase_add_test(threads, a_span_is_kept_for_those_who_asked_for_it_and_not_for_a_late_call);
    tcase_add_test(threads, more_threads_at_once_than_there_are_lines_are_counted_exactly);
    return run_suite(suite);
}
