/* SPDX-License-Identifier: MIT
 *
 * Goal: a span that the head sampler did not want is kept for exactly the reasons that were asked
 * for, says so, and passes the head's decision on; every other one is not kept, and counted.
 * Method: not kept first; a clock that the test sets, as slow is a matter of nanoseconds. */
#include "spans.h"

#include <tracez/sampler.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOW_NS 500000000

static uint64_t now_ns = 1000000000;

static uint64_t read_clock(void *state)
{
    (void)state;
    return now_ns;
}

static struct tracez_tracer *tracer_with(const struct tracez_keep *keep)
{
    struct tracez_config config;
    const struct tracez_collector_config collector = {.name = "default", .writers = 1};

    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.clock = (struct tracez_clock){read_clock, read_clock, NULL};
    ck_assert_int_eq(tracez_sampler_keep(keep, &config.sampler, NULL), TRACEZ_OK);
    return tracer_create(&config);
}

static const struct tracez_keep all_rules = {.errors = true, .slow_ns = SLOW_NS};

/* A span that takes this long; finished by the caller. */
static struct tracez_span start(struct tracez_tracer *tracer, uint64_t duration_ns)
{
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "asked", NULL, NULL);

    now_ns += duration_ns;
    return span;
}

static void assert_kept(struct tracez_tracer *tracer, const char *reason, double rate)
{
    struct spans spans = spans_drain_first(tracer);
    struct tracez_entry entry;

    ck_assert_uint_eq(spans.count, 1);
    assert_tag_string(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY), "keep");
    assert_tag_string(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_REASON), reason);
    ck_assert(span_find_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_RATE), &entry));
    ck_assert(entry.real == rate);
    ck_assert_uint_eq(spans.records[0].flags & TRACEZ_FLAG_SAMPLED, 0);
    spans_free(&spans);
}

static void assert_not_kept(struct tracez_tracer *tracer, uint64_t expected)
{
    struct tracez_stats stats = books(tracer);

    ck_assert_uint_eq(stats.not_kept, expected);
    ck_assert_uint_eq(stats.queued, 0);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.misuse, 0);
}

