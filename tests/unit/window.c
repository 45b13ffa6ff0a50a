/* SPDX-License-Identifier: MIT
 *
 * Goal: batches are acknowledged in the order of reading whatever order they end in, every span
 * that was read is counted once, and what is given up or abandoned is counted or unread again.
 * Method: a real collector under the lease, whose batches are ended by hand. */
#include "window.h"

#include "spans.h"

#define BATCH_SPANS 10

struct fixture {
    struct tracez_tracer *tracer;
    struct envelopes envelopes;
    struct batch_pool pool;
    struct window window;
    struct tracez_outcome sum; /* of all that was acknowledged */
};

static struct fixture begin(size_t spans, size_t body_bytes_max)
{
    struct fixture fixture = {
        .tracer = tracer_create_default(),
        .pool = {.count_max = 2, .format = &otlp_format, .body_bytes_max = body_bytes_max},
    };

    fixture.window.collector = first_collector(fixture.tracer);
    fixture.window.lane = lane_of(fixture.window.collector);
    ck_assert_int_eq(tracez_lane_lease(fixture.window.lane), TRACEZ_OK);
    spans_pass(fixture.tracer, spans);
    return fixture;
}

/* The lease is released last: that alone may change no count. */
static struct tracez_stats end(struct fixture *fixture)
{
    tracez_lane_release(fixture->window.lane);
    struct tracez_stats stats = books(fixture->tracer);

    ck_assert_ptr_null(fixture->window.first);
    ck_assert_uint_eq(fixture->window.count, 0);
    envelopes_deinit(&fixture->envelopes);
    batch_pool_trim(&fixture->pool, 0);
    tracez_tracer_destroy(fixture->tracer);
    return stats;
}

static struct batch *read_batch(struct fixture *fixture)
{
    struct batch *batch =
        window_read(&fixture->window, &fixture->pool, &fixture->envelopes, BATCH_SPANS);

    ck_assert_ptr_nonnull(batch);
    return batch;
}

/* What was added up is what the collector knows. */
static void check_sum(const struct fixture *fixture)
{
    struct tracez_collector_stats stats = collector_books(fixture->window.collector);

    ck_assert_uint_eq(fixture->sum.exported, stats.exported);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        ck_assert_uint_eq(fixture->sum.dropped[reason], stats.dropped[reason]);
    }
}

/* Returns how many spans were exported. */
static uint64_t settle(struct fixture *fixture)
{
    uint64_t before = fixture->sum.exported;

    window_settle(&fixture->window, &fixture->pool, &fixture->sum);
    check_sum(fixture);
    return fixture->sum.exported - before;
}

static uint64_t give_up(struct fixture *fixture, enum tracez_drop reason)
{
    uint64_t before = fixture->sum.exported;

    window_give_up(&fixture->window, &fixture->pool, reason, &fixture->sum);
    check_sum(fixture);
    return fixture->sum.exported - before;
}

static void end_exported(struct batch *batch)
{
    batch->outcome.exported = batch->body.spans;
    batch->state = BATCH_DONE;
}

static void compress_body(struct batch *batch)
{
    const struct json_writer *body = body_finish(&batch->body);
    struct gzip gzip = {0};

    ck_assert(
        gzip_compress(&gzip, (struct tracez_text){body->text, body->bytes}, &batch->compressed));
    gzip_deinit(&gzip);
}

START_TEST(a_span_that_no_body_can_hold_is_read_counted_and_done)
{
    struct fixture fixture = begin(0, 100); /* not even one fits */
    spans_pass(fixture.tracer, 3);

    struct batch *batch = read_batch(&fixture);
    ck_assert_int_eq(batch->state, BATCH_DONE);
    ck_assert_uint_eq(batch->body.spans, 0);
    ck_assert_uint_eq(settle(&fixture), 0);

    ck_assert_uint_eq(end(&fixture).dropped[TRACEZ_DROP_OVERSIZE], 3);
}
END_TEST

START_TEST(a_batch_ends_before_the_span_that_would_not_fit_and_the_next_begins_with_it)
{
    struct fixture fixture = begin(6, 1000); /* two or three spans and their envelope */

    struct batch *first = read_batch(&fixture);
    struct batch *second = read_batch(&fixture);
    uint32_t spans = first->body.spans + second->body.spans;
    end_exported(first);
    end_exported(second);
    uint64_t exported = settle(&fixture);
    give_up(&fixture, TRACEZ_DROP_SHUTDOWN_DEADLINE);

    ck_assert_uint_gt(first->body.spans, 0);
    ck_assert_uint_lt(first->body.spans, 6);
    ck_assert_uint_eq(exported, spans);
    ck_assert_uint_eq(end(&fixture).dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 6 - spans);
}
END_TEST

START_TEST(a_batch_that_is_done_waits_for_those_before_it)
{
    struct fixture fixture = begin(30, 65536);
    struct batch *first = read_batch(&fixture);
    struct batch *second = read_batch(&fixture);
    struct batch *third = read_batch(&fixture);

    compress_body(third);
    end_exported(third);
    ck_assert_uint_eq(settle(&fixture), 0);
    ck_assert_ptr_null(third->body.segments[0].json.text); /* nobody needs it any more */
    ck_assert_ptr_null(third->compressed.text);
    end_exported(first);
    ck_assert_uint_eq(settle(&fixture), 10);
    ck_assert_uint_eq(books(fixture.tracer).exported, 10);
    ck_assert_uint_eq(books(fixture.tracer).inflight, 20);
    second->outcome.dropped[TRACEZ_DROP_REJECTED] = second->body.spans;
    second->state = BATCH_DONE;
    ck_assert_uint_eq(settle(&fixture), 10);

    struct tracez_stats stats = end(&fixture);
    ck_assert_uint_eq(stats.exported, 20);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_REJECTED], 10);
}
END_TEST

