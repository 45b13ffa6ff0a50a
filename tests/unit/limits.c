/* SPDX-License-Identifier: MIT
 *
 * Goal: a limit is kept before anything is spent, what is over it is counted under the limit's own
 * name, and the books balance meanwhile.
 * Method: for spans a second, a clock that the test moves on; for memory, limits of so many live
 * spans above the least one, and one at which they all meet. */
#include "spans.h"

#include "tracer.h"

#include <tracez/keys.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define SPANS_MAX 64
#define STARTERS 4

static uint64_t now_ns;

static uint64_t read_clock(void *state)
{
    (void)state;
    return now_ns;
}

static struct tracez_config config_of(uint32_t max_spans_per_second)
{
    struct tracez_config config;

    now_ns = 1000 * SECOND;
    tracez_config_init(&config);
    config.clock = (struct tracez_clock){read_clock, read_clock, NULL};
    config.max_spans_per_second = max_spans_per_second;
    return config;
}

/* ---- Spans a second -------------------------------------------------------------------------- */

START_TEST(spans_beyond_the_burst_are_dropped_as_rate_and_hand_their_context_on)
{
    struct tracez_config config = config_of(10);
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_context context = {0};

    spans_pass(tracer, 20);
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, &context);
    tracez_span_finish(span);

    ck_assert(!tracez_span_is_recording(span));
    ck_assert(tracez_context_is_valid(&context));
    ck_assert(context.flags & TRACEZ_FLAG_SAMPLED);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.recorded, 21);
    ck_assert_uint_eq(stats.queued, 20);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_RATE], 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_minute_of_ten_times_the_rate_records_the_rate_and_one_burst)
{
    struct tracez_config config = config_of(10);
    struct tracez_tracer *tracer = tracer_create(&config);

    for (int i = 0; i < 60 * 100; i++) {
        span_pass(tracer, "n");
        now_ns += SECOND / 100;
    }

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_ge(stats.queued, 60 * 10 + 20 - 1);
    ck_assert_uint_le(stats.queued, 60 * 10 + 20);
    ck_assert_uint_eq(stats.queued + stats.dropped[TRACEZ_DROP_RATE], 6000);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(the_burst_can_be_set)
{
    struct tracez_config config = config_of(10);
    config.spans_burst = 3;
    struct tracez_tracer *tracer = tracer_create(&config);

    spans_pass(tracer, 10);

    ck_assert_uint_eq(books(tracer).queued, 3);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_the_sampler_leaves_out_takes_nothing_from_the_rate)
{
    struct tracez_config config = config_of(1);
    struct tracez_sampler never = tracez_sampler_never();
    const struct tracez_span_options options = {.sampler = &never};
    struct tracez_tracer *tracer = tracer_create(&config);

    for (int i = 0; i < 100; i++) {
        tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
    }
    spans_pass(tracer, 2);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.not_recorded, 100);
    ck_assert_uint_eq(stats.queued, 2);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_RATE], 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_start_long_ago_is_limited_by_when_it_is_recorded)
{
    struct tracez_config config = config_of(10);
    struct tracez_tracer *tracer = tracer_create(&config);
    const struct tracez_span_options options = {.start_monotonic_ns = now_ns - 900 * SECOND};

    for (int i = 0; i < 30; i++) {
        tracez_span_finish(tracez_span_start_with(tracer, &options, NULL));
    }

    ck_assert_uint_eq(books(tracer).queued, 20);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(processes_that_share_a_ledger_share_its_rate)
{
    struct tracez_config config = config_of(10);
    struct tracez_tracer *tracers[2];
    config.buffer_bytes = tracez_buffer_bytes(&config, NULL);
    config.ledger_bytes = tracez_ledger_bytes();
    config.buffer_memory = aligned_alloc(64, config.buffer_bytes);
    config.ledger_memory = aligned_alloc(64, config.ledger_bytes);
    memset(config.ledger_memory, 0, config.ledger_bytes);
    memset(config.buffer_memory, 0, config.buffer_bytes);
    ck_assert_int_eq(
        tracez_buffer_format(&config, config.buffer_memory, config.buffer_bytes, NULL, NULL),
        TRACEZ_OK);
    ck_assert_int_eq(tracez_ledger_format(config.ledger_memory, config.ledger_bytes, NULL, NULL),
                     TRACEZ_OK);
    for (uint32_t i = 0; i < 2; i++) {
        config.writer = i;
        tracers[i] = tracer_create(&config);
    }

    for (int i = 0; i < 20; i++) {
        span_pass(tracers[0], "n");
        span_pass(tracers[1], "n");
    }

    struct tracez_stats stats = books(tracers[0]);
    ck_assert_uint_eq(stats.queued, 20);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_RATE], 20);
    tracez_tracer_destroy(tracers[0]);
    tracez_tracer_destroy(tracers[1]);
    free(config.buffer_memory);
    free(config.ledger_memory);
}
END_TEST

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Memory for so many live spans, of which one may be long. */
static struct tracez_tracer *tracer_for(uint32_t live_spans)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.max_memory =
        tracez_memory_bytes_min(&config, NULL) + (size_t)(live_spans - 1) * SLOT_BYTES;
    return tracer_create(&config);
}

