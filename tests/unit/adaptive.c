/* SPDX-License-Identifier: MIT
 *
 * Goal: the rate follows what can be exported: down when spans were refused or the buffer fills, up
 * again otherwise, by the published factors, within its bounds.
 * Method: bad configurations first; then single steps; then half an hour at ten times the rate at
 * which the buffer is drained, in simulated time. */
#include "spans.h"

#include <tracez/sampler.h>

#include <math.h>
#include <pthread.h>

#define SECOND UINT64_C(1000000000)

struct simulation {
    struct tracez_tracer *tracer;
    struct tracez_adaptive *adaptive;
    struct tracez_sampler sampler;
    uint64_t now_ns;
};

static uint64_t read_clock(void *state)
{
    const struct simulation *simulation = state;

    return simulation->now_ns;
}

static void begin(struct simulation *simulation, const struct tracez_adaptive_config *adaptive,
                  uint32_t spans_max)
{
    struct tracez_config config;
    const struct tracez_collector_config collector = {
        .name = "default", .spans_max = spans_max, .writers = 1};

    simulation->now_ns = 100 * SECOND;
    ck_assert_int_eq(tracez_adaptive_create(adaptive, &simulation->adaptive, NULL), TRACEZ_OK);
    simulation->sampler = tracez_sampler_adaptive(simulation->adaptive);
    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.clock = (struct tracez_clock){read_clock, read_clock, simulation};
    config.sampler = tracez_sampler_parent_based(&simulation->sampler);
    simulation->tracer = tracer_create(&config);
}

static void end(struct simulation *simulation)
{
    (void)books(simulation->tracer);
    tracez_tracer_destroy(simulation->tracer);
    tracez_adaptive_destroy(simulation->adaptive);
}

static double rate_after(struct simulation *simulation, uint64_t ns)
{
    simulation->now_ns += ns;
    span_pass(simulation->tracer, "asked");
    return tracez_adaptive_rate(simulation->adaptive);
}

static void forget(const struct tracez_record *record, void *state)
{
    (void)record;
    (void)state;
}

static size_t drain(struct simulation *simulation, size_t spans)
{
    return tracez_collector_drain(first_collector(simulation->tracer), spans, forget, NULL);
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

#define BAD(field, value, expected)                                                                \
    do {                                                                                           \
        struct tracez_adaptive_config config;                                                      \
        struct tracez_adaptive *adaptive = (struct tracez_adaptive *)&config;                      \
        struct tracez_error error;                                                                 \
        tracez_adaptive_config_init(&config);                                                      \
        config.field = value;                                                                      \
        ck_assert_int_eq(tracez_adaptive_create(&config, &adaptive, &error), TRACEZ_INVALID);      \
        ck_assert_str_eq(error.text, expected);                                                    \
        ck_assert_ptr_null(adaptive);                                                              \
    } while (0)

START_TEST(a_bad_value_is_refused_by_a_text_that_names_it_and_its_range)
{
    BAD(rate, (double)NAN, "rate nan rejected: over 0, up to 1");
    BAD(rate, 1.1, "rate 1.1 rejected: over 0, up to 1");
    BAD(rate, 0, "rate 0 rejected: over 0, up to 1");
    BAD(rate_min, 0, "rate_min 0 rejected: over 0, up to rate, 1");
    BAD(rate_min, 1.5, "rate_min 1.5 rejected: over 0, up to rate, 1");
    BAD(down, 1, "down 1 rejected: over 0, below 1");
    BAD(down, -0.5, "down -0.5 rejected: over 0, below 1");
    BAD(up, 1, "up 1 rejected: over 1, up to 10");
    BAD(up, (double)INFINITY, "up inf rejected: over 1, up to 10");
    BAD(interval_ms, 9, "interval_ms 9 rejected: 10 to 3600000");
    BAD(interval_ms, 3600001, "interval_ms 3600001 rejected: 10 to 3600000");
    BAD(pressure_percent, 0, "pressure_percent 0 rejected: 1 to 100");
    BAD(pressure_percent, 101, "pressure_percent 101 rejected: 1 to 100");
}
END_TEST

/* ---- Steps ----------------------------------------------------------------------------------- */

START_TEST(without_pressure_everything_is_kept_and_nothing_is_said)
{
    struct simulation simulation;

    begin(&simulation, NULL, 100);
    for (int i = 0; i < 10; i++) {
        ck_assert(rate_after(&simulation, SECOND) == 1.0);
    }
    struct spans spans = spans_drain_first(simulation.tracer);

    ck_assert_uint_eq(spans.count, 10);
    assert_no_tag(&spans.records[9], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY));
    spans_free(&spans);
    end(&simulation);
}
END_TEST

START_TEST(spans_that_were_refused_lower_the_rate_once_an_interval)
{
    struct simulation simulation;

    begin(&simulation, NULL, 10);
    spans_pass(simulation.tracer, 13);
    ck_assert(tracez_adaptive_rate(simulation.adaptive) == 1.0);
    ck_assert(rate_after(&simulation, SECOND - 1) == 1.0);
    drain(&simulation, 10);
    ck_assert_double_eq_tol(rate_after(&simulation, 1), 0.8, 1e-9);
    ck_assert_double_eq_tol(rate_after(&simulation, SECOND / 2), 0.8, 1e-9);
    end(&simulation);
}
END_TEST

