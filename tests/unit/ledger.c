/* SPDX-License-Identifier: MIT
 *
 * Goal: every span and every request is in the books exactly once, and the equations hold after
 * each step, whatever happens to the span. Method: one step of each kind at a time, then a long
 * random walk over all of them with a model beside it; and the same from several threads, checked
 * at rest. */
#include "spans.h"

#include "tracer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_stats_struct_of_an_older_caller_is_filled_no_further_than_it_is_long)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_stats stats;

    spans_pass(tracer, 3);
    memset(&stats, 0xee, sizeof(stats));
    stats.struct_bytes = offsetof(struct tracez_stats, live);
    tracez_tracer_stats(tracer, &stats);

    ck_assert_uint_eq(stats.recorded, 3);
    ck_assert_uint_eq(stats.struct_bytes, offsetof(struct tracez_stats, live));
    ck_assert_uint_eq(stats.live, 0xeeeeeeeeeeeeeeee);
    ck_assert_uint_eq(stats.tags_refused, 0xeeeeeeeeeeeeeeee);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(every_drop_reason_has_its_text_and_others_are_harmless)
{
    static const char *const texts[] = {
#define DROP_TEXT(name, text) text,
        TRACEZ_DROPS(DROP_TEXT)
#undef DROP_TEXT
    };

    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        ck_assert_str_eq(tracez_drop_text((enum tracez_drop)reason), texts[reason]);
    }
    ck_assert_ptr_nonnull(tracez_drop_text(TRACEZ_DROP_COUNT));
}
END_TEST

START_TEST(tags_are_counted_as_spans_end_with_them)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span finished = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    struct tracez_span discarded = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);

    tracez_span_set_int(finished, "a", 1);
    tracez_span_set_int(finished, "a", 2);
    tracez_span_set_int(finished, "b", 1);
    tracez_span_set_int(finished, "c", 1);
    tracez_span_remove_tag(finished, "c");
    tracez_span_set_int(discarded, "d", 1);
    ck_assert_uint_eq(books(tracer).tags_set, 0);
    tracez_span_finish(finished);
    tracez_span_discard(discarded);

    ck_assert_uint_eq(books(tracer).tags_set, 2);
    ck_assert_uint_eq(books(tracer).finished, 2);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* A reader that saw `recorded` a moment before it saw what became of those spans. */
START_TEST(spans_that_are_dropped_while_somebody_reads_take_nothing_from_the_finished_ones)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct ledger_line *line = &tracer->ledger->lines[1];
    struct tracez_stats stats = {.struct_bytes = sizeof(stats)};

    spans_pass(tracer, 3);
    atomic_store(&line->dropped[TRACEZ_DROP_RATE], 100);
    tracez_tracer_stats(tracer, &stats);

    ck_assert_uint_eq(stats.recorded, 3);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.finished, 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(requests_are_the_traced_and_the_not_traced)
{
    struct tracez_tracer *tracer = tracer_create_default();

    tracez_tracer_count_request(tracer, true);
    tracez_tracer_count_request(tracer, true);
    tracez_tracer_count_request(tracer, false);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.requests, 3);
    ck_assert_uint_eq(stats.traced, 2);
    ck_assert_uint_eq(stats.not_traced, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_fresh_tracer_has_empty_books)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_stats empty = {.struct_bytes = sizeof(empty)};

    struct tracez_stats stats = books(tracer);

    ck_assert_mem_eq(&stats, &empty, sizeof(stats));
    tracez_tracer_destroy(tracer);
}
END_TEST

enum { WALK_LIVE_MAX = 20, WALK_SPANS_MAX = 30 };

/* What the books should say. */
struct model {
    uint64_t recorded, not_recorded, not_kept, queue_full, no_slot, exported, misuse;
    unsigned live;
    unsigned queued;
    struct tracez_span spans[WALK_LIVE_MAX];
    struct tracez_span over;
};

static void walk_start(struct tracez_tracer *tracer, struct model *model)
{
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "walk", NULL, NULL);

    model->recorded++;
    if (model->live < WALK_LIVE_MAX) {
        ck_assert(tracez_span_is_recording(span));
        model->spans[model->live++] = span;
    } else {
        ck_assert(!tracez_span_is_recording(span));
        model->no_slot++;
    }
}

static void walk_start_unsampled(struct tracez_tracer *tracer, struct model *model)
{
    const struct tracez_context parent = {.trace_id = {1}, .span_id = {1}};

    tracez_span_start(tracer, TRACEZ_KIND_SERVER, "walk", &parent, NULL);
    model->not_recorded++;
}

/* Takes a random live span out of the model; false when there is none. */
static bool walk_take(struct model *model, struct tracez_span *span)
{
    if (model->live == 0) {
        return false;
    }
    unsigned at = (unsigned)random() % model->live;
    *span = model->spans[at];
    model->spans[at] = model->spans[--model->live];
    model->over = *span;
    return true;
}

static void walk_finish(struct tracez_tracer *tracer, struct model *model)
{
    struct tracez_span span;

    (void)tracer;
    if (walk_take(model, &span)) {
        tracez_span_finish(span);
        if (model->queued < WALK_SPANS_MAX) {
            model->queued++;
        } else {
            model->queue_full++;
        }
    }
}

