/* SPDX-License-Identifier: MIT
 *
 * Goal: under the load of the production guide, a hundred threads of a thousand spans with two tags
 * each into a collector of 50,000, every span is accounted for. (How fast that goes is a question
 * for bench/load_guide.)
 * Method: all threads begin at once; a span says by its tags whose it is and which, so that the
 * reader sees whether it comes whole, and once. There are more threads than writers of a tracer. */
#include "spans.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS 100
#define SPANS_EACH 1000
#define SPANS_MAX 50000

_Static_assert(THREADS > TRACEZ_WRITERS_MAX, "some share a line of the ledger");

struct load {
    struct tracez_tracer *tracer;
    pthread_barrier_t begin;
    atomic_uint running;
    uint64_t drained;
    bool is_seen[THREADS][SPANS_EACH];
};

struct worker {
    pthread_t thread;
    struct load *load;
    int number;
};

static void *work(void *state)
{
    struct worker *worker = state;
    struct load *load = worker->load;

    pthread_barrier_wait(&load->begin);
    for (int i = 0; i < SPANS_EACH; i++) {
        struct tracez_span span =
            tracez_span_start(load->tracer, TRACEZ_KIND_INTERNAL, "load", NULL, NULL);
        tracez_span_set_int(span, "worker", worker->number);
        tracez_span_set_int(span, "span", i);
        tracez_span_finish(span);
    }
    atomic_fetch_sub(&load->running, 1);
    return NULL;
}

static int64_t tag_of(const struct tracez_record *record, const char *key, int64_t below)
{
    struct tracez_entry entry;

    ck_assert(span_find_tag(record, key, &entry));
    ck_assert_int_ge(entry.integer, 0);
    ck_assert_int_lt(entry.integer, below);
    return entry.integer;
}

static void see(const struct tracez_record *record, void *state)
{
    struct load *load = state;
    bool *is_seen =
        &load->is_seen[tag_of(record, "worker", THREADS)][tag_of(record, "span", SPANS_EACH)];

    ck_assert_uint_eq(record->tag_count, 2);
    ck_assert_msg(!*is_seen, "a span came twice");
    *is_seen = true;
    load->drained++;
}

static void drain(struct load *load)
{
    while (tracez_collector_drain(first_collector(load->tracer), SPANS_MAX, see, load) > 0) {
    }
}

/* Returns the books, with nothing left in the collector. */
static struct tracez_stats run(struct load *load, bool drains_meanwhile)
{
    struct worker workers[THREADS];
    struct tracez_config config;

    tracez_config_init(&config);
    config.spans_max = SPANS_MAX;
    load->tracer = tracer_create(&config);
    atomic_store(&load->running, THREADS);
    ck_assert_int_eq(pthread_barrier_init(&load->begin, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.load = load, .number = i};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    while (drains_meanwhile && atomic_load(&load->running) > 0) {
        drain(load);
        sched_yield();
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    struct tracez_stats before = books(load->tracer);
    ck_assert_uint_le(before.queued, SPANS_MAX);
    drain(load);
    struct tracez_stats after = books(load->tracer);
    tracez_tracer_destroy(load->tracer);
    pthread_barrier_destroy(&load->begin);
    return after;
}

static void check_books(const struct load *load, const struct tracez_stats *books)
{
    ck_assert_uint_eq(books->recorded, THREADS * SPANS_EACH);
    ck_assert_uint_eq(books->live + books->queued + books->inflight + books->not_kept, 0);
    ck_assert_uint_eq(books->exported, load->drained);
    ck_assert_uint_eq(books->exported + books->dropped[TRACEZ_DROP_QUEUE_FULL], books->recorded);
    ck_assert_uint_eq(books->misuse + books->tags_refused, 0);
}

START_TEST(every_span_comes_whole_and_once_or_is_counted_as_dropped_while_somebody_drains)
{
    static struct load load;

    struct tracez_stats stats = run(&load, true);

    check_books(&load, &stats);
    ck_assert_uint_ge(stats.exported, SPANS_MAX / 2);
}
END_TEST

START_TEST(what_a_collector_that_nobody_drains_has_no_room_for_is_counted)
{
    static struct load load;

    struct tracez_stats stats = run(&load, false);

    check_books(&load, &stats);
    ck_assert_uint_ge(stats.dropped[TRACEZ_DROP_QUEUE_FULL], THREADS * SPANS_EACH - SPANS_MAX);
    ck_assert_uint_ge(stats.exported, SPANS_MAX / 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load_guide");
    TCase *load = case_of(suite, "a hundred threads");

    tcase_add_test(load,
                   every_span_comes_whole_and_once_or_is_counted_as_dropped_while_somebody_drains);
    tcase_add_test(load, what_a_collector_that_nobody_drains_has_no_room_for_is_counted);
    return run_suite(suite);
}
