/* SPDX-License-Identifier: MIT
 *
 * Goal: each finish callback sees each finished span once, before it is buffered, on the thread
 * that finished it; and after removal its state may be freed. Method: refusals first, then what is
 * seen; last, adding and removing while other threads finish spans, with states that are poisoned
 * right after removal. */
#include "spans.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CALLBACKS_MAX 8

struct seen {
    unsigned count;
    pthread_t thread;
    char name[32];
    int64_t number;
    struct tracez_tracer *tracer;
    uint64_t queued;
};

static void see(const struct tracez_record *record, void *state)
{
    struct seen *seen = state;
    struct tracez_entry entry;

    seen->count++;
    seen->thread = pthread_self();
    memcpy(seen->name, record->name.text, record->name.bytes);
    if (span_find_tag(record, "number", &entry)) {
        seen->number = entry.integer;
    }
    if (seen->tracer != NULL) {
        seen->queued = tracez_collector_unread(tracez_tracer_collector(seen->tracer, 0));
    }
}

START_TEST(a_ninth_callback_and_one_that_is_null_are_refused)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct seen seen[CALLBACKS_MAX + 1] = {0};

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, NULL, NULL), TRACEZ_INVALID);
    for (int i = 0; i < CALLBACKS_MAX; i++) {
        ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen[i]), TRACEZ_OK);
    }
    ck_assert_int_ne(tracez_tracer_on_finish(tracer, see, &seen[CALLBACKS_MAX]), TRACEZ_OK);
    span_pass(tracer, "eight");

    for (int i = 0; i < CALLBACKS_MAX; i++) {
        ck_assert_uint_eq(seen[i].count, 1);
    }
    ck_assert_uint_eq(seen[CALLBACKS_MAX].count, 0);
    tracez_tracer_remove_on_finish(tracer, see, &seen[3]);
    ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen[CALLBACKS_MAX]), TRACEZ_OK);
    span_pass(tracer, "again");
    ck_assert_uint_eq(seen[3].count, 1);
    ck_assert_uint_eq(seen[CALLBACKS_MAX].count, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(removing_what_was_never_added_does_no_harm)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct seen seen = {0};
    struct seen other = {0};

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen), TRACEZ_OK);
    tracez_tracer_remove_on_finish(tracer, see, &other);
    tracez_tracer_remove_on_finish(tracer, NULL, NULL);
    span_pass(tracer, "still");

    ck_assert_uint_eq(seen.count, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_removed_callback_is_not_called_any_more)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct seen seen = {0};

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen), TRACEZ_OK);
    span_pass(tracer, "one");
    tracez_tracer_remove_on_finish(tracer, see, &seen);
    span_pass(tracer, "two");

    ck_assert_uint_eq(seen.count, 1);
    ck_assert_str_eq(seen.name, "one");
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(spans_that_are_discarded_or_not_recorded_are_not_seen)
{
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_context unsampled = {.trace_id = {1}, .span_id = {1}};
    struct seen seen = {0};

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen), TRACEZ_OK);
    tracez_span_discard(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL));
    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &unsampled, NULL));

    ck_assert_uint_eq(seen.count, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void *finish_elsewhere(void *state)
{
    tracez_span_finish(*(struct tracez_span *)state);
    return NULL;
}

START_TEST(a_span_is_seen_once_before_it_is_buffered_on_the_thread_that_finishes_it)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct seen seen = {.tracer = tracer};
    pthread_t thread;

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen), TRACEZ_OK);
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "seen", NULL, NULL);
    tracez_span_set_int(span, "number", 42);
    ck_assert_uint_eq(seen.count, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, finish_elsewhere, &span), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    tracez_span_finish(span);

    ck_assert_uint_eq(seen.count, 1);
    ck_assert_str_eq(seen.name, "seen");
    ck_assert_int_eq(seen.number, 42);
    ck_assert(pthread_equal(seen.thread, thread));
    ck_assert_uint_eq(seen.queued, 0);
    ck_assert_uint_eq(books(tracer).queued, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_that_the_full_collector_refuses_was_still_seen)
{
    struct tracez_config config;
    struct seen seen = {0};
    tracez_config_init(&config);
    config.spans_max = 1;
    struct tracez_tracer *tracer = tracer_create(&config);

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, see, &seen), TRACEZ_OK);
    spans_pass(tracer, 5);

    ck_assert_uint_eq(seen.count, 5);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_QUEUE_FULL], 4);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* A callback that was given its span's handle and uses it. */
