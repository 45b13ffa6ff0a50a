/* SPDX-License-Identifier: MIT
 *
 * Goal: a span that was started comes out once, with the identity, name, kind, times and status
 * that it was given; its own context is right also when nothing is recorded; and no span call ever
 * changes errno or minds a handle or tracer that is nothing.
 * Method: what is nothing first, then a span's life from start to record. */
#include "spans.h"

#include <errno.h>
#include <string.h>

static const struct tracez_context remote_parent = {
    .trace_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .span_id = {21, 22, 23, 24, 25, 26, 27, 28},
    .flags = TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM,
    .is_remote = true,
    .tracestate = "a=1,b=2",
    .tracestate_bytes = 7,
};

/* Every call there is on a span, but the ones that end it. */
static void call_everything(struct tracez_span span)
{
    const struct tracez_tag tag = {.key = "t", .type = TRACEZ_TAG_INT, .value.integer = 1};
    struct tracez_context context;
    char buffer[16];

    tracez_span_set_string(span, "s", "v");
    tracez_span_set_bytes(span, "b", "v", 1);
    tracez_span_set_int(span, "i", 1);
    tracez_span_set_double(span, "d", 1.0);
    tracez_span_set_bool(span, "o", true);
    tracez_span_set_tag(span, &tag);
    tracez_span_set_format(span, "f", "%d", 1);
    tracez_span_remove_tag(span, "s");
    tracez_span_set_name(span, "n", 1);
    tracez_span_set_kind(span, TRACEZ_KIND_CLIENT);
    tracez_span_set_status(span, TRACEZ_STATUS_OK, NULL);
    tracez_span_set_error(span, "e", "m");
    tracez_span_add_event(span, "v", &tag, 1);
    tracez_span_add_link(span, &remote_parent, &tag, 1);
    (void)tracez_span_get(span, "i", buffer, sizeof(buffer));
    (void)tracez_span_context(span, &context);
    (void)tracez_span_is_recording(span);
}

