/* SPDX-License-Identifier: MIT
 *
 * Goal: an environment's name brings its four values, to core and exporter alike; a name that
 * nobody knows is told with those that are known; no name changes nothing; and what is set by
 * itself, in the environment or by the program, wins.
 * Method: the tables of the documentation, row by row. The capacity of a collector by rate and
 * interval is one of these. */
#include "spans.h"
#include "told.h"

#include <tracez/exporter.h>
#include <tracez/preset.h>

#include <stdlib.h>
#include <string.h>

/* Both libraries' halves of a preset. */
struct settings {
    struct tracez_config tracer;
    struct tracez_exporter_config exporter;
    enum tracez_result result;
};

static struct settings settings_of(const char *environment)
{
    struct settings settings;

    tracez_config_init(&settings.tracer);
    tracez_exporter_config_init(&settings.exporter);
    settings.result = tracez_config_apply_preset(&settings.tracer, environment);
    ck_assert_int_eq(tracez_exporter_config_apply_preset(&settings.exporter, environment),
                     settings.result);
    return settings;
}

static struct settings read_settings(struct told *told)
{
    const struct tracez_environment environment = told_begin(told);
    struct settings settings = settings_of(NULL);

    tracez_config_read_environment(&settings.tracer, &environment);
    tracez_exporter_config_read_environment(&settings.exporter, &environment);
    return settings;
}

static void assert_settings(const struct settings *settings, uint32_t spans_max,
                            uint32_t interval_ms, uint32_t max_tag_bytes, double sample_rate)
{
    ck_assert_uint_eq(settings->tracer.spans_max, spans_max);
    ck_assert_uint_eq(settings->exporter.interval_ms, interval_ms);
    ck_assert_uint_eq(settings->tracer.max_tag_bytes, max_tag_bytes);
    ck_assert_double_eq(settings->tracer.sample_rate, sample_rate);
}

/* ---- Names ----------------------------------------------------------------------------------- */

START_TEST(an_unknown_name_is_told_with_those_that_are_known_and_is_cautious)
{
    static const char *const names[] = {"prod", "Production", "production ", "test"};
    struct tracez_preset preset;
    struct tracez_error error;

    struct settings settings = settings_of(names[_i]);
    enum tracez_result result = tracez_preset_find(names[_i], &preset, &error);

    ck_assert_int_eq(settings.result, TRACEZ_INVALID);
    assert_settings(&settings, 1000, 10000, 1000, 0.1);
    ck_assert_int_eq(result, TRACEZ_INVALID);
    ck_assert_str_eq(preset.name, "unknown");
    ck_assert_ptr_nonnull(strstr(error.text, names[_i]));
    ck_assert_ptr_nonnull(strstr(error.text, "production, staging and development"));
}
END_TEST

START_TEST(a_long_unknown_name_is_told_cut)
{
    struct tracez_preset preset;
    struct tracez_error error;
    char name[4096];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    ck_assert_int_eq(tracez_preset_find(name, &preset, &error), TRACEZ_INVALID);

    ck_assert_ptr_nonnull(strstr(error.text, "production, staging and development"));
    ck_assert_ptr_nonnull(strstr(error.text, "rate 0.1"));
}
END_TEST

START_TEST(no_name_is_not_an_unknown_name)
{
    struct settings none = settings_of(NULL);
    struct settings empty = settings_of("");

    ck_assert_int_eq(none.result, TRACEZ_OK);
    assert_settings(&none, 8192, 5000, 1000, 1.0);
    ck_assert_int_eq(empty.result, TRACEZ_OK);
    assert_settings(&empty, 8192, 5000, 1000, 1.0);
}
END_TEST

START_TEST(each_environment_has_its_values)
{
    static const struct tracez_preset expected[] = {
        {"production", 15000, 30000, 500, 0.1},
        {"staging", 5000, 15000, 1000, 0.5},
        {"development", 1000, 5000, 2000, 1.0},
    };
    const struct tracez_preset *row = &expected[_i];
    struct tracez_preset preset;

    struct settings settings = settings_of(row->name);

    ck_assert_int_eq(settings.result, TRACEZ_OK);
    assert_settings(&settings, row->spans_max, row->interval_ms, row->max_tag_bytes,
                    row->sample_rate);
    ck_assert_int_eq(tracez_preset_find(row->name, &preset, NULL), TRACEZ_OK);
    ck_assert_str_eq(preset.name, row->name);
    ck_assert_uint_eq(preset.interval_ms, row->interval_ms);
}
END_TEST

