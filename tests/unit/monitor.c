/* SPDX-License-Identifier: MIT
 *
 * Goal: a monitor reports once an interval what was counted in it, and says of drops and of full
 * collectors once that they began and once that they are over, however often it looks.
 * Method: a clock that the test moves on, a collector of a hundred spans that the test fills and
 * drains, and the notices of each look. */
#include "spans.h"

#include <tracez/monitor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define SPANS_MAX 100
#define NOTICES_MAX 16
#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

static uint64_t now_ns;

static uint64_t read_clock(void *state)
{
    (void)state;
    return now_ns;
}

/* What a monitor said since it was asked last. */
struct heard {
    int count;
    enum tracez_notice_kind kinds[NOTICES_MAX];
    char texts[NOTICES_MAX][600];
    char collectors[NOTICES_MAX][64];
    struct tracez_stats since[NOTICES_MAX];
    uint64_t elapsed_ns;
};

static void hear(const struct tracez_notice *notice, void *state)
{
    struct heard *heard = state;
    int i = heard->count++;

    ck_assert_int_lt(i, NOTICES_MAX);
    heard->kinds[i] = notice->kind;
    snprintf(heard->texts[i], sizeof(heard->texts[i]), "%s", notice->text);
    snprintf(heard->collectors[i], sizeof(heard->collectors[i]), "%s", notice->collector->name);
    heard->since[i] = *notice->since;
    heard->elapsed_ns = notice->elapsed_ns;
}

struct watch {
    struct tracez_tracer *tracer;
    struct tracez_monitor monitor;
    struct tracez_monitor_config config;
    struct heard heard;
};

static struct watch *watch_of(const struct tracez_collector_config *collectors, size_t count)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    struct tracez_config config;

    ck_assert_ptr_nonnull(watch);
    now_ns = 1000 * SECOND;
    tracez_config_init(&config);
    config.clock = (struct tracez_clock){read_clock, read_clock, NULL};
    config.collectors = collectors;
    config.collector_count = count;
    watch->tracer = tracer_create(&config);
    tracez_monitor_config_init(&watch->config);
    watch->config.fn = hear;
    watch->config.state = &watch->heard;
    ck_assert_int_eq(tracez_monitor_check(&watch->config, NULL), TRACEZ_OK);
    return watch;
}

/* One collector of a hundred spans. */
static struct watch *watch_begin(void)
{
    static const struct tracez_collector_config collector = {
        .name = "jobs", .spans_max = SPANS_MAX, .writers = 1};

    return watch_of(&collector, 1);
}

static void watch_end(struct watch *watch)
{
    tracez_tracer_destroy(watch->tracer);
    free(watch);
}

/* Looks, and forgets what was heard before. */
static const struct heard *look(struct watch *watch)
{
    watch->heard.count = 0;
    tracez_monitor_look(&watch->monitor, &watch->config, watch->tracer);
    return &watch->heard;
}

static void assert_heard(const struct heard *heard, enum tracez_notice_kind kind, const char *text)
{
    int i = 0;

    while (i < heard->count && heard->kinds[i] != kind) {
        i++;
    }
    ck_assert_msg(i < heard->count, "nothing of this kind was said; expected: %s", text);
    ck_assert_str_eq(heard->texts[i], text);
}

static void drop(struct watch *watch, size_t count)
{
    struct spans ignored = spans_drain_first(watch->tracer);

    spans_free(&ignored);
    spans_pass(watch->tracer, SPANS_MAX + count);
    ignored = spans_drain_first(watch->tracer);
    spans_free(&ignored);
}

/* ---- Settings -------------------------------------------------------------------------------- */