START_TEST(due_spans_are_counted_down_as_they_are_read)
{
    struct fixture fixture = begin(15, 65536);
    fixture.window.due_spans = 15;

    end_exported(read_batch(&fixture));
    uint64_t after_first = fixture.window.due_spans;
    end_exported(read_batch(&fixture));
    uint64_t after_second = fixture.window.due_spans;
    settle(&fixture);

    ck_assert_uint_eq(after_first, 5);
    ck_assert_uint_eq(after_second, 0);
    ck_assert_uint_eq(end(&fixture).exported, 15);
}
END_TEST

START_TEST(a_window_finds_its_batches_by_state_first_come_first)
{
    struct fixture fixture = begin(20, 65536);
    struct batch *first = read_batch(&fixture);
    struct batch *second = read_batch(&fixture);

    ck_assert_ptr_eq(window_find(&fixture.window, BATCH_WAITING), first);
    first->state = BATCH_SENT;
    ck_assert_ptr_eq(window_find(&fixture.window, BATCH_WAITING), second);
    ck_assert_ptr_eq(window_find(&fixture.window, BATCH_SENT), first);
    ck_assert_ptr_null(window_find(&fixture.window, BATCH_DONE));
    window_abandon(&fixture.window, &fixture.pool);

    ck_assert_uint_eq(end(&fixture).queued, 20);
}
END_TEST

START_TEST(giving_up_counts_what_is_not_done_and_what_was_not_read)
{
    struct fixture fixture = begin(35, 65536);
    read_batch(&fixture);
    struct batch *second = read_batch(&fixture);
    end_exported(second);

    uint64_t exported = give_up(&fixture, TRACEZ_DROP_SHUTDOWN_DEADLINE);

    ck_assert_uint_eq(exported, 10);
    struct tracez_stats stats = end(&fixture);
    ck_assert_uint_eq(stats.exported, 10);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE], 25);
}
END_TEST

START_TEST(abandoned_batches_are_read_again_in_the_same_order)
{
    struct fixture fixture = begin(0, 65536);
    span_pass(fixture.tracer, "first");
    spans_pass(fixture.tracer, 19);
    read_batch(&fixture);
    read_batch(&fixture);

    window_abandon(&fixture.window, &fixture.pool);

    ck_assert_uint_eq(books(fixture.tracer).queued, 20);
    tracez_lane_release(fixture.window.lane);
    struct spans again = spans_drain_first(fixture.tracer);
    ck_assert_uint_eq(again.count, 20);
    assert_text(again.records[0].name, "first");
    spans_free(&again);
    ck_assert_int_eq(tracez_lane_lease(fixture.window.lane), TRACEZ_OK);
    end(&fixture);
}
END_TEST

START_TEST(the_pool_keeps_no_more_batches_than_it_may)
{
    struct batch_pool pool = {.count_max = 2, .format = &otlp_format, .body_bytes_max = 65536};
    struct batch *batches[3];
    for (int i = 0; i < 3; i++) {
        batches[i] = batch_take(&pool);
        ck_assert_ptr_nonnull(batches[i]);
    }

    for (int i = 0; i < 3; i++) {
        batch_return(&pool, batches[i]);
    }
    uint32_t kept = pool.count;
    batch_pool_trim(&pool, 1);
    uint32_t trimmed = pool.count;
    batch_pool_trim(&pool, 0);

    ck_assert_uint_eq(kept, 2);
    ck_assert_uint_eq(trimmed, 1);
    ck_assert_ptr_null(pool.first);
}
END_TEST

START_TEST(a_batch_from_the_pool_is_as_good_as_new)
{
    struct fixture fixture = begin(20, 65536);
    struct batch *first = read_batch(&fixture);
    ck_assert_ptr_nonnull(body_finish(&first->body));
    first->first_sent_ns = 1;
    first->outcome.dropped[TRACEZ_DROP_REJECTED] = first->body.spans;
    first->state = BATCH_DONE;
    settle(&fixture);

    struct batch *again = read_batch(&fixture);

    ck_assert_ptr_eq(again, first);
    ck_assert_int_eq(again->state, BATCH_WAITING);
    ck_assert_uint_eq(again->body.spans, 10);
    ck_assert_uint_eq(again->first_sent_ns, 0);
    ck_assert_uint_eq(again->outcome.dropped[TRACEZ_DROP_REJECTED], 0);
    end_exported(again);
    settle(&fixture);
    ck_assert_uint_eq(end(&fixture).exported, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *window = case_of(suite, "window");
    TCase *pool = case_of(suite, "pool");

    tcase_add_test(window, a_span_that_no_body_can_hold_is_read_counted_and_done);
    tcase_add_test(window,
                   a_batch_ends_before_the_span_that_would_not_fit_and_the_next_begins_with_it);
    tcase_add_test(window, a_batch_that_is_done_waits_for_those_before_it);
    tcase_add_test(window, due_spans_are_counted_down_as_they_are_read);
    tcase_add_test(window, a_window_finds_its_batches_by_state_first_come_first);
    tcase_add_test(window, giving_up_counts_what_is_not_done_and_what_was_not_read);
    tcase_add_test(window, abandoned_batches_are_read_again_in_the_same_order);
    tcase_add_test(pool, the_pool_keeps_no_more_batches_than_it_may);
    tcase_add_test(pool, a_batch_from_the_pool_is_as_good_as_new);
    return run_suite(suite);
}
