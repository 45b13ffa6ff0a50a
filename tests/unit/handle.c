/* SPDX-License-Identifier: MIT
 *
 * Goal: a handle stays safe for ever. Finishing is idempotent; a call on a span that is over does
 * nothing but count as misuse, also after the slot serves another span; and slots run out exactly
 * at live_spans_max and come back.
 * Method: misuse first, each call by itself; then exhaustion, in one thread and across threads. */
#include "slots.h"
#include "spans.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LIVE_MAX 64

static struct tracez_tracer *create_with_slots(uint32_t live_spans_max)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.live_spans_max = live_spans_max;
    return tracer_create(&config);
}

static struct tracez_span start(struct tracez_tracer *tracer, const char *name)
{
    return tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, name, NULL, NULL);
}

START_TEST(finishing_twice_gives_one_record_and_one_misuse)
{
    struct tracez_tracer *tracer = tracer_create_default();

    struct tracez_span span = start(tracer, "once");
    tracez_span_finish(span);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.recorded, 1);
    ck_assert_uint_eq(stats.misuse, 1);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(each_way_to_end_a_span_twice_counts_as_misuse)
{
    struct tracez_tracer *tracer = tracer_create_default();

    struct tracez_span discarded = start(tracer, "discarded");
    tracez_span_discard(discarded);
    tracez_span_finish(discarded);
    tracez_span_finish_after(discarded, 1);
    tracez_span_discard(discarded);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.misuse, 3);
    ck_assert_uint_eq(stats.not_kept, 1);
    ck_assert_uint_eq(stats.queued, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void call_set_string(struct tracez_span span)
{
    tracez_span_set_string(span, "key", "stale");
}

static void call_set_int(struct tracez_span span)
{
    tracez_span_set_int(span, "key", -1);
}

static void call_remove(struct tracez_span span)
{
    tracez_span_remove_tag(span, "mine");
}

static void call_set_name(struct tracez_span span)
{
    tracez_span_set_name(span, "stale", 5);
}

static void call_set_error(struct tracez_span span)
{
    tracez_span_set_error(span, "stale", "stale");
}

static void call_add_event(struct tracez_span span)
{
    tracez_span_add_event(span, "stale", NULL, 0);
}

static void call_discard(struct tracez_span span)
{
    tracez_span_discard(span);
}

static void call_finish(struct tracez_span span)
{
    tracez_span_finish(span);
}

START_TEST(a_stale_handle_never_touches_the_span_that_uses_its_slot_now)
{
    static void (*const calls[])(struct tracez_span) = {
        call_set_string, call_set_int,   call_remove,  call_set_name,
        call_set_error,  call_add_event, call_discard, call_finish,
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct tracez_tracer *tracer = create_with_slots(1);
        struct tracez_span stale = start(tracer, "first");
        tracez_span_finish(stale);
        struct tracez_span current = start(tracer, "second"); /* there is only one slot */
        tracez_span_set_int(current, "mine", 2);

        calls[i](stale);

        ck_assert(!tracez_span_is_recording(stale));
        ck_assert(tracez_span_is_recording(current));
        tracez_span_finish(current);
        struct spans spans = spans_drain_first(tracer);
        ck_assert_uint_eq(spans.count, 2);
        const struct tracez_record *second = &spans.records[1];
        assert_text(second->name, "second");
        ck_assert_int_eq(second->status, TRACEZ_STATUS_UNSET);
        ck_assert_uint_eq(second->tag_count, 1);
        ck_assert_uint_eq(second->event_count, 0);
        assert_tag_int(second, "mine", 2);
        ck_assert_uint_eq(books(tracer).misuse, 1);
        spans_free(&spans);
        tracez_tracer_destroy(tracer);
    }
}
END_TEST

START_TEST(a_handle_stays_stale_after_its_slot_was_reused_a_hundred_thousand_times)
{
    struct tracez_tracer *tracer = create_with_slots(1);

    struct tracez_span stale = start(tracer, "first");
    tracez_span_discard(stale);
    for (int i = 0; i < 100000; i++) {
        tracez_span_discard(start(tracer, "again"));
    }
    tracez_span_set_int(stale, "key", 1);
    tracez_span_finish(stale);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.misuse, 2);
    ck_assert_uint_eq(stats.queued, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(slots_run_out_exactly_at_live_spans_max_and_serve_again_when_finished)
{
    static const uint32_t maxima[] = {1, 2, 63, 1000};

    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        struct tracez_tracer *tracer = create_with_slots(maxima[i]);
        struct tracez_span *live = calloc(maxima[i], sizeof(live[0]));
        struct tracez_context own;
        ck_assert_ptr_nonnull(live);
        for (uint32_t j = 0; j < maxima[i]; j++) {
            live[j] = start(tracer, "live");
            ck_assert(tracez_span_is_recording(live[j]));
        }

        struct tracez_span refused =
            tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "none left", NULL, &own);

        ck_assert_ptr_null(refused.slot);
        ck_assert(tracez_context_is_valid(&own));
        struct tracez_stats stats = books(tracer);
        ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_NO_SLOT], 1);
        ck_assert_uint_eq(stats.live, maxima[i]);
        tracez_span_finish(live[0]);
        live[0] = start(tracer, "again");
        ck_assert(tracez_span_is_recording(live[0]));
        for (uint32_t j = 0; j < maxima[i]; j++) {
            tracez_span_finish(live[j]);
        }
        stats = books(tracer);
        ck_assert_uint_eq(stats.live, 0);
        ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_NO_SLOT], 1);
        ck_assert_uint_eq(stats.queued, maxima[i] + 1);
        free(live);
        tracez_tracer_destroy(tracer);
    }
}
END_TEST