START_TEST(a_bad_setting_is_refused_and_the_error_names_value_and_range)
{
    static const struct {
        uint32_t interval_ms, pressure_percent_max;
        tracez_notice_fn fn;
        const char *value;
        const char *range;
    } rows[] = {
        {0, 80, hear, "interval_ms 0 ", "1000 to 86400000"},
        {999, 80, hear, "interval_ms 999 ", "1000 to 86400000"},
        {86400001, 80, hear, "interval_ms 86400001 ", "1000 to 86400000"},
        {60000, 0, hear, "pressure_percent_max 0 ", "1 to 100"},
        {60000, 101, hear, "pressure_percent_max 101 ", "1 to 100"},
        {60000, 80, NULL, "fn ", "somebody to tell"},
    };
    struct tracez_monitor_config config;
    struct tracez_error error;

    for (size_t i = 0; i < ROWS(rows); i++) {
        tracez_monitor_config_init(&config);
        config.interval_ms = rows[i].interval_ms;
        config.pressure_percent_max = rows[i].pressure_percent_max;
        config.fn = rows[i].fn;

        ck_assert_int_eq(tracez_monitor_check(&config, &error), TRACEZ_INVALID);
        ck_assert_ptr_nonnull(strstr(error.text, rows[i].value));
        ck_assert_ptr_nonnull(strstr(error.text, rows[i].range));
    }
    config.struct_bytes = 0;
    ck_assert_int_eq(tracez_monitor_check(&config, NULL), TRACEZ_INVALID);
}
END_TEST

START_TEST(the_defaults_are_a_minute_a_thousand_drops_and_eighty_percent)
{
    struct tracez_monitor_config config;

    tracez_monitor_config_init(&config);

    ck_assert_uint_eq(config.interval_ms, 60000);
    ck_assert_uint_eq(config.drops_max, 1000);
    ck_assert_uint_eq(config.pressure_percent_max, 80);
}
END_TEST

/* ---- Reports --------------------------------------------------------------------------------- */

