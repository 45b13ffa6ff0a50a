/* SPDX-License-Identifier: MIT
 *
 * Goal: variables set what they name, tracez's own win over OpenTelemetry's, and each bad value is
 * told once, by name, and leaves the setting as it was.
 * Method: tables of one variable each, bad ones first; then resources as the spans' readers see
 * them, and a tracer of each sampler. */
#include "spans.h"
#include "told.h"

#include <tracez/environment.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The defaults, after the environment was read. */
static struct tracez_config read_config(struct told *told)
{
    const struct tracez_environment environment = told_begin(told);
    struct tracez_config config;

    tracez_config_init(&config);
    tracez_config_read_environment(&config, &environment);
    return config;
}

static void assert_defaults(const struct tracez_config *config)
{
    struct tracez_config defaults;

    tracez_config_init(&defaults);
    ck_assert_mem_eq(config, &defaults, sizeof(defaults));
}

/* ---- Bad values ------------------------------------------------------------------------------ */

START_TEST(a_bad_value_is_told_by_name_and_changes_nothing)
{
    static const struct {
        const char *name;
        const char *value;
        const char *reason;
    } rows[] = {
        {"OTEL_TRACES_SAMPLER", "sometimes", "always_on"},
        {"OTEL_TRACES_SAMPLER", "parentbased_", "parentbased_"},
        {"OTEL_TRACES_SAMPLER", "jaeger_remote", "traceidratio"},
        {"TRACEZ_SAMPLE_RATE", "1.1", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "101%", "0% to 100%"},
        {"TRACEZ_SAMPLE_RATE", "-1", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "nan", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "0x1", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "1e-3", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "0,5", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", ".", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "%", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", " 1", "0 to 1"},
        {"TRACEZ_SAMPLE_RATE", "0.1234567890123456789", "0 to 1"},
        {"TRACEZ_BUFFER_SIZE", "0", "1 to 16777216"},
        {"TRACEZ_BUFFER_SIZE", "16777217", "1 to 16777216"},
        {"TRACEZ_BUFFER_SIZE", "8k", "1 to 16777216"},
        {"TRACEZ_BUFFER_SIZE", "99999999999999999999999", "1 to 16777216"},
        {"TRACEZ_LIVE_SPANS", "1048577", "1 to 1048576"},
        {"TRACEZ_MAX_TAG_SIZE", "15", "16 to 32000"},
        {"OTEL_BSP_MAX_QUEUE_SIZE", "-2048", "1 to 16777216"},
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "32001", "16 to 32000"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "many", "16 to 32000"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "64", "128 tags"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x", "0 to 4294967295"},
        {"OTEL_SDK_DISABLED", "yes", "true or false"},
        {"OTEL_RESOURCE_ATTRIBUTES", "a", "without ="},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=1,=2", "1 to 255 bytes"},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=%4", "escape"},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=%", "escape"},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=%gg", "escape"},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=%00", "escape"},
        {"TRACEZ_RESOURCE_ATTRIBUTES", "a=1,b", "without ="},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct told told;
        setenv(rows[i].name, rows[i].value, 1);

        struct tracez_config config = read_config(&told);

        assert_told(&told, rows[i].name, rows[i].reason);
        ck_assert_msg(strstr(told.text, rows[i].value) != NULL, "\"%s\"", told.text);
        assert_defaults(&config);
        tracez_config_read_environment(&config, NULL);
        assert_defaults(&config);
        unsetenv(rows[i].name);
    }
}
END_TEST

START_TEST(a_long_value_is_told_cut)
{
    struct told told;
    char value[4096];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    setenv("TRACEZ_BUFFER_SIZE", value, 1);

    read_config(&told);

    ck_assert_int_eq(told.count, 1);
    ck_assert_uint_lt(strlen(told.text), 200);
    ck_assert_ptr_nonnull(strstr(told.text, "1 to 16777216"));
}
END_TEST

START_TEST(a_bad_argument_of_the_sampler_leaves_it_at_one)
{
    struct told told;
    setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "10%", 1);

    struct tracez_config config = read_config(&told);

    ck_assert_int_eq(told.count, 1);
    ck_assert_ptr_nonnull(strstr(told.text, "OTEL_TRACES_SAMPLER_ARG \"10%\""));
    assert_defaults(&config);
}
END_TEST

START_TEST(too_many_or_too_long_attributes_are_ignored_as_a_whole)
{
    struct told told;
    char value[20000] = "";

    for (int i = 0; i < TRACEZ_TAGS_MAX + 1; i++) {
        sprintf(value + strlen(value), "k%d=v,", i);
    }
    setenv("OTEL_RESOURCE_ATTRIBUTES", value, 1);
    struct tracez_config config = read_config(&told);
    ck_assert_ptr_nonnull(strstr(told.text, "over 128"));
    assert_defaults(&config);

    memset(value, 'v', 9000);
    memcpy(value, "key=", 4);
    value[9000] = '\0';
    setenv("OTEL_RESOURCE_ATTRIBUTES", value, 1);
    config = read_config(&told);
    ck_assert_ptr_nonnull(strstr(told.text, "8 KiB"));
    assert_defaults(&config);
}
END_TEST