START_TEST(a_span_that_no_rule_applies_to_is_not_kept_and_counted)
{
    struct tracez_tracer *tracer = tracer_with(&all_rules);

    tracez_span_finish(start(tracer, SLOW_NS - 1));
    tracez_span_finish_after(start(tracer, SLOW_NS), SLOW_NS - 1);
    tracez_span_discard(start(tracer, SLOW_NS));

    assert_not_kept(tracer, 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_rule_that_is_off_keeps_nothing)
{
    static const struct tracez_keep no_rules = {0};
    struct tracez_tracer *tracer = tracer_with(&no_rules);
    struct tracez_span span = start(tracer, 100 * (uint64_t)SLOW_NS);

    tracez_span_set_error(span, "timeout", NULL);
    tracez_span_finish(span);

    assert_not_kept(tracer, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(an_error_is_kept)
{
    struct tracez_tracer *tracer = tracer_with(&all_rules);
    struct tracez_span span = start(tracer, 1);

    tracez_span_set_error(span, "timeout", NULL);
    tracez_span_finish(span);

    assert_kept(tracer, "error", 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_that_took_as_long_as_slow_is_kept)
{
    struct tracez_tracer *tracer = tracer_with(&all_rules);

    tracez_span_finish(start(tracer, SLOW_NS));
    assert_kept(tracer, "slow", 0);
    tracez_span_finish_after(start(tracer, 0), SLOW_NS);
    assert_kept(tracer, "slow", 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_the_caller_asks_for_is_kept_for_the_first_reason)
{
    struct tracez_tracer *tracer = tracer_with(&all_rules);
    struct tracez_span span = start(tracer, SLOW_NS);

    tracez_span_keep(span, "retried");
    tracez_span_keep(span, "aborted");
    tracez_span_finish(span);

    assert_kept(tracer, "retried", 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_reason_of_one_span_is_not_the_next_ones)
{
    struct tracez_tracer *tracer = tracer_with(&all_rules);
    struct tracez_span span = start(tracer, 0);

    tracez_span_keep(span, "retried");
    tracez_span_discard(span);
    tracez_span_finish(start(tracer, 0));

    assert_not_kept(tracer, 2);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_the_head_wants_is_kept_without_a_word)
{
    const struct tracez_sampler always = tracez_sampler_always();
    const struct tracez_keep keep = {.head = &always, .errors = true, .slow_ns = SLOW_NS};
    struct tracez_tracer *tracer = tracer_with(&keep);
    struct tracez_span span = start(tracer, 0);

    tracez_span_keep(span, "retried");
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(spans.records[0].flags & TRACEZ_FLAG_SAMPLED, TRACEZ_FLAG_SAMPLED);
    assert_no_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY));
    assert_no_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_REASON));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(the_callers_no_is_passed_on_and_children_are_not_recorded)
{
    const struct tracez_sampler by_parent = tracez_sampler_parent_based(NULL);
    const struct tracez_keep keep = {.head = &by_parent, .errors = true};
    struct tracez_tracer *tracer = tracer_with(&keep);
    const struct tracez_context parent = {.trace_id = {1}, .span_id = {2}, .is_remote = true};
    const struct tracez_span_options child_options = {
        .kind = TRACEZ_KIND_CLIENT, .name = {"child", 5}, .sampler = &by_parent};
    struct tracez_context own;
    struct tracez_span_options options = child_options;

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "asked", &parent, &own);
    options.parent = &own;
    struct tracez_span child = tracez_span_start_with(tracer, &options, NULL);

    ck_assert(tracez_span_is_recording(span));
    ck_assert_uint_eq(own.flags & TRACEZ_FLAG_SAMPLED, 0);
    ck_assert(!tracez_span_is_recording(child));
    tracez_span_set_error(span, "timeout", NULL);
    tracez_span_finish(span);
    assert_kept(tracer, "error", 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(the_rate_on_a_kept_span_is_the_heads)
{
    const struct tracez_sampler rarely = tracez_sampler_ratio(0.25);
    const struct tracez_keep keep = {.head = &rarely, .errors = true};
    struct tracez_tracer *tracer = tracer_with(&keep);
    struct tracez_context own = {.flags = TRACEZ_FLAG_SAMPLED};
    struct tracez_span span = {0};

    while ((own.flags & TRACEZ_FLAG_SAMPLED) != 0) {
        tracez_span_discard(span);
        span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "asked", NULL, &own);
    }
    tracez_span_set_error(span, "timeout", NULL);
    tracez_span_finish(span);

    assert_kept(tracer, "error", 0.25);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(no_more_are_kept_than_the_limit_allows_and_others_take_nothing_of_it)
{
    uint64_t bucket = 0;
    const struct tracez_rate_limit limit = {.per_second = 10, .burst = 3, .bucket = &bucket};
    const struct tracez_keep keep = {.errors = true, .limit = &limit};
    struct tracez_tracer *tracer = tracer_with(&keep);

    for (int i = 0; i < 5; i++) {
        tracez_span_finish(start(tracer, 0)); /* no error: nothing to limit */
        struct tracez_span span = start(tracer, 0);
        tracez_span_set_error(span, "timeout", NULL);
        tracez_span_finish(span);
    }
    ck_assert_uint_eq(books(tracer).queued, 3);
    ck_assert_uint_eq(books(tracer).not_kept, 7);
    now_ns += 100000000;
    for (int i = 0; i < 2; i++) {
        struct tracez_span span = start(tracer, 0);
        tracez_span_set_error(span, "timeout", NULL);
        tracez_span_finish(span);
    }
    ck_assert_uint_eq(books(tracer).queued, 4);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_forked_child_takes_nothing_of_the_limit)
{
    uint64_t *bucket =
        mmap(NULL, sizeof(*bucket), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct tracez_rate_limit limit = {.per_second = 10, .burst = 1, .bucket = bucket};
    const struct tracez_keep keep = {.errors = true, .limit = &limit};
    struct tracez_tracer *tracer = tracer_with(&keep);
    struct tracez_span span = start(tracer, 0);
    int status;

    tracez_span_set_error(span, "timeout", NULL);
    pid_t child = fork();
    if (child == 0) {
        tracez_span_finish(span);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    tracez_span_finish(span);

    assert_kept(tracer, "error", 0);
    tracez_tracer_destroy(tracer);
    munmap(bucket, sizeof(*bucket));
}
END_TEST

START_TEST(a_limit_that_is_none_is_refused)
{
    const struct tracez_rate_limit limit = {.per_second = 10};
    const struct tracez_keep keep = {.errors = true, .limit = &limit};
    struct tracez_sampler sampler = {.rate = 42};

    ck_assert_int_eq(tracez_sampler_keep(&keep, &sampler, NULL), TRACEZ_INVALID);
    ck_assert(sampler.decide == NULL && sampler.rate == 42);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keep");
    TCase *not_kept = case_of(suite, "not kept");
    TCase *kept = case_of(suite, "kept");

    tcase_add_test(not_kept, a_span_that_no_rule_applies_to_is_not_kept_and_counted);
    tcase_add_test(not_kept, a_rule_that_is_off_keeps_nothing);
    tcase_add_test(not_kept, a_limit_that_is_none_is_refused);
    tcase_add_test(not_kept, no_more_are_kept_than_the_limit_allows_and_others_take_nothing_of_it);
    tcase_add_test(not_kept, a_reason_of_one_span_is_not_the_next_ones);
    tcase_add_test(kept, an_error_is_kept);
    tcase_add_test(kept, a_span_that_took_as_long_as_slow_is_kept);
    tcase_add_test(kept, what_the_caller_asks_for_is_kept_for_the_first_reason);
    tcase_add_test(kept, what_the_head_wants_is_kept_without_a_word);
    tcase_add_test(kept, the_callers_no_is_passed_on_and_children_are_not_recorded);
    tcase_add_test(kept, a_forked_child_takes_nothing_of_the_limit);
    tcase_add_test(kept, the_rate_on_a_kept_span_is_the_heads);
    return run_suite(suite);
}