START_TEST(a_report_comes_once_an_interval_and_counts_what_was_in_it)
{
    struct watch *watch = watch_begin();
    spans_pass(watch->tracer, 5); /* before it begins */
    ck_assert_int_eq(look(watch)->count, 0);
    struct tracez_span live = tracez_span_start(watch->tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    spans_pass(watch->tracer, 10);

    now_ns += 60 * SECOND - 1;
    ck_assert_int_eq(look(watch)->count, 0);
    now_ns += 1;
    const struct heard *heard = look(watch);

    ck_assert_int_eq(heard->count, 1);
    assert_heard(heard, TRACEZ_NOTICE_REPORT,
                 "in 60 s 11 spans started, 10 finished with 0 tags, 0 exported, 0 spans dropped; "
                 "15 wait, collector \"jobs\" is 15% full");
    ck_assert_uint_eq(heard->since[0].recorded, 11);
    ck_assert_uint_eq(heard->since[0].live, 1);
    ck_assert_uint_eq(heard->elapsed_ns, 60 * SECOND);
    tracez_span_set_int(live, "a", 1);
    tracez_span_finish(live);
    now_ns += 90 * SECOND; /* it looks late */
    assert_heard(look(watch), TRACEZ_NOTICE_REPORT,
                 "in 90 s 0 spans started, 1 finished with 1 tags, 0 exported, 0 spans dropped; "
                 "16 wait, collector \"jobs\" is 16% full");
    watch_end(watch);
}
END_TEST

START_TEST(the_interval_can_be_set)
{
    struct watch *watch = watch_begin();
    watch->config.interval_ms = 1000;
    look(watch);

    for (int i = 0; i < 5; i++) {
        now_ns += SECOND;
        ck_assert_int_eq(look(watch)->count, 1);
        ck_assert_int_eq(look(watch)->count, 0);
    }
    watch_end(watch);
}
END_TEST

/* ---- Drops ----------------------------------------------------------------------------------- */

START_TEST(a_thousand_drops_are_fine_and_one_more_is_told_once_and_when_it_is_over)
{
    struct watch *watch = watch_begin();
    look(watch);

    drop(watch, 1000);
    now_ns += SECOND;
    ck_assert_int_eq(look(watch)->count, 0);
    drop(watch, 1);
    now_ns += SECOND;
    const struct heard *heard = look(watch);
    ck_assert_int_eq(heard->count, 1);
    assert_heard(heard, TRACEZ_NOTICE_DROPS,
                 "1001 spans dropped (queue_full 1001) in 2 s, more than 1000");
    drop(watch, 5000);
    ck_assert_int_eq(look(watch)->count, 0);

    now_ns += 58 * SECOND; /* an interval with drops ends */
    ck_assert_int_eq(look(watch)->count, 1);
    drop(watch, 1001);
    now_ns += 60 * SECOND; /* another one: nothing new */
    ck_assert_int_eq(look(watch)->count, 1);
    drop(watch, 1000);
    now_ns += 60 * SECOND;
    heard = look(watch);
    ck_assert_int_eq(heard->count, 2);
    assert_heard(heard, TRACEZ_NOTICE_DROPS_OVER,
                 "1000 spans dropped (queue_full 1000) in 60 s, no more than 1000 any more");
    drop(watch, 1001);
    ck_assert_int_eq(look(watch)->kinds[0], TRACEZ_NOTICE_DROPS);
    watch_end(watch);
}
END_TEST

START_TEST(drops_of_all_reasons_count_together)
{
    struct watch *watch = watch_begin();
    struct tracez_config config;
    tracez_tracer_destroy(watch->tracer);
    tracez_config_init(&config);
    config.clock = (struct tracez_clock){read_clock, read_clock, NULL};
    config.spans_max = SPANS_MAX;
    config.max_spans_per_second = 300;
    watch->tracer = tracer_create(&config);
    watch->config.drops_max = 0;
    look(watch);

    spans_pass(watch->tracer, 700); /* 600 get a token, 100 find room */

    assert_heard(look(watch), TRACEZ_NOTICE_DROPS,
                 "600 spans dropped (queue_full 500, rate 100) in 0 s, more than 0");
    watch_end(watch);
}
END_TEST

/* ---- Pressure -------------------------------------------------------------------------------- */

START_TEST(eighty_percent_are_fine_and_more_is_told_once_and_after_an_interval_without)
{
    struct watch *watch = watch_begin();

    spans_pass(watch->tracer, 80);
    ck_assert_int_eq(look(watch)->count, 0);
    span_pass(watch->tracer, "n");
    const struct heard *heard = look(watch);
    ck_assert_int_eq(heard->count, 1);
    assert_heard(heard, TRACEZ_NOTICE_PRESSURE,
                 "collector \"jobs\" is 81% full, more than 80%: 81 of 100 spans");
    ck_assert_str_eq(heard->collectors[0], "jobs");
    spans_pass(watch->tracer, 10);
    ck_assert_int_eq(look(watch)->count, 0);

    struct spans ignored = spans_drain_first(watch->tracer);
    spans_free(&ignored);
    now_ns += 60 * SECOND; /* it was full in this interval */
    ck_assert_int_eq(look(watch)->count, 1);
    now_ns += 60 * SECOND;
    heard = look(watch);
    ck_assert_int_eq(heard->count, 2);
    assert_heard(heard, TRACEZ_NOTICE_PRESSURE_OVER,
                 "collector \"jobs\" is 0% full, no more than 80% for 60 s");
    watch_end(watch);
}
END_TEST

START_TEST(a_collector_that_goes_up_and_down_is_told_about_once)
{
    struct watch *watch = watch_begin();
    int told = 0;

    for (int i = 0; i < 600; i++) { /* ten minutes */
        spans_pass(watch->tracer, 90);
        told += look(watch)->kinds[0] == TRACEZ_NOTICE_PRESSURE && watch->heard.count > 0;
        struct spans ignored = spans_drain_first(watch->tracer);
        spans_free(&ignored);
        for (int j = 0; j < look(watch)->count; j++) {
            ck_assert_int_ne(watch->heard.kinds[j], TRACEZ_NOTICE_PRESSURE_OVER);
        }
        now_ns += SECOND;
    }

    ck_assert_int_eq(told, 1);
    watch_end(watch);
}
END_TEST

START_TEST(each_collector_is_told_about_by_itself)
{
    static const struct tracez_collector_config collectors[] = {
        {.name = "errors", .spans_max = 10, .writers = 1, .match = TRACEZ_MATCH_ERRORS},
        {.name = "http", .spans_max = SPANS_MAX, .writers = 1},
    };
    struct watch *watch = watch_of(collectors, 2);
    spans_pass(watch->tracer, 20);
    ck_assert_int_eq(look(watch)->count, 0);

    for (int i = 0; i < 9; i++) {
        struct tracez_span span =
            tracez_span_start(watch->tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
        tracez_span_set_error(span, "timeout", NULL);
        tracez_span_finish(span);
    }
    const struct heard *heard = look(watch);

    ck_assert_int_eq(heard->count, 1);
    ck_assert_str_eq(heard->collectors[0], "errors");
    spans_pass(watch->tracer, 70);
    heard = look(watch);
    ck_assert_int_eq(heard->count, 1);
    ck_assert_str_eq(heard->collectors[0], "http");
    watch_end(watch);
}
END_TEST

/* ---- Its memory ------------------------------------------------------------------------------ */

START_TEST(another_process_goes_on_where_the_last_one_ended)
{
    struct watch *watch = watch_begin();
    look(watch);
    drop(watch, 1001);
    ck_assert_int_eq(look(watch)->count, 1);
    struct watch *other = watch_begin();
    tracez_tracer_destroy(other->tracer);

    other->tracer = watch->tracer;
    other->monitor = watch->monitor;

    now_ns += SECOND;
    ck_assert_int_eq(look(other)->count, 0);
    now_ns += 60 * SECOND;
    ck_assert_int_eq(look(other)->count, 1);
    free(other);
    watch_end(watch);
}
END_TEST

START_TEST(garbage_is_forgotten_within_an_interval_or_two)
{
    struct watch *watch = watch_begin();
    memset(&watch->monitor, 0xff, sizeof(watch->monitor));

    look(watch);
    now_ns += 60 * SECOND;
    look(watch);
    spans_pass(watch->tracer, 3);
    now_ns += 60 * SECOND;
    const struct heard *heard = look(watch);

    ck_assert_int_eq(heard->count, 1);
    ck_assert_uint_eq(heard->since[0].recorded, 3);
    watch_end(watch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("monitor");
    TCase *settings = case_of(suite, "settings");
    TCase *notices = case_of(suite, "notices");
    TCase *memory = case_of(suite, "memory");

    tcase_add_test(settings, a_bad_setting_is_refused_and_the_error_names_value_and_range);
    tcase_add_test(settings, the_defaults_are_a_minute_a_thousand_drops_and_eighty_percent);
    tcase_add_test(notices, a_report_comes_once_an_interval_and_counts_what_was_in_it);
    tcase_add_test(notices, the_interval_can_be_set);
    tcase_add_test(notices,
                   a_thousand_drops_are_fine_and_one_more_is_told_once_and_when_it_is_over);
    tcase_add_test(notices, drops_of_all_reasons_count_together);
    tcase_add_test(notices,
                   eighty_percent_are_fine_and_more_is_told_once_and_after_an_interval_without);
    tcase_add_test(notices, a_collector_that_goes_up_and_down_is_told_about_once);
    tcase_add_test(notices, each_collector_is_told_about_by_itself);
    tcase_add_test(memory, another_process_goes_on_where_the_last_one_ended);
    tcase_add_test(memory, garbage_is_forgotten_within_an_interval_or_two);
    return run_suite(suite);
}