static void *use_all_slots(void *state)
{
    struct tracez_span live[LIVE_MAX];

    for (size_t i = 0; i < LIVE_MAX; i++) {
        live[i] = start(state, "elsewhere");
    }
    for (size_t i = 0; i < LIVE_MAX; i++) {
        tracez_span_finish(live[i]);
    }
    return NULL;
}

START_TEST(slots_that_another_thread_used_serve_this_one_to_the_last)
{
    struct tracez_tracer *tracer = create_with_slots(LIVE_MAX);
    struct tracez_span live[LIVE_MAX];
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, use_all_slots, tracer), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < LIVE_MAX; i++) {
        live[i] = start(tracer, "here");
        ck_assert(tracez_span_is_recording(live[i]));
    }
    struct tracez_span refused = start(tracer, "none left");

    ck_assert(!tracez_span_is_recording(refused));
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_NO_SLOT], 1);
    for (size_t i = 0; i < LIVE_MAX; i++) {
        tracez_span_finish(live[i]);
    }
    ck_assert_uint_eq(books(tracer).live, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void *finish_spans(void *state)
{
    struct tracez_span *live = state;

    for (size_t i = 0; i < LIVE_MAX; i++) {
        tracez_span_set_bool(live[i], "elsewhere", true);
        tracez_span_finish(live[i]);
    }
    return NULL;
}

START_TEST(a_span_may_be_finished_by_another_thread_than_started_it)
{
    struct tracez_tracer *tracer = create_with_slots(LIVE_MAX);
    struct tracez_span live[LIVE_MAX];

    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        for (size_t i = 0; i < LIVE_MAX; i++) {
            live[i] = start(tracer, "here");
        }
        ck_assert_int_eq(pthread_create(&thread, NULL, finish_spans, live), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.queued, 3UL * LIVE_MAX);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_NO_SLOT], 0);
    ck_assert_uint_eq(stats.misuse, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_call_gives_up_on_a_span_that_another_thread_never_lets_go)
{
    struct tracez_tracer *tracer = create_with_slots(1);
    struct tracez_span span = start(tracer, "stuck");
    struct slot *slot = span.slot;

    atomic_fetch_or(&slot->state, SLOT_LOCKED); /* as by a thread that was cancelled in a call */
    tracez_span_set_int(span, "key", 1);

    ck_assert_uint_eq(books(tracer).misuse, 1);
    ck_assert_uint_eq(books(tracer).live, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handle");
    TCase *misuse = case_of(suite, "misuse");
    TCase *slots = case_of(suite, "slots");

    tcase_add_test(misuse, finishing_twice_gives_one_record_and_one_misuse);
    tcase_add_test(misuse, each_way_to_end_a_span_twice_counts_as_misuse);
    tcase_add_test(misuse, a_stale_handle_never_touches_the_span_that_uses_its_slot_now);
    tcase_add_test(misuse, a_handle_stays_stale_after_its_slot_was_reused_a_hundred_thousand_times);
    tcase_add_test(slots, slots_run_out_exactly_at_live_spans_max_and_serve_again_when_finished);
    tcase_add_test(slots, slots_that_another_thread_used_serve_this_one_to_the_last);
    tcase_add_test(slots, a_span_may_be_finished_by_another_thread_than_started_it);
    tcase_add_test(slots, a_call_gives_up_on_a_span_that_another_thread_never_lets_go);
    return run_suite(suite);
}