START_TEST(a_buffer_over_half_full_lowers_the_rate_and_one_half_full_does_not)
{
    struct simulation simulation;

    begin(&simulation, NULL, 10);
    spans_pass(simulation.tracer, 5);
    ck_assert(rate_after(&simulation, SECOND) == 1.0); /* and makes it six */
    ck_assert_double_eq_tol(rate_after(&simulation, SECOND), 0.8, 1e-9);
    end(&simulation);
}
END_TEST

START_TEST(a_buffer_over_half_full_that_empties_leaves_the_rate_alone)
{
    struct simulation simulation;

    begin(&simulation, NULL, 20);
    spans_pass(simulation.tracer, 20);
    ck_assert_double_eq_tol(rate_after(&simulation, SECOND), 0.8, 1e-9);
    ck_assert_double_eq_tol(rate_after(&simulation, SECOND), 0.64, 1e-9);
    drain(&simulation, 5);
    double low = rate_after(&simulation, SECOND);
    drain(&simulation, 2);
    ck_assert(rate_after(&simulation, SECOND) == low);
    drain(&simulation, 6); /* under half, whether the looks were recorded or not */
    ck_assert_double_eq_tol(rate_after(&simulation, SECOND), low * 1.1, 1e-9);
    end(&simulation);
}
END_TEST

START_TEST(the_rate_rises_again_as_far_as_it_began_and_idle_intervals_count)
{
    struct simulation simulation;

    begin(&simulation, NULL, 10);
    spans_pass(simulation.tracer, 10);
    for (int i = 1; i <= 5; i++) {
        rate_after(&simulation, SECOND);
    }
    ck_assert_double_eq_tol(tracez_adaptive_rate(simulation.adaptive), pow(0.8, 5), 1e-9);
    drain(&simulation, 10);
    double low = rate_after(&simulation, SECOND); /* the last one that was refused */

    ck_assert_double_eq_tol(rate_after(&simulation, SECOND), low * 1.1, 1e-9);
    ck_assert_double_eq_tol(rate_after(&simulation, 3 * SECOND), low * pow(1.1, 4), 1e-9);
    ck_assert(rate_after(&simulation, 3600 * SECOND) == 1.0);
    end(&simulation);
}
END_TEST

START_TEST(each_idle_interval_counts_however_many_there_were)
{
    static const uint64_t idle[] = {1, 2, 3, 7, 1000, 999999, 1U << 20};
    struct tracez_adaptive_config config;
    struct simulation simulation;

    tracez_adaptive_config_init(&config);
    config.up = 1 + 1e-7;
    config.interval_ms = 10;
    begin(&simulation, &config, 10);
    spans_pass(simulation.tracer, 13);
    ck_assert(rate_after(&simulation, SECOND / 100) == 0.8);
    drain(&simulation, 10);
    double low = rate_after(&simulation, SECOND / 100); /* one may have been refused meanwhile */

    ck_assert_double_eq_tol(rate_after(&simulation, idle[_i] * SECOND / 100),
                            low * pow(config.up, (double)idle[_i]), 1e-9);
    ck_assert(rate_after(&simulation, 3650 * 86400 * SECOND) == 1.0);
    end(&simulation);
}
END_TEST

START_TEST(the_rate_stays_over_its_floor_and_spans_name_strategy_and_rate)
{
    struct simulation simulation;

    begin(&simulation, NULL, 10);
    spans_pass(simulation.tracer, 10);
    for (int i = 0; i < 60; i++) {
        rate_after(&simulation, SECOND);
    }
    ck_assert(tracez_adaptive_rate(simulation.adaptive) == 0.01);
    drain(&simulation, 10);
    while (drain(&simulation, 10) == 0) {
        span_pass(simulation.tracer, "asked");
    }
    struct tracez_span span = {0};
    while (!tracez_span_is_recording(span)) {
        span = tracez_span_start(simulation.tracer, TRACEZ_KIND_SERVER, "asked", NULL, NULL);
    }
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(simulation.tracer);
    struct tracez_entry rate;

    ck_assert_uint_eq(spans.count, 1);
    assert_tag_string(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY), "adaptive");
    assert_tag_string(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_REASON), "adaptive");
    ck_assert(span_find_tag(&spans.records[0], TRACEZ_KEY(TRACEZ_SAMPLING_RATE), &rate));
    ck_assert(rate.real == 0.01);
    spans_free(&spans);
    end(&simulation);
}
END_TEST

START_TEST(a_clock_that_goes_back_changes_nothing)
{
    struct simulation simulation;

    begin(&simulation, NULL, 10);
    spans_pass(simulation.tracer, 13);
    simulation.now_ns -= 50 * SECOND;
    ck_assert(rate_after(&simulation, 0) == 1.0);
    end(&simulation);
}
END_TEST

/* ---- Threads --------------------------------------------------------------------------------- */

#define THREADS 4
#define SPANS_EACH 20000

