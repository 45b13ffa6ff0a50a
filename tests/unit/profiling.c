/* SPDX-License-Identifier: MIT
 *
 * Goal: profiling is off unless it is asked for, listens where it is told to, and refuses what is
 * no address, by name. What it serves is for tests/profiling/test_profile.py.
 * Method: refusals first, then where it says that it listens. */
#include "spans.h"
#include "told.h"

#include <tracez/profiling.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tracez_profiling_config config_at(const char *address)
{
    struct tracez_profiling_config config;

    tracez_profiling_config_init(&config);
    config.enabled = true;
    config.address = address;
    return config;
}

START_TEST(what_is_no_address_is_refused_by_name)
{
    static const char *const bad[] = {
        "",
        ":",
        ":6060",
        "6060",
        "127.0.0.1",
        "127.0.0.1:",
        "localhost:1",
        "127.0.0.1:6060 ",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:1x",
        "::1:6060",
        "[::1]",
        "[::1:6060",
        "[]:6060",
        "[127.0.0.1]:6060",
        "256.0.0.1:1",
        "127.0.0.1:000001",
        "http://127.0.0.1:6060",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:1",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tracez_profiling_config config = config_at(bad[i]);
        struct tracez_profiling *profiling = (void *)&config;
        struct tracez_error error = {0};

        ck_assert_int_eq(tracez_profiling_start(&config, &profiling, &error), TRACEZ_INVALID);

        ck_assert_ptr_null(profiling);
        ck_assert_msg(strstr(error.text, bad[i]) != NULL, "%s: %s", bad[i], error.text);
        ck_assert_ptr_nonnull(strstr(error.text, "127.0.0.1:6060"));
    }
}
END_TEST

START_TEST(a_missing_address_and_a_missing_init_are_refused)
{
    struct tracez_profiling_config config = config_at(NULL);
    struct tracez_profiling *profiling;
    struct tracez_error error;

    ck_assert_int_eq(tracez_profiling_start(&config, &profiling, &error), TRACEZ_INVALID);
    memset(&config, 0, sizeof(config));
    ck_assert_int_eq(tracez_profiling_start(&config, &profiling, &error), TRACEZ_INVALID);

    ck_assert_str_eq(error.text,
                     "struct_bytes 0 rejected: call tracez_profiling_config_init first");
}
END_TEST

START_TEST(a_second_one_at_the_same_address_is_refused_by_name)
{
    struct tracez_profiling_config config = config_at("127.0.0.1:0");
    struct tracez_profiling *first;
    struct tracez_profiling *second;
    struct tracez_error error;
    ck_assert_int_eq(tracez_profiling_start(&config, &first, NULL), TRACEZ_OK);
    config.address = tracez_profiling_address(first);

    ck_assert_int_eq(tracez_profiling_start(&config, &second, &error), TRACEZ_SYSTEM);

    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(error.text, config.address));
    tracez_profiling_stop(first);
}
END_TEST

START_TEST(a_bad_variable_is_told_by_name_and_changes_nothing)
{
    static const struct {
        const char *name;
        const char *value;
        const char *reason;
    } rows[] = {
        {"ENABLE_PROFILING", "yes", "true or false"},
        {"ENABLE_PROFILING", "TRUE", "true or false"},
        {"TRACEZ_PROFILING_ADDRESS", ":6060", "127.0.0.1:6060"},
        {"TRACEZ_PROFILING_ADDRESS", "localhost:6060", "127.0.0.1:6060"},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct tracez_profiling_config config;
        struct told told;
        const struct tracez_environment environment = told_begin(&told);
        tracez_profiling_config_init(&config);
        setenv(rows[i].name, rows[i].value, 1);

        tracez_profiling_config_read_environment(&config, &environment);

        assert_told(&told, rows[i].name, rows[i].reason);
        ck_assert(!config.enabled);
        ck_assert_str_eq(config.address, "127.0.0.1:6060");
        unsetenv(rows[i].name);
    }
}
END_TEST