struct meddler {
    struct tracez_span span;
    bool was_recording;
};

static void meddle(const struct tracez_record *record, void *state)
{
    struct meddler *meddler = state;

    (void)record;
    meddler->was_recording = tracez_span_is_recording(meddler->span);
    tracez_span_set_int(meddler->span, "late", 1);
    tracez_span_finish(meddler->span);
}

START_TEST(a_callback_finds_its_own_span_over_and_does_not_wait_for_itself)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct meddler meddler;

    ck_assert_int_eq(tracez_tracer_on_finish(tracer, meddle, &meddler), TRACEZ_OK);
    meddler.span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "own", NULL, NULL);
    tracez_span_finish(meddler.span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert(!meddler.was_recording);
    ck_assert_uint_eq(spans.count, 1);
    assert_no_tag(&spans.records[0], "late");
    ck_assert_uint_eq(books(tracer).misuse, 2);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

enum { THREADS = 3, ROUNDS = 300 };

struct race {
    struct tracez_tracer *tracer;
    atomic_bool stop;
};

static void *finish_all_the_time(void *state)
{
    struct race *race = state;

    while (!atomic_load(&race->stop)) {
        span_pass(race->tracer, "race");
    }
    return NULL;
}

static void count_calls(const struct tracez_record *record, void *state)
{
    (void)record;
    /* Relaxed: removal alone must order it before the state is freed. */
    atomic_fetch_add_explicit((atomic_uint *)state, 1, memory_order_relaxed);
}

START_TEST(removal_while_threads_finish_spans_ends_with_no_call_running)
{
    struct race race = {.tracer = tracer_create_default()};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, finish_all_the_time, &race), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        /* On the heap and freed at once: a call that came later would be a use after free. */
        atomic_uint *calls = calloc(1, sizeof(*calls));
        ck_assert_ptr_nonnull(calls);
        ck_assert_int_eq(tracez_tracer_on_finish(race.tracer, count_calls, calls), TRACEZ_OK);
        while (round % 10 == 0 && atomic_load_explicit(calls, memory_order_relaxed) == 0) {
        }
        tracez_tracer_remove_on_finish(race.tracer, count_calls, calls);
        unsigned at_removal = atomic_load_explicit(calls, memory_order_relaxed);
        span_pass(race.tracer, "after");
        ck_assert_uint_eq(atomic_load_explicit(calls, memory_order_relaxed), at_removal);
        free(calls);
    }
    atomic_store(&race.stop, true);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }

    ck_assert_uint_eq(books(race.tracer).live, 0);
    tracez_tracer_destroy(race.tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("finish callback");
    TCase *refused = case_of(suite, "refused");
    TCase *seen = case_of(suite, "seen");
    TCase *race = case_of(suite, "race");

    tcase_add_test(refused, a_ninth_callback_and_one_that_is_null_are_refused);
    tcase_add_test(refused, removing_what_was_never_added_does_no_harm);
    tcase_add_test(refused, a_removed_callback_is_not_called_any_more);
    tcase_add_test(refused, spans_that_are_discarded_or_not_recorded_are_not_seen);
    tcase_add_test(seen, a_span_is_seen_once_before_it_is_buffered_on_the_thread_that_finishes_it);
    tcase_add_test(seen, a_span_that_the_full_collector_refuses_was_still_seen);
    tcase_add_test(seen, a_callback_finds_its_own_span_over_and_does_not_wait_for_itself);
    tcase_add_test(race, removal_while_threads_finish_spans_ends_with_no_call_running);
    return run_suite(suite);
}