START_TEST(a_tracer_of_each_environment_can_be_made)
{
    static const char *const names[] = {"production", "staging", "development", "elsewhere"};
    struct tracez_collector_stats stats;

    struct settings settings = settings_of(names[_i]);
    struct tracez_tracer *tracer = tracer_create(&settings.tracer);

    stats = collector_books(first_collector(tracer));
    ck_assert_uint_eq(stats.spans_max, settings.tracer.spans_max);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- In the environment ---------------------------------------------------------------------- */

START_TEST(the_environment_names_its_preset)
{
    struct told told;
    setenv("TRACEZ_ENVIRONMENT", "staging", 1);

    struct settings settings = read_settings(&told);

    ck_assert_int_eq(told.count, 0);
    assert_settings(&settings, 5000, 15000, 1000, 0.5);
}
END_TEST

START_TEST(an_unknown_one_in_the_environment_is_told_once)
{
    struct told told;
    setenv("TRACEZ_ENVIRONMENT", "prod", 1);

    struct settings settings = read_settings(&told);

    assert_told(&told, "TRACEZ_ENVIRONMENT", "production, staging and development");
    assert_settings(&settings, 1000, 10000, 1000, 0.1);
    tracez_config_read_environment(&settings.tracer, NULL); /* nobody is told */
}
END_TEST

START_TEST(an_empty_one_in_the_environment_is_none)
{
    struct told told;
    setenv("TRACEZ_ENVIRONMENT", "", 1);

    struct settings settings = read_settings(&told);

    ck_assert_int_eq(told.count, 0);
    assert_settings(&settings, 8192, 5000, 1000, 1.0);
}
END_TEST

START_TEST(each_variable_of_its_own_wins_over_the_preset)
{
    struct told told;
    setenv("TRACEZ_ENVIRONMENT", "production", 1);
    setenv("TRACEZ_BUFFER_SIZE", "77", 1);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "700", 1);
    setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "70", 1);
    setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.7", 1);

    struct settings settings = read_settings(&told);

    ck_assert_int_eq(told.count, 0);
    assert_settings(&settings, 77, 700, 70, 0.7);
}
END_TEST

START_TEST(a_name_from_elsewhere_wins_over_the_environments_and_loses_to_each_variable)
{
    struct told told;
    struct tracez_environment environment = told_begin(&told);
    struct settings settings = settings_of(NULL);
    setenv("TRACEZ_ENVIRONMENT", "prod", 1);
    setenv("TRACEZ_SAMPLE_RATE", "1", 1);

    environment.preset = "staging";
    tracez_config_read_environment(&settings.tracer, &environment);
    tracez_exporter_config_read_environment(&settings.exporter, &environment);

    ck_assert_int_eq(told.count, 0);
    assert_settings(&settings, 5000, 15000, 1000, 1);
}
END_TEST

START_TEST(a_name_from_elsewhere_may_be_none)
{
    struct told told;
    struct tracez_environment environment = told_begin(&told);
    struct settings settings = settings_of(NULL);
    setenv("TRACEZ_ENVIRONMENT", "staging", 1);

    environment.preset = "";
    tracez_config_read_environment(&settings.tracer, &environment);
    tracez_exporter_config_read_environment(&settings.exporter, &environment);

    assert_settings(&settings, 8192, 5000, 1000, 1);
}
END_TEST

START_TEST(what_the_program_sets_itself_wins_over_the_preset)
{
    struct settings settings = settings_of("production");

    settings.tracer.sample_rate = 1;
    settings.exporter.interval_ms = 1000;

    assert_settings(&settings, 15000, 1000, 500, 1);
}
END_TEST

START_TEST(a_sampler_of_the_programs_own_is_left_to_it)
{
    struct tracez_config config;
    tracez_config_init(&config);
    config.sampler = tracez_sampler_never();

    ck_assert_int_eq(tracez_config_apply_preset(&config, "development"), TRACEZ_OK);

    struct tracez_tracer *tracer = tracer_create(&config);
    span_pass(tracer, "n");
    ck_assert_uint_eq(books(tracer).not_recorded, 1);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Sizing ---------------------------------------------------------------------------------- */

START_TEST(a_collector_holds_half_as_many_again_as_come_in_an_interval)
{
    static const struct {
        uint32_t spans_per_second;
        uint32_t interval_ms;
        uint32_t capacity;
    } rows[] = {
        {10, 5000, 100},        {1000, 15000, 22500},
        {50, 60000, 4500},      {0, 5000, 100},
        {1000, 0, 100},         {66, 1000, 100},
        {67, 1000, 100},        {68, 1000, 102},
        {1, 100000, 150},       {3, 500, 100},
        {33333, 1000, 49999},   {33334, 1000, 50000},
        {100000, 60000, 50000}, {UINT32_MAX, UINT32_MAX, 50000},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        ck_assert_uint_eq(
            tracez_collector_capacity_for(rows[i].spans_per_second, rows[i].interval_ms),
            rows[i].capacity);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("preset");
    TCase *names = case_of(suite, "names");
    TCase *variables = case_of(suite, "environment");
    TCase *sizing = case_of(suite, "sizing");

    tcase_add_loop_test(names, an_unknown_name_is_told_with_those_that_are_known_and_is_cautious, 0,
                        4);
    tcase_add_test(names, a_long_unknown_name_is_told_cut);
    tcase_add_test(names, no_name_is_not_an_unknown_name);
    tcase_add_loop_test(names, each_environment_has_its_values, 0, 3);
    tcase_add_loop_test(names, a_tracer_of_each_environment_can_be_made, 0, 4);
    tcase_add_test(variables, the_environment_names_its_preset);
    tcase_add_test(variables, an_unknown_one_in_the_environment_is_told_once);
    tcase_add_test(variables, an_empty_one_in_the_environment_is_none);
    tcase_add_test(variables, each_variable_of_its_own_wins_over_the_preset);
    tcase_add_test(variables,
                   a_name_from_elsewhere_wins_over_the_environments_and_loses_to_each_variable);
    tcase_add_test(variables, a_name_from_elsewhere_may_be_none);
    tcase_add_test(variables, what_the_program_sets_itself_wins_over_the_preset);
    tcase_add_test(variables, a_sampler_of_the_programs_own_is_left_to_it);
    tcase_add_test(sizing, a_collector_holds_half_as_many_again_as_come_in_an_interval);
    return run_suite(suite);
}