START_TEST(unless_it_is_enabled_there_is_none_and_that_is_no_error)
{
    struct tracez_profiling_config config;
    struct tracez_profiling *profiling = (void *)&config;
    tracez_profiling_config_init(&config);

    ck_assert_int_eq(tracez_profiling_start(&config, &profiling, NULL), TRACEZ_OK);

    ck_assert_ptr_null(profiling);
    ck_assert_ptr_null(tracez_profiling_address(profiling));
    tracez_profiling_stop(profiling);
}
END_TEST

START_TEST(the_defaults_are_loopback_and_off)
{
    struct tracez_profiling_config config;

    tracez_profiling_config_init(&config);

    ck_assert(!config.enabled);
    ck_assert_str_eq(config.address, "127.0.0.1:6060");
}
END_TEST

START_TEST(it_says_where_it_listens_and_may_start_again_there)
{
    struct tracez_profiling_config config = config_at("127.0.0.1:0");
    struct tracez_profiling *profiling;
    char address[64];

    ck_assert_int_eq(tracez_profiling_start(&config, &profiling, NULL), TRACEZ_OK);
    snprintf(address, sizeof(address), "%s", tracez_profiling_address(profiling));
    ck_assert_int_eq(strncmp(address, "127.0.0.1:", 10), 0);
    ck_assert_int_gt(atoi(address + 10), 0);
    tracez_profiling_stop(profiling);
    config.address = address;
    ck_assert_int_eq(tracez_profiling_start(&config, &profiling, NULL), TRACEZ_OK);

    ck_assert_str_eq(tracez_profiling_address(profiling), address);
    tracez_profiling_stop(profiling);
}
END_TEST

START_TEST(a_forked_child_leaves_it_to_the_parent)
{
    struct tracez_profiling_config config = config_at("127.0.0.1:0");
    struct tracez_profiling *profiling;
    int status = -1;
    ck_assert_int_eq(tracez_profiling_start(&config, &profiling, NULL), TRACEZ_OK);

    pid_t child = fork();
    if (child == 0) {
        tracez_profiling_stop(profiling);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);

    ck_assert_int_eq(status, 0);
    tracez_profiling_stop(profiling);
}
END_TEST

START_TEST(the_environment_says_whether_and_where)
{
    struct tracez_profiling_config config;
    struct told told;
    const struct tracez_environment environment = told_begin(&told);
    tracez_profiling_config_init(&config);

    setenv("ENABLE_PROFILING", "true", 1);
    setenv("TRACEZ_PROFILING_ADDRESS", "[::1]:7070", 1);
    tracez_profiling_config_read_environment(&config, &environment);

    ck_assert_int_eq(told.count, 0);
    ck_assert(config.enabled);
    ck_assert_str_eq(config.address, "[::1]:7070");
    setenv("ENABLE_PROFILING", "false", 1);
    tracez_profiling_config_read_environment(&config, &environment);
    ck_assert(!config.enabled);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profiling");
    TCase *refusals = case_of(suite, "refusals");
    TCase *variables = case_of(suite, "environment");
    TCase *listening = case_of(suite, "listening");

    tcase_add_test(refusals, what_is_no_address_is_refused_by_name);
    tcase_add_test(refusals, a_missing_address_and_a_missing_init_are_refused);
    tcase_add_test(refusals, a_second_one_at_the_same_address_is_refused_by_name);
    tcase_add_test(listening, unless_it_is_enabled_there_is_none_and_that_is_no_error);
    tcase_add_test(listening, the_defaults_are_loopback_and_off);
    tcase_add_test(listening, it_says_where_it_listens_and_may_start_again_there);
    tcase_add_test(listening, a_forked_child_leaves_it_to_the_parent);
    tcase_add_checked_fixture(variables, clear_environment, clear_environment);
    tcase_add_test(variables, a_bad_variable_is_told_by_name_and_changes_nothing);
    tcase_add_test(variables, the_environment_says_whether_and_where);
    return run_suite(suite);
}