/* ---- Good ones ------------------------------------------------------------------------------- */

START_TEST(nothing_and_empty_values_change_nothing)
{
    static const char *const names[] = {
        "OTEL_TRACES_SAMPLER", "TRACEZ_SAMPLE_RATE",       "TRACEZ_BUFFER_SIZE",
        "OTEL_SERVICE_NAME",   "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED",
    };
    struct told told;

    struct tracez_config config = read_config(&told);
    assert_defaults(&config);
    for (size_t i = 0; i < ROWS(names); i++) {
        setenv(names[i], "", 1);
    }
    config = read_config(&told);

    assert_defaults(&config);
    ck_assert_int_eq(told.count, 0);
}
END_TEST

START_TEST(numbers_are_read_and_our_own_names_win)
{
    struct told told;
    setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2048", 1);
    setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100", 1);
    setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "128", 1);
    struct tracez_config config = read_config(&told);
    ck_assert_uint_eq(config.spans_max, 2048);
    ck_assert_uint_eq(config.max_tag_bytes, 100);
    setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "200", 1);
    config = read_config(&told);
    ck_assert_uint_eq(config.max_tag_bytes, 200);

    setenv("TRACEZ_BUFFER_SIZE", "16777216", 1);
    setenv("TRACEZ_LIVE_SPANS", "1", 1);
    setenv("TRACEZ_MAX_TAG_SIZE", "32000", 1);
    config = read_config(&told);

    ck_assert_uint_eq(config.spans_max, 16777216);
    ck_assert_uint_eq(config.live_spans_max, 1);
    ck_assert_uint_eq(config.max_tag_bytes, 32000);
    ck_assert_int_eq(told.count, 0);
}
END_TEST

START_TEST(a_rate_is_a_number_or_a_percentage)
{
    static const struct {
        const char *text;
        double rate;
    } rows[] = {
        {"0", 0},    {"1", 1},     {"1.0", 1}, {"0.25", 0.25},   {".5", 0.5},   {"0.", 0},
        {"100%", 1}, {"10%", 0.1}, {"0%", 0},  {"12.5%", 0.125}, {"00.1", 0.1},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct told told;
        setenv("TRACEZ_SAMPLE_RATE", rows[i].text, 1);
        struct tracez_config config = read_config(&told);

        ck_assert_msg(told.count == 0, "%s: %s", rows[i].text, told.text);
        ck_assert_double_eq_tol(config.sample_rate, rows[i].rate, 1e-12);
        ck_assert_ptr_null((void *)(uintptr_t)config.sampler.decide);
    }
}
END_TEST

/* What a tracer of this environment does with a root, and below parents of either decision. */
struct decisions {
    bool root;
    bool below_sampled;
    bool below_unsampled;
};

static bool is_kept(struct tracez_tracer *tracer, const struct tracez_context *parent)
{
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", parent, NULL);
    bool is_recording = tracez_span_is_recording(span);

    tracez_span_finish(span);
    return is_recording;
}

static struct decisions decisions_of_environment(void)
{
    struct told told;
    struct tracez_config config = read_config(&told);
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_context sampled = {.trace_id = {1}, .span_id = {1}, .flags = 1};
    struct tracez_context unsampled = {.trace_id = {1}, .span_id = {1}};

    ck_assert_int_eq(told.count, 0);
    struct decisions decisions = {
        is_kept(tracer, NULL),
        is_kept(tracer, &sampled),
        is_kept(tracer, &unsampled),
    };
    tracez_tracer_destroy(tracer);
    return decisions;
}

START_TEST(each_sampler_of_opentelemetry_is_understood)
{
    static const struct {
        const char *sampler;
        const char *argument;
        struct decisions expected;
    } rows[] = {
        {"always_on", NULL, {true, true, true}},
        {"always_off", NULL, {false, false, false}},
        {"traceidratio", "0", {false, false, false}},
        {"traceidratio", "1", {true, true, true}},
        {"traceidratio", NULL, {true, true, true}},
        {"parentbased_always_on", NULL, {true, true, false}},
        {"parentbased_always_off", NULL, {false, true, false}},
        {"parentbased_traceidratio", "0.0", {false, true, false}},
        {"parentbased_traceidratio", "1", {true, true, false}},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        setenv("OTEL_TRACES_SAMPLER", rows[i].sampler, 1);
        unsetenv("OTEL_TRACES_SAMPLER_ARG");
        if (rows[i].argument != NULL) {
            setenv("OTEL_TRACES_SAMPLER_ARG", rows[i].argument, 1);
        }

        struct decisions decisions = decisions_of_environment();

        ck_assert_msg(decisions.root == rows[i].expected.root &&
                          decisions.below_sampled == rows[i].expected.below_sampled &&
                          decisions.below_unsampled == rows[i].expected.below_unsampled,
                      "%s %s", rows[i].sampler, rows[i].argument);
    }
    setenv("TRACEZ_SAMPLE_RATE", "0", 1);
    struct decisions own = decisions_of_environment();
    ck_assert(!own.root && own.below_sampled && !own.below_unsampled);
}
END_TEST