static struct tracez_span start(struct tracez_tracer *tracer)
{
    return tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
}

/* More than a slot holds by itself. */
static void make_long(struct tracez_span span)
{
    char value[900];

    memset(value, 'x', sizeof(value));
    tracez_span_set_bytes(span, "long", value, sizeof(value));
}

START_TEST(the_least_memory_is_enough_for_the_longest_span)
{
    struct tracez_tracer *tracer = tracer_for(1);

    struct tracez_span span = start(tracer);
    make_long(span);
    tracez_span_finish(span);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.tags_refused, 0);
    ck_assert_uint_eq(stats.queued, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(spans_beyond_the_memory_are_dropped_as_memory_limit_until_others_are_over)
{
    struct tracez_tracer *tracer = tracer_for(1);
    struct tracez_span spans[18];

    for (int i = 0; i < 17; i++) {
        spans[i] = start(tracer);
        ck_assert(tracez_span_is_recording(spans[i])); /* the long one's place is free */
    }
    spans[17] = start(tracer);

    ck_assert(!tracez_span_is_recording(spans[17]));
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_MEMORY_LIMIT], 1);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_NO_SLOT], 0);
    tracez_span_finish(spans[3]);
    spans[3] = start(tracer);
    ck_assert(tracez_span_is_recording(spans[3]));
    for (int i = 0; i < 17; i++) {
        tracez_span_finish(spans[i]);
    }
    ck_assert_uint_eq(books(tracer).queued, 18);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_span_that_may_not_grow_refuses_the_tag_and_goes_on)
{
    struct tracez_tracer *tracer = tracer_for(2);
    struct tracez_span first = start(tracer);
    struct tracez_span second = start(tracer);

    make_long(first);
    make_long(second);
    tracez_span_set_int(second, "short", 1);
    tracez_span_finish(first);
    tracez_span_finish(second);

    ck_assert_uint_eq(books(tracer).tags_refused, 1);
    struct spans spans = spans_drain_first(tracer);
    ck_assert_uint_eq(spans.count, 2);
    assert_tag_int(&spans.records[1], "short", 1);
    assert_no_tag(&spans.records[1], "long");
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_a_long_span_touched_is_paid_for_once)
{
    struct tracez_tracer *tracer = tracer_for(1);

    for (int i = 0; i < 100; i++) {
        struct tracez_span span = start(tracer);
        make_long(span);
        tracez_span_finish(span);
    }

    ck_assert_uint_eq(books(tracer).tags_refused, 0);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_MEMORY_LIMIT], 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

static size_t pages_in_use(const struct slot_pool *pool)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = (pool->memory_bytes + page_bytes - 1) / page_bytes;
    unsigned char *pages = malloc(count);
    size_t in_use = 0;

    ck_assert_ptr_nonnull(pages);
    ck_assert_int_eq(mincore(pool->memory, pool->memory_bytes, pages), 0);
    for (size_t i = 0; i < count; i++) {
        in_use += pages[i] & 1;
    }
    free(pages);
    return in_use;
}