START_TEST(every_call_on_the_zero_handle_does_nothing)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span zero = {0};
    struct tracez_context context = {.flags = 1};

    call_everything(zero);
    tracez_span_finish(zero);
    tracez_span_finish_after(zero, 1);
    tracez_span_discard(zero);

    ck_assert(!tracez_span_is_recording(zero));
    ck_assert(!tracez_span_context(zero, &context));
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.started, 0);
    ck_assert_uint_eq(stats.misuse, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(without_a_tracer_nothing_is_recorded_and_the_parent_is_handed_on)
{
    struct tracez_context own = {.flags = 0xff};

    struct tracez_span span =
        tracez_span_start(NULL, TRACEZ_KIND_SERVER, "name", &remote_parent, &own);

    ck_assert(!tracez_span_is_recording(span));
    ck_assert_mem_eq(own.trace_id, remote_parent.trace_id, sizeof(own.trace_id));
    ck_assert_mem_eq(own.span_id, remote_parent.span_id, sizeof(own.span_id));
    ck_assert_uint_eq(own.flags, remote_parent.flags);
    ck_assert_uint_eq(own.tracestate_bytes, 7);
}
END_TEST

START_TEST(without_a_tracer_and_a_parent_there_is_no_context)
{
    struct tracez_context own = {.trace_id = {1}, .span_id = {1}};

    tracez_span_start(NULL, TRACEZ_KIND_SERVER, "name", NULL, &own);
    tracez_span_start(NULL, TRACEZ_KIND_SERVER, NULL, NULL, NULL);

    ck_assert(!tracez_context_is_valid(&own));
}
END_TEST

START_TEST(an_invalid_parent_starts_a_new_trace)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context parent = {.trace_id = {7}, .tracestate = "a=1", .tracestate_bytes = 3};
    struct tracez_context own;

    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &parent, &own));
    struct spans spans = spans_drain_first(tracer);

    const uint8_t zero[8] = {0};
    ck_assert(tracez_context_is_valid(&own));
    ck_assert_mem_ne(own.trace_id, parent.trace_id, sizeof(own.trace_id));
    ck_assert_uint_eq(own.tracestate_bytes, 0);
    ck_assert_uint_eq(spans.count, 1);
    ck_assert_mem_eq(spans.records[0].parent_span_id, zero, sizeof(zero));
    ck_assert(!spans.records[0].parent_is_remote);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_that_is_not_recorded_still_has_a_context_to_pass_on)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context unsampled = remote_parent;
    struct tracez_context own;
    unsampled.flags = TRACEZ_FLAG_RANDOM;

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &unsampled, &own);

    ck_assert(!tracez_span_is_recording(span));
    ck_assert_ptr_null(span.slot);
    ck_assert(tracez_context_is_valid(&own));
    ck_assert_mem_eq(own.trace_id, unsampled.trace_id, sizeof(own.trace_id));
    ck_assert_mem_ne(own.span_id, unsampled.span_id, sizeof(own.span_id));
    ck_assert_uint_eq(own.flags, TRACEZ_FLAG_RANDOM);
    ck_assert_uint_eq(own.tracestate_bytes, 7);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.started, 1);
    ck_assert_uint_eq(stats.not_recorded, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(no_span_call_changes_errno)
{
    struct tracez_config config;
    tracez_config_init(&config);
    config.spans_max = 1;
    config.live_spans_max = 1;
    struct tracez_tracer *tracer = tracer_create(&config);

    for (int round = 0; round < 3; round++) { /* the second finish meets a full collector */
        errno = EXDEV;
        struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
        struct tracez_span none = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
        call_everything(span);
        call_everything(none);
        tracez_span_finish(span);
        tracez_span_finish(span);
        call_everything(span);
        ck_assert_int_eq(errno, EXDEV);
    }
    books(tracer);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_record_carries_what_the_span_was_given)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context own;

    struct tracez_span span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /", &remote_parent, &own);
    tracez_span_set_string(span, "key", "value");
    tracez_span_set_status(span, TRACEZ_STATUS_ERROR, "broken");
    tracez_span_finish_after(span, 1234);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    const struct tracez_record *record = &spans.records[0];
    ck_assert_mem_eq(record->trace_id, own.trace_id, sizeof(own.trace_id));
    ck_assert_mem_eq(record->span_id, own.span_id, sizeof(own.span_id));
    ck_assert_mem_eq(record->trace_id, remote_parent.trace_id, sizeof(own.trace_id));
    ck_assert_mem_eq(record->parent_span_id, remote_parent.span_id, sizeof(own.span_id));
    ck_assert(record->parent_is_remote);
    ck_assert_uint_eq(record->flags, TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM);
    assert_text(record->name, "GET /");
    assert_text(record->tracestate, "a=1,b=2");
    assert_text(record->status_message, "broken");
    ck_assert_int_eq(record->kind, TRACEZ_KIND_SERVER);
    ck_assert_int_eq(record->status, TRACEZ_STATUS_ERROR);
    ck_assert_uint_eq(record->duration_ns, 1234);
    ck_assert_uint_eq(record->tag_count, 1);
    assert_tag_string(record, "key", "value");
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_child_continues_the_trace_of_its_local_parent)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context root;
    struct tracez_context child;

    struct tracez_span root_span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "root", NULL, &root);
    struct tracez_span child_span =
        tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "child", &root, &child);
    tracez_span_finish(child_span);
    tracez_span_finish(root_span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 2);
    ck_assert_mem_eq(child.trace_id, root.trace_id, sizeof(root.trace_id));
    ck_assert_mem_ne(child.span_id, root.span_id, sizeof(root.span_id));
    ck_assert(!child.is_remote);
    assert_text(spans.records[0].name, "child");
    ck_assert_mem_eq(spans.records[0].parent_span_id, root.span_id, sizeof(root.span_id));
    ck_assert(!spans.records[0].parent_is_remote);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(parent_and_own_context_may_be_the_same_variable)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context context = remote_parent;

    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &context, &context));
    struct spans spans = spans_drain_first(tracer);

    ck_assert_mem_eq(context.trace_id, remote_parent.trace_id, sizeof(context.trace_id));
    ck_assert_mem_eq(spans.records[0].parent_span_id, remote_parent.span_id, 8);
    ck_assert_mem_eq(spans.records[0].span_id, context.span_id, 8);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(span_context_tells_the_identity_until_the_span_is_over)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context own;
    struct tracez_context context;

    struct tracez_span span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &remote_parent, &own);
    bool before = tracez_span_context(span, &context);
    ck_assert_mem_eq(context.trace_id, own.trace_id, sizeof(own.trace_id));
    ck_assert_mem_eq(context.span_id, own.span_id, sizeof(own.span_id));
    ck_assert_uint_eq(context.flags, own.flags);
    tracez_span_finish(span);
    bool after = tracez_span_context(span, &context);

    ck_assert(before);
    ck_assert(!after);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_tracestate_is_copied_so_that_its_header_may_go)
{
    struct tracez_tracer *tracer = tracer_create_default();
    char header[] = "vendor=1";
    struct tracez_context parent = remote_parent;
    parent.tracestate = header;
    parent.tracestate_bytes = strlen(header);

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &parent, NULL);
    memset(header, 'x', strlen(header));
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    assert_text(spans.records[0].tracestate, "vendor=1");
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(the_last_name_and_kind_win_and_a_kind_that_is_none_is_ignored)
{
    struct tracez_tracer *tracer = tracer_create_default();
    char name[] = "first";

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, name, NULL, NULL);
    memset(name, 'x', strlen(name)); /* it was copied */
    tracez_span_set_name(span, "second, and longer", 6);
    tracez_span_set_kind(span, TRACEZ_KIND_PRODUCER);
    tracez_span_set_kind(span, (enum tracez_span_kind)99);
    tracez_span_set_kind(span, (enum tracez_span_kind)0);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    assert_text(spans.records[0].name, "second");
    ck_assert_int_eq(spans.records[0].kind, TRACEZ_KIND_PRODUCER);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_without_name_and_kind_is_internal_and_nameless)
{
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_span_options options = {0};

    tracez_span_finish(tracez_span_start(tracer, (enum tracez_span_kind)0, NULL, NULL, NULL));
    tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(spans.records[i].name.bytes, 0);
        ck_assert_int_eq(spans.records[i].kind, TRACEZ_KIND_INTERNAL);
    }
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_message_is_kept_with_status_error_only)
{
    struct tracez_tracer *tracer = tracer_create_default();

    struct tracez_span ok = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "ok", NULL, NULL);
    tracez_span_set_status(ok, TRACEZ_STATUS_ERROR, "was broken");
    tracez_span_set_status(ok, TRACEZ_STATUS_OK, "fine");
    tracez_span_finish(ok);
    struct tracez_span bare = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "bare", NULL, NULL);
    tracez_span_set_status(bare, TRACEZ_STATUS_ERROR, NULL);
    tracez_span_finish(bare);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_int_eq(spans.records[0].status, TRACEZ_STATUS_OK);
    ck_assert_uint_eq(spans.records[0].status_message.bytes, 0);
    ck_assert_int_eq(spans.records[1].status, TRACEZ_STATUS_ERROR);
    ck_assert_uint_eq(spans.records[1].status_message.bytes, 0);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(set_error_sets_status_message_and_error_type)
{
    struct tracez_tracer *tracer = tracer_create_default();

    struct tracez_span span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &remote_parent, NULL);
    tracez_span_set_error(span, "timeout", "upstream did not answer");
    tracez_span_finish(span);
    struct tracez_span bare = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    tracez_span_set_error(bare, NULL, NULL);
    tracez_span_finish(bare);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_int_eq(spans.records[0].status, TRACEZ_STATUS_ERROR);
    ck_assert(spans.records[0].parent_is_remote);
    assert_text(spans.records[0].status_message, "upstream did not answer");
    assert_tag_string(&spans.records[0], "error.type", "timeout");
    ck_assert_int_eq(spans.records[1].status, TRACEZ_STATUS_ERROR);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