START_TEST(a_disabled_tracer_records_nothing_and_hands_contexts_on)
{
    struct told told;
    struct tracez_context parent = {.trace_id = {1}, .span_id = {2}, .flags = 1};
    struct tracez_context own;
    setenv("OTEL_SDK_DISABLED", "False", 1);
    ck_assert(!read_config(&told).is_disabled);
    setenv("OTEL_SDK_DISABLED", "TRUE", 1);
    struct tracez_config config = read_config(&told);
    struct tracez_tracer *tracer = tracer_create(&config);

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", &parent, &own);
    tracez_span_finish(span);
    tracez_tracer_count_request(tracer, false);

    ck_assert(!tracez_span_is_recording(span));
    ck_assert_mem_eq(own.span_id, parent.span_id, sizeof(own.span_id));
    ck_assert_uint_eq(books(tracer).started, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Resources ------------------------------------------------------------------------------- */

/* "key=value;" for each tag of the first resource. */
static void assert_resource(const char *expected)
{
    struct told told;
    struct tracez_config config = read_config(&told);
    struct tracez_tracer *tracer = tracer_create(&config);
    const unsigned char *entries;
    size_t entries_bytes;
    size_t position = 0;
    struct tracez_entry entry;
    char text[1024] = "";

    ck_assert(tracez_collector_resource(first_collector(tracer), 0, &entries, &entries_bytes));
    while (tracez_entry_next(entries, entries_bytes, &position, &entry)) {
        sprintf(text + strlen(text), "%.*s=%.*s;", (int)entry.key.bytes, entry.key.text,
                (int)entry.string.bytes, entry.string.text);
    }
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(told.count, 0);
    tracez_tracer_destroy(tracer);
}

START_TEST(the_resource_is_made_of_names_and_attributes)
{
    assert_resource("service.name=unknown_service;");
    setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        " deployment.environment.name = prod ,, service.name=by-attribute,note=a%2Cb%20%c3%a9=c,",
        1);
    assert_resource("service.name=by-attribute;deployment.environment.name=prod;"
                    "note=a,b \xc3\xa9=c;");
    setenv("OTEL_RESOURCE_ATTRIBUTES", "a=1,b=2,a=3,service.name=", 1);
    assert_resource("service.name=unknown_service;a=3;b=2;");
    setenv("OTEL_RESOURCE_ATTRIBUTES",
           "service.name=by-attribute,deployment.environment.name=prod,note=a%2Cb%20%c3%a9=c", 1);
    setenv("OTEL_SERVICE_NAME", "by-otel", 1);
    assert_resource("service.name=by-otel;deployment.environment.name=prod;note=a,b \xc3\xa9=c;");
    setenv("TRACEZ_SERVICE_NAME", "by-tracez", 1);
    setenv("TRACEZ_RESOURCE_ATTRIBUTES", "only=this", 1);
    assert_resource("service.name=by-tracez;only=this;");
}
END_TEST

START_TEST(a_service_that_the_environment_names_is_not_renamed_by_the_program)
{
    struct tracez_config config;
    tracez_config_init(&config);
    config.service_name = "of-the-program";

    tracez_config_read_environment(&config, NULL);
    ck_assert_str_eq(config.service_name, "of-the-program");
    setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-attribute", 1);
    tracez_config_read_environment(&config, NULL);
    ck_assert_ptr_null(config.service_name);
    config.service_name = "of-the-program";
    setenv("TRACEZ_RESOURCE_ATTRIBUTES", "only=this", 1); /* in place of the other list */
    tracez_config_read_environment(&config, NULL);
    ck_assert_str_eq(config.service_name, "of-the-program");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("environment");
    TCase *bad = case_of(suite, "bad");
    TCase *good = case_of(suite, "good");

    tcase_add_checked_fixture(bad, clear_environment, NULL);
    tcase_add_checked_fixture(good, clear_environment, NULL);
    tcase_add_test(bad, a_bad_value_is_told_by_name_and_changes_nothing);
    tcase_add_test(bad, a_long_value_is_told_cut);
    tcase_add_test(bad, a_bad_argument_of_the_sampler_leaves_it_at_one);
    tcase_add_test(bad, too_many_or_too_long_attributes_are_ignored_as_a_whole);
    tcase_add_test(good, nothing_and_empty_values_change_nothing);
    tcase_add_test(good, numbers_are_read_and_our_own_names_win);
    tcase_add_test(good, a_rate_is_a_number_or_a_percentage);
    tcase_add_test(good, each_sampler_of_opentelemetry_is_understood);
    tcase_add_test(good, a_disabled_tracer_records_nothing_and_hands_contexts_on);
    tcase_add_test(good, the_resource_is_made_of_names_and_attributes);
    tcase_add_test(good, a_service_that_the_environment_names_is_not_renamed_by_the_program);
    return run_suite(suite);
}