START_TEST(a_span_touches_no_more_than_it_pays_for_also_where_pages_are_huge)
{
    struct tracez_tracer *tracer = tracer_create_default();

    ck_assert_uint_eq(pages_in_use(&tracer->slots), 0);
    struct tracez_span span = start(tracer);
    ck_assert_uint_eq(pages_in_use(&tracer->slots), 1);
    make_long(span);
    ck_assert_uint_le(pages_in_use(&tracer->slots), 3); /* and the value, on one or two */

    tracez_span_finish(span);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(without_a_limit_it_is_their_number_that_live_spans_end_at)
{
    struct tracez_config config;
    tracez_config_init(&config);
    config.live_spans_max = 2;
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_span spans[] = {start(tracer), start(tracer), start(tracer)};

    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_NO_SLOT], 1);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_MEMORY_LIMIT], 0);
    tracez_span_finish(spans[0]);
    tracez_span_finish(spans[1]);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(the_least_memory_grows_with_what_is_asked_for)
{
    struct tracez_config config;
    tracez_config_init(&config);
    size_t of_defaults = tracez_memory_bytes_min(&config, NULL);

    config.spans_max *= 2;

    ck_assert_uint_gt(of_defaults, tracez_buffer_bytes(&config, NULL) / 2 + tracez_ledger_bytes());
    ck_assert_uint_ge(tracez_memory_bytes_min(&config, NULL),
                      of_defaults + (size_t)config.spans_max / 2 * 512);
    config.spans_max = 0;
    ck_assert_uint_eq(tracez_memory_bytes_min(&config, NULL), 0);
}
END_TEST

struct starter {
    pthread_t thread;
    struct tracez_tracer *tracer;
    struct tracez_span spans[SPANS_MAX];
    uint32_t started;
};

static void *run_starter(void *argument)
{
    struct starter *starter = argument;

    for (int i = 0; i < SPANS_MAX; i++) {
        starter->spans[i] = start(starter->tracer);
        starter->started += tracez_span_is_recording(starter->spans[i]) ? 1 : 0;
    }
    return NULL;
}

START_TEST(threads_that_start_together_keep_the_limit_to_the_span)
{
    struct tracez_tracer *tracer = tracer_for(85); /* and the long one's 16 */
    struct starter starters[STARTERS] = {0};
    uint32_t started = 0;

    for (int i = 0; i < STARTERS; i++) {
        starters[i].tracer = tracer;
        ck_assert_int_eq(pthread_create(&starters[i].thread, NULL, run_starter, &starters[i]), 0);
    }
    for (int i = 0; i < STARTERS; i++) {
        pthread_join(starters[i].thread, NULL);
        started += starters[i].started;
    }

    ck_assert_uint_eq(started, 101);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_MEMORY_LIMIT], STARTERS * SPANS_MAX - 101);
    for (int i = 0; i < STARTERS * SPANS_MAX; i++) {
        tracez_span_finish(starters[i / SPANS_MAX].spans[i % SPANS_MAX]);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *rate = case_of(suite, "spans a second");
    TCase *memory = case_of(suite, "memory");

    tcase_add_test(rate, spans_beyond_the_burst_are_dropped_as_rate_and_hand_their_context_on);
    tcase_add_test(rate, a_minute_of_ten_times_the_rate_records_the_rate_and_one_burst);
    tcase_add_test(rate, the_burst_can_be_set);
    tcase_add_test(rate, what_the_sampler_leaves_out_takes_nothing_from_the_rate);
    tcase_add_test(rate, a_start_long_ago_is_limited_by_when_it_is_recorded);
    tcase_add_test(rate, processes_that_share_a_ledger_share_its_rate);
    tcase_add_test(memory, the_least_memory_is_enough_for_the_longest_span);
    tcase_add_test(memory,
                   spans_beyond_the_memory_are_dropped_as_memory_limit_until_others_are_over);
    tcase_add_test(memory, a_span_that_may_not_grow_refuses_the_tag_and_goes_on);
    tcase_add_test(memory, what_a_long_span_touched_is_paid_for_once);
    tcase_add_test(memory, a_span_touches_no_more_than_it_pays_for_also_where_pages_are_huge);
    tcase_add_test(memory, without_a_limit_it_is_their_number_that_live_spans_end_at);
    tcase_add_test(memory, the_least_memory_grows_with_what_is_asked_for);
    tcase_add_test(memory, threads_that_start_together_keep_the_limit_to_the_span);
    return run_suite(suite);
}
