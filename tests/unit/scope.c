/* SPDX-License-Identifier: MIT
 *
 * Goal: the current span is the innermost one entered on this thread, and nobody else's.
 * Method: outside any scope first, then nesting, then two threads. */
#include "spans.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_outside_any_scope(void)
{
    struct tracez_context context = {.flags = 7};

    ck_assert_ptr_null(tracez_current_span().slot);
    ck_assert_uint_eq(tracez_current_span().generation, 0);
    ck_assert(!tracez_current_context(&context));
    ck_assert_ptr_null(tracez_current_tracer());
}

static void assert_current(struct tracez_tracer *tracer, struct tracez_span span,
                           const struct tracez_context *own)
{
    struct tracez_context context;

    ck_assert_ptr_eq(tracez_current_tracer(), tracer);
    ck_assert_ptr_eq(tracez_current_span().slot, span.slot);
    ck_assert_uint_eq(tracez_current_span().generation, span.generation);
    ck_assert(tracez_current_context(&context));
    ck_assert_mem_eq(context.span_id, own->span_id, sizeof(own->span_id));
    ck_assert_mem_eq(context.trace_id, own->trace_id, sizeof(own->trace_id));
}

START_TEST(outside_any_scope_nothing_is_current)
{
    assert_outside_any_scope();
}
END_TEST

START_TEST(a_tracer_that_traces_nothing_is_not_current)
{
    struct tracez_config config;
    struct tracez_context own = {0};
    tracez_config_init(&config);
    config.is_disabled = true;
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, &own);

    struct tracez_scope scope = tracez_scope_enter(tracer, span, &own);

    ck_assert_ptr_null(tracez_current_tracer());
    tracez_scope_leave(&scope);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_that_is_not_recorded_leaves_its_tracer_current)
{
    struct tracez_config config;
    struct tracez_context own = {0};
    tracez_config_init(&config);
    config.sample_rate = 0;
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, &own);

    struct tracez_scope scope = tracez_scope_enter(tracer, span, &own);

    ck_assert(!tracez_span_is_recording(tracez_current_span()));
    assert_current(tracer, span, &own);
    tracez_scope_leave(&scope);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(in_a_forked_child_no_tracer_is_current)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context own = {0};
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, &own);
    struct tracez_scope scope = tracez_scope_enter(tracer, span, &own);
    int status;

    pid_t child = fork();
    if (child == 0) {
        _exit(tracez_current_tracer() == NULL ? 0 : 1);
    }

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    assert_current(tracer, span, &own);
    tracez_scope_leave(&scope);
    tracez_span_finish(span);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(scopes_nest_and_leaving_restores_the_outer_one)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context outer;
    struct tracez_context inner;
    struct tracez_span outer_span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "outer", NULL, &outer);

    struct tracez_scope outer_scope = tracez_scope_enter(tracer, outer_span, &outer);
    assert_current(tracer, outer_span, &outer);
    struct tracez_span inner_span =
        tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "inner", &outer, &inner);
    struct tracez_scope inner_scope = tracez_scope_enter(tracer, inner_span, &inner);
    assert_current(tracer, inner_span, &inner);
    tracez_scope_leave(&inner_scope);
    assert_current(tracer, outer_span, &outer);
    tracez_scope_leave(&outer_scope);

    assert_outside_any_scope();
    tracez_span_finish(inner_span);
    tracez_span_finish(outer_span);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_scope_of_a_span_that_is_not_recorded_still_carries_its_context)
{
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_context unsampled = {
        .trace_id = {1}, .span_id = {2}, .tracestate = "a=1", .tracestate_bytes = 3};
    struct tracez_context own;
    struct tracez_context current;
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &unsampled, &own);

    struct tracez_scope scope = tracez_scope_enter(tracer, span, &own);
    bool has_context = tracez_current_context(&current);
    bool is_recording = tracez_span_is_recording(tracez_current_span());
    tracez_scope_leave(&scope);

    ck_assert(has_context);
    ck_assert(!is_recording);
    ck_assert_mem_eq(current.trace_id, unsampled.trace_id, sizeof(current.trace_id));
    ck_assert_uint_eq(current.tracestate_bytes, 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void *look_from_elsewhere(void *state)
{
    (void)state;
    assert_outside_any_scope();
    return NULL;
}

START_TEST(a_scope_is_seen_by_its_own_thread_only)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context own;
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, &own);
    pthread_t thread;

    struct tracez_scope scope = tracez_scope_enter(tracer, span, &own);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_from_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    assert_current(tracer, span, &own);
    tracez_scope_leave(&scope);

    tracez_span_finish(span);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scope");
    TCase *scopes = case_of(suite, "scopes");

    tcase_add_test(scopes, outside_any_scope_nothing_is_current);
    tcase_add_test(scopes, a_tracer_that_traces_nothing_is_not_current);
    tcase_add_test(scopes, a_span_that_is_not_recorded_leaves_its_tracer_current);
    tcase_add_test(scopes, in_a_forked_child_no_tracer_is_current);
    tcase_add_test(scopes, scopes_nest_and_leaving_restores_the_outer_one);
    tcase_add_test(scopes, a_scope_of_a_span_that_is_not_recorded_still_carries_its_context);
    tcase_add_test(scopes, a_scope_is_seen_by_its_own_thread_only);
    return run_suite(suite);
}