static size_t tag_bytes_with_limit(struct tracez_tracer *tracer, uint32_t max_tag_bytes)
{
    static const char value[40000];
    const struct tracez_span_options options = {.max_tag_bytes = max_tag_bytes};
    struct tracez_entry entry;

    struct tracez_span span = tracez_span_start_with(tracer, &options, NULL);
    tracez_span_set_bytes(span, "key", value, sizeof(value));
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    ck_assert(span_find_tag(&spans.records[0], "key", &entry));
    spans_free(&spans);
    return entry.string.bytes;
}

START_TEST(a_span_may_have_a_tag_limit_of_its_own_within_the_bounds)
{
    struct tracez_config config;
    tracez_config_init(&config);
    config.span_bytes_max = 65536;
    struct tracez_tracer *tracer = tracer_create(&config);

    ck_assert_uint_eq(tag_bytes_with_limit(tracer, 0), 1000);
    ck_assert_uint_eq(tag_bytes_with_limit(tracer, 15), 1000);
    ck_assert_uint_eq(tag_bytes_with_limit(tracer, 16), 16);
    ck_assert_uint_eq(tag_bytes_with_limit(tracer, 32000), 32000);
    ck_assert_uint_eq(tag_bytes_with_limit(tracer, 32001), 1000);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_discarded_span_is_counted_as_not_kept_and_never_seen)
{
    struct tracez_tracer *tracer = tracer_create_default();

    tracez_span_discard(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL));
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 0);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.recorded, 1);
    ck_assert_uint_eq(stats.not_kept, 1);
    ck_assert_uint_eq(stats.live, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("span");
    TCase *nothing = case_of(suite, "nothing");
    TCase *life = case_of(suite, "life");

    tcase_add_test(nothing, every_call_on_the_zero_handle_does_nothing);
    tcase_add_test(nothing, without_a_tracer_nothing_is_recorded_and_the_parent_is_handed_on);
    tcase_add_test(nothing, without_a_tracer_and_a_parent_there_is_no_context);
    tcase_add_test(nothing, an_invalid_parent_starts_a_new_trace);
    tcase_add_test(nothing, a_span_that_is_not_recorded_still_has_a_context_to_pass_on);
    tcase_add_test(nothing, no_span_call_changes_errno);
    tcase_add_test(life, a_record_carries_what_the_span_was_given);
    tcase_add_test(life, a_child_continues_the_trace_of_its_local_parent);
    tcase_add_test(life, parent_and_own_context_may_be_the_same_variable);
    tcase_add_test(life, span_context_tells_the_identity_until_the_span_is_over);
    tcase_add_test(life, a_tracestate_is_copied_so_that_its_header_may_go);
    tcase_add_test(life, the_last_name_and_kind_win_and_a_kind_that_is_none_is_ignored);
    tcase_add_test(life, a_span_without_name_and_kind_is_internal_and_nameless);
    tcase_add_test(life, a_message_is_kept_with_status_error_only);
    tcase_add_test(life, set_error_sets_status_message_and_error_type);
    tcase_add_test(life, a_span_may_have_a_tag_limit_of_its_own_within_the_bounds);
    tcase_add_test(life, a_discarded_span_is_counted_as_not_kept_and_never_seen);
    return run_suite(suite);
}