static void walk_discard(struct tracez_tracer *tracer, struct model *model)
{
    struct tracez_span span;

    (void)tracer;
    if (walk_take(model, &span)) {
        tracez_span_discard(span);
        model->not_kept++;
    }
}

static void walk_misuse(struct tracez_tracer *tracer, struct model *model)
{
    (void)tracer;
    if (model->over.slot != NULL) {
        tracez_span_finish(model->over);
        model->misuse++;
    }
}

static void keep_nothing(const struct tracez_record *record, void *state)
{
    (void)record;
    (void)state;
}

static void walk_drain(struct tracez_tracer *tracer, struct model *model)
{
    size_t wanted = (size_t)random() % WALK_SPANS_MAX;
    size_t drained = tracez_collector_drain(first_collector(tracer), wanted, keep_nothing, NULL);

    ck_assert_uint_eq(drained, wanted < model->queued ? wanted : model->queued);
    model->queued -= (unsigned)drained;
    model->exported += drained;
}

START_TEST(the_books_follow_a_random_walk_step_by_step)
{
    static void (*const steps[])(struct tracez_tracer *, struct model *) = {
        walk_start,  walk_start,   walk_start,  walk_start_unsampled, walk_finish,
        walk_finish, walk_discard, walk_misuse, walk_drain,
    };
    struct tracez_config config;
    struct model model = {0};
    tracez_config_init(&config);
    config.live_spans_max = WALK_LIVE_MAX;
    config.spans_max = WALK_SPANS_MAX;
    struct tracez_tracer *tracer = tracer_create(&config);

    srandom(4);
    for (int i = 0; i < 5000; i++) {
        steps[(size_t)random() % (sizeof(steps) / sizeof(steps[0]))](tracer, &model);

        struct tracez_stats stats = books(tracer);
        ck_assert_uint_eq(stats.recorded, model.recorded);
        ck_assert_uint_eq(stats.not_recorded, model.not_recorded);
        ck_assert_uint_eq(stats.not_kept, model.not_kept);
        ck_assert_uint_eq(stats.live, model.live);
        ck_assert_uint_eq(stats.finished, model.recorded - model.live - model.no_slot);
        ck_assert_uint_eq(stats.queued, model.queued);
        ck_assert_uint_eq(stats.exported, model.exported);
        ck_assert_uint_eq(stats.misuse, model.misuse);
        ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], model.queue_full);
        ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_NO_SLOT], model.no_slot);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

enum { THREADS = 6, SPANS_EACH = 5000 };

static void *pass_spans(void *state)
{
    for (int i = 0; i < SPANS_EACH; i++) {
        span_pass(state, "thread");
        tracez_tracer_count_request(state, i % 2 == 0);
    }
    return NULL;
}

START_TEST(the_books_of_many_threads_add_up_also_after_the_threads_are_gone)
{
    struct tracez_tracer *tracer = tracer_create_default();
    pthread_t threads[THREADS];

    for (uint64_t round = 1; round <= 3; round++) {
        for (int i = 0; i < THREADS; i++) {
            ck_assert_int_eq(pthread_create(&threads[i], NULL, pass_spans, tracer), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        }
        struct tracez_stats stats = books(tracer);
        ck_assert_uint_eq(stats.recorded, round * THREADS * SPANS_EACH);
        ck_assert_uint_eq(stats.requests, round * THREADS * SPANS_EACH);
        ck_assert_uint_eq(stats.live, 0);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

static void *pass_one(void *state)
{
    span_pass(state, "short-lived");
    return NULL;
}

START_TEST(more_threads_than_the_ledger_has_lines_are_counted_too)
{
    enum { MANY = 2 * TRACEZ_WRITERS_MAX + 10 };
    struct tracez_tracer *tracer = tracer_create_default();
    pthread_t threads[MANY];

    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pass_one, tracer), 0);
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.recorded, MANY);
    /* A shard whose writer lost its processor may refuse the others. */
    ck_assert_uint_eq(stats.queued + stats.dropped[TRACEZ_DROP_QUEUE_FULL], MANY);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *edges = case_of(suite, "edges");
    TCase *walk = case_of(suite, "walk");

    tcase_add_test(edges, a_stats_struct_of_an_older_caller_is_filled_no_further_than_it_is_long);
    tcase_add_test(edges, every_drop_reason_has_its_text_and_others_are_harmless);
    tcase_add_test(edges, a_fresh_tracer_has_empty_books);
    tcase_add_test(edges, tags_are_counted_as_spans_end_with_them);
    tcase_add_test(edges,
                   spans_that_are_dropped_while_somebody_reads_take_nothing_from_the_finished_ones);
    tcase_add_test(edges, requests_are_the_traced_and_the_not_traced);
    tcase_add_test(walk, the_books_follow_a_random_walk_step_by_step);
    tcase_add_test(walk, the_books_of_many_threads_add_up_also_after_the_threads_are_gone);
    tcase_add_test(walk, more_threads_than_the_ledger_has_lines_are_counted_too);
    return run_suite(suite);
}