static void *pass_many(void *tracer)
{
    spans_pass(tracer, SPANS_EACH);
    return NULL;
}

START_TEST(threads_that_look_in_turn_leave_a_rate_within_its_bounds_and_exact_books)
{
    struct tracez_adaptive_config adaptive_config;
    struct tracez_adaptive *adaptive;
    struct tracez_config config;
    pthread_t threads[THREADS];

    tracez_adaptive_config_init(&adaptive_config);
    adaptive_config.interval_ms = 10;
    ck_assert_int_eq(tracez_adaptive_create(&adaptive_config, &adaptive, NULL), TRACEZ_OK);
    tracez_config_init(&config);
    config.spans_max = 100;
    config.sampler = tracez_sampler_adaptive(adaptive);
    struct tracez_tracer *tracer = tracer_create(&config);
    uint64_t began_ns = tracez_tracer_now_ns(tracer);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pass_many, tracer), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    while (tracez_tracer_now_ns(tracer) - began_ns < SECOND / 10) {
        span_pass(tracer, "asked"); /* until somebody looked */
    }
    struct tracez_stats stats = books(tracer);

    ck_assert(tracez_adaptive_rate(adaptive) < 1 && tracez_adaptive_rate(adaptive) >= 0.01);
    ck_assert_uint_ge(stats.started, THREADS * SPANS_EACH);
    ck_assert_uint_eq(stats.queued + stats.dropped[TRACEZ_DROP_QUEUE_FULL], stats.recorded);
    ck_assert_uint_eq(stats.live, 0);
    tracez_tracer_destroy(tracer);
    tracez_adaptive_destroy(adaptive);
}
END_TEST

/* ---- Half an hour ---------------------------------------------------------------------------- */

#define LOAD 1000 /* spans a second */
#define DRAINED 100
#define TICKS 100 /* a second */
#define MINUTE 60
#define HALF_HOUR (30 * MINUTE)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
static const uint32_t buffers[] = {300}; /* it has one thread, and each takes seconds there */
#else
static const uint32_t buffers[] = {300, 1000, 8192}; /* of 3 seconds to 82 of draining */
#endif

static uint64_t refused(const struct simulation *simulation)
{
    return books(simulation->tracer).dropped[TRACEZ_DROP_QUEUE_FULL];
}

static void pass_second(struct simulation *simulation)
{
    for (int tick = 0; tick < TICKS; tick++) {
        simulation->now_ns += SECOND / TICKS;
        spans_pass(simulation->tracer, LOAD / TICKS);
        drain(simulation, DRAINED / TICKS);
    }
}

START_TEST(ten_times_what_is_drained_for_half_an_hour_loses_little_and_soon_nothing)
{
    struct simulation simulation;
    uint64_t refused_first_minute = 0;
    double lowest = 1;
    double highest = 0;

    begin(&simulation, NULL, buffers[_i]);
    for (int second = 0; second < HALF_HOUR; second++) {
        pass_second(&simulation);
        double rate = tracez_adaptive_rate(simulation.adaptive);
        if (second + 1 == MINUTE) {
            refused_first_minute = refused(&simulation);
        }
        if (second >= MINUTE) {
            lowest = fmin(lowest, rate);
            highest = fmax(highest, rate);
        }
    }
    struct tracez_stats stats = books(simulation.tracer);

    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], refused_first_minute);
    ck_assert_uint_lt(refused_first_minute * 100, 2 * stats.started);
    ck_assert_msg(lowest >= 0.5 * DRAINED / LOAD && highest <= 2.0 * DRAINED / LOAD,
                  "the rate went from %g to %g", lowest, highest);
    end(&simulation);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("adaptive");
    TCase *refusals = case_of(suite, "refused");
    TCase *steps = case_of(suite, "steps");
    TCase *threads = case_of(suite, "threads");
    TCase *long_run = case_of(suite, "half an hour");

    tcase_add_test(refusals, a_bad_value_is_refused_by_a_text_that_names_it_and_its_range);
    tcase_add_test(steps, without_pressure_everything_is_kept_and_nothing_is_said);
    tcase_add_test(steps, spans_that_were_refused_lower_the_rate_once_an_interval);
    tcase_add_test(steps, a_buffer_over_half_full_lowers_the_rate_and_one_half_full_does_not);
    tcase_add_test(steps, a_buffer_over_half_full_that_empties_leaves_the_rate_alone);
    tcase_add_test(steps, the_rate_rises_again_as_far_as_it_began_and_idle_intervals_count);
    tcase_add_loop_test(steps, each_idle_interval_counts_however_many_there_were, 0, 7);
    tcase_add_test(steps, the_rate_stays_over_its_floor_and_spans_name_strategy_and_rate);
    tcase_add_test(steps, a_clock_that_goes_back_changes_nothing);
    tcase_add_test(threads,
                   threads_that_look_in_turn_leave_a_rate_within_its_bounds_and_exact_books);
    tcase_add_loop_test(long_run,
                        ten_times_what_is_drained_for_half_an_hour_loses_little_and_soon_nothing, 0,
                        sizeof(buffers) / sizeof(buffers[0]));
    return run_suite(suite);
}
