/* SPDX-License-Identifier: MIT
 *
 * Goal: variables set what they name; a bad value is told and ignored.
 * Method: tables, bad values first. */
#include "spans.h"
#include "told.h"

#include <tracez/mhd.h>

#include <stdlib.h>
#include <string.h>

#define BOTH (TRACEZ_PROPAGATE_W3C | TRACEZ_PROPAGATE_B3)

static struct tracez_mhd_config read_config(struct told *told)
{
    const struct tracez_environment environment = told_begin(told);
    struct tracez_mhd_config config;

    tracez_mhd_config_init(&config);
    tracez_mhd_config_read_environment(&config, &environment);
    return config;
}

static void assert_defaults(const struct tracez_mhd_config *config)
{
    struct tracez_mhd_config defaults;

    tracez_mhd_config_init(&defaults);
    ck_assert_mem_eq(config, &defaults, sizeof(defaults));
}

START_TEST(a_bad_value_is_told_by_name_and_changes_nothing)
{
    static const struct {
        const char *name;
        const char *value;
        const char *reason;
    } rows[] = {
        {"OTEL_PROPAGATORS", "xray", "\"xray\" is none of tracecontext"},
        {"OTEL_PROPAGATORS", "tracecontext,jaeger", "\"jaeger\""},
        {"OTEL_PROPAGATORS", "B3", "\"B3\""},
        {"TRACEZ_EXTRACT", "tracecontext", "none of w3c, b3, b3multi, off"},
        {"TRACEZ_CAPTURE_REQUEST_HEADERS", "x-a, b:c", "\"b:c\""},
        {"TRACEZ_REDACT_QUERY", " ", "a list of keys"},
        {"TRACEZ_REDACT_QUERY", "off,sig", "stand alone"},
        {"TRACEZ_CONNECTIONS", "0", "1 to 1048576"},
        {"TRACEZ_CONNECTIONS", "1048577", "1 to 1048576"},
        {"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,BREW", "conventions"},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct told told;
        setenv(rows[i].name, rows[i].value, 1);

        struct tracez_mhd_config config = read_config(&told);

        assert_told(&told, rows[i].name, rows[i].reason);
        assert_defaults(&config);
        unsetenv(rows[i].name);
    }
}
END_TEST

START_TEST(propagators_say_whom_to_trust)
{
    static const struct {
        const char *name;
        const char *value;
        unsigned extract;
    } rows[] = {
        {"OTEL_PROPAGATORS", "tracecontext,baggage", TRACEZ_PROPAGATE_W3C},
        {"OTEL_PROPAGATORS", " b3multi ", TRACEZ_PROPAGATE_B3},
        {"OTEL_PROPAGATORS", "b3,tracecontext", BOTH},
        {"OTEL_PROPAGATORS", "baggage", 0},
        {"OTEL_PROPAGATORS", "none", 0},
        {"TRACEZ_EXTRACT", "w3c", TRACEZ_PROPAGATE_W3C},
        {"TRACEZ_EXTRACT", "w3c b3", BOTH},
        {"TRACEZ_EXTRACT", "off", 0},
    };
    struct told told;

    for (size_t i = 0; i < ROWS(rows); i++) {
        setenv(rows[i].name, rows[i].value, 1);
        ck_assert_uint_eq(read_config(&told).extract, rows[i].extract);
        ck_assert_int_eq(told.count, 0);
        unsetenv(rows[i].name);
    }
    setenv("OTEL_PROPAGATORS", "none", 1);
    setenv("TRACEZ_EXTRACT", "b3", 1);
    ck_assert_uint_eq(read_config(&told).extract, TRACEZ_PROPAGATE_B3);
}
END_TEST

START_TEST(the_rest_is_taken_as_it_is)
{
    struct told told;
    setenv("TRACEZ_REDACT_QUERY", "token, password", 1);
    setenv("TRACEZ_CAPTURE_REQUEST_HEADERS", "X-Tenant", 1);
    setenv("TRACEZ_CONNECTIONS", "1048576", 1);

    struct tracez_mhd_config config = read_config(&told);

    ck_assert_int_eq(told.count, 0);
    ck_assert_str_eq(config.redact_query, "token, password");
    ck_assert_str_eq(config.capture_request_headers, "X-Tenant");
    ck_assert_uint_eq(config.connections_max, 1048576);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd environment");
    TCase *values = case_of(suite, "values");

    tcase_add_checked_fixture(values, clear_environment, NULL);
    tcase_add_test(values, a_bad_value_is_told_by_name_and_changes_nothing);
    tcase_add_test(values, propagators_say_whom_to_trust);
    tcase_add_test(values, the_rest_is_taken_as_it_is);
    return run_suite(suite);
}
