/* SPDX-License-Identifier: MIT
 *
 * Goal: each value of an exporter's configuration is checked against its range before anything is
 * made, by the same rules in check and create; a caller of an older version gets today's defaults.
 * Method: the edges of every number and one step beyond; then what is no number; then structs of
 * other sizes. */
#include "config.h"

#include "exporting.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct tracez_exporter_config defaults(void)
{
    struct tracez_exporter_config config;

    tracez_exporter_config_init(&config);
    return config;
}

static void assert_refused(const struct tracez_exporter_config *config, const char *sentence)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_exporter *exporter = (struct tracez_exporter *)1;
    struct tracez_error error = {0};

    ck_assert_int_eq(tracez_exporter_check(config, &error), TRACEZ_INVALID);
    ck_assert_int_eq(error.result, TRACEZ_INVALID);
    ck_assert_str_eq(error.text, sentence);
    memset(&error, 0, sizeof(error));
    ck_assert_int_eq(tracez_exporter_create(config, tracer, &exporter, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, sentence);
    ck_assert_ptr_null(exporter);
    ck_assert_int_eq(tracez_exporter_check(config, NULL), TRACEZ_INVALID);
    tracez_tracer_destroy(tracer);
}

static void assert_taken(const struct tracez_exporter_config *config)
{
    struct tracez_error error = {0};

    ck_assert_msg(tracez_exporter_check(config, &error) == TRACEZ_OK, "%s", error.text);
}

/* ---- Numbers ------------------------------------------------------------------------------- */

#define FIELD(name) #name, offsetof(struct tracez_exporter_config, name)

static const struct range {
    const char *name;
    size_t offset;
    uint32_t min;
    uint32_t max;
} ranges[] = {
    {FIELD(interval_ms), 10, 3600000},
    {FIELD(batch_size), 1, 65536},
    {FIELD(max_batch_bytes), 65536, 67108864},
    {FIELD(connections), 1, 100},
    {FIELD(keepalive_timeout_ms), 1000, 3600000},
    {FIELD(timeout_ms), 1, 3600000},
    {FIELD(connect_timeout_ms), 1, 3600000},
    {FIELD(low_speed_timeout_ms), 1000, 3600000},
    {FIELD(retry_max_ms), 1000, 3600000}, /* from retry_min_ms on */
};

static struct tracez_exporter_config with(const struct range *range, uint32_t value)
{
    struct tracez_exporter_config config = defaults();

    memcpy((char *)&config + range->offset, &value, sizeof(value));
    return config;
}

START_TEST(a_number_beyond_its_range_is_refused_and_one_at_its_edge_is_not)
{
    const struct range *range = &ranges[_i];
    char sentence[200];
    const struct tracez_exporter_config below = with(range, range->min - 1);
    const struct tracez_exporter_config above = with(range, range->max + 1);
    const struct tracez_exporter_config lowest = with(range, range->min);
    const struct tracez_exporter_config highest = with(range, range->max);

    snprintf(sentence, sizeof(sentence), "%s %u rejected: %u to %u", range->name, range->min - 1,
             range->min, range->max);
    assert_refused(&below, sentence);
    snprintf(sentence, sizeof(sentence), "%s %u rejected: %u to %u", range->name, range->max + 1,
             range->min, range->max);
    assert_refused(&above, sentence);
    assert_taken(&lowest);
    assert_taken(&highest);
}
END_TEST

START_TEST(zero_is_a_shutdown_timeout_too)
{
    struct tracez_exporter_config config = defaults();

    config.shutdown_timeout_ms = 3600001;
    assert_refused(&config, "shutdown_timeout_ms 3600001 rejected: 0 to 3600000");
    config.shutdown_timeout_ms = 3600000;
    assert_taken(&config);
    config.shutdown_timeout_ms = 0;
    assert_taken(&config);
}
END_TEST

START_TEST(the_shortest_retry_may_be_the_longest_but_not_longer)
{
    struct tracez_exporter_config config = defaults();

    config.retry_min_ms = 30001;
    assert_refused(&config, "retry_max_ms 30000 rejected: 30001 to 3600000");
    config.retry_min_ms = 0;
    assert_refused(&config, "retry_min_ms 0 rejected: 1 to 3600000");
    config.retry_min_ms = 30000;
    assert_taken(&config);
    config.retry_max_elapsed_ms = UINT32_MAX;
    assert_taken(&config);
}
END_TEST

/* ---- Others -------------------------------------------------------------------------------- */

START_TEST(an_unknown_format_is_refused)
{
    struct tracez_exporter_config config = defaults();

    config.format = (enum tracez_format)7;

    assert_refused(&config, "format 7 rejected: one of enum tracez_format");
}
END_TEST

START_TEST(an_unknown_compression_is_refused)
{
    struct tracez_exporter_config config = defaults();

    config.compression = (enum tracez_compression)2;

    assert_refused(&config, "compression 2 rejected: one of enum tracez_compression");
}
END_TEST

START_TEST(formats_have_names_and_a_bad_one_is_told_which_there_are)
{
    enum tracez_format format = TRACEZ_FORMAT_OTLP;
    struct tracez_error error;

    for (int i = TRACEZ_FORMAT_OTLP; i <= TRACEZ_FORMAT_TRACEZ; i++) {
        const char *name = tracez_format_name((enum tracez_format)i);
        ck_assert_int_eq(tracez_format_parse(name, &format, &error), TRACEZ_OK);
        ck_assert_int_eq(format, i);
    }
    ck_assert_ptr_null(tracez_format_name((enum tracez_format)3));
    ck_assert_int_eq(tracez_format_parse("Zipkin", &format, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, "format \"Zipkin\" rejected: it must be otlp, zipkin or tracez");
    ck_assert_int_eq(format, TRACEZ_FORMAT_TRACEZ);
}
END_TEST

START_TEST(an_endpoint_that_nobody_named_is_the_formats_usual_one)
{
    static const char *const urls[] = {
        [TRACEZ_FORMAT_OTLP] = "http://localhost:4318/v1/traces",
        [TRACEZ_FORMAT_ZIPKIN] = "http://localhost:9411/api/v2/spans",
        [TRACEZ_FORMAT_TRACEZ] = "http://localhost:4318/",
    };

    for (int i = TRACEZ_FORMAT_OTLP; i <= TRACEZ_FORMAT_TRACEZ; i++) {
        struct tracez_tracer *tracer = tracer_create_default();
        struct tracez_exporter_config config = defaults();
        config.format = (enum tracez_format)i;
        struct tracez_exporter *exporter = exporter_create(&config, tracer);

        ck_assert_str_eq(exporter_stats(exporter).endpoint, urls[i]);
        tracez_exporter_destroy(exporter);
        tracez_tracer_destroy(tracer);
    }
}
END_TEST

START_TEST(a_bad_endpoint_and_a_bad_header_are_refused_too)
{
    const struct tracez_header header = {"Host", "x"};
    struct tracez_exporter_config config = defaults();

    config.endpoint = "ftp://x";
    assert_refused(&config, "endpoint \"ftp://x\" rejected: scheme must be http or https");
    config = defaults();
    config.headers = &header;
    config.header_count = 1;
    assert_refused(&config, "header \"Host\" rejected: tracez sets it itself");
}
END_TEST

START_TEST(a_wake_fd_that_would_block_the_thread_is_refused)
{
    struct tracez_exporter_config config = defaults();
    char sentence[100];
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);

    config.wake_fds[0] = fds[0];
    snprintf(sentence, sizeof(sentence), "wake_fd %d rejected: an eventfd with EFD_NONBLOCK",
             fds[0]);
    assert_refused(&config, sentence);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_taken(&config);
    close(fds[0]);
    close(fds[1]);
    assert_refused(&config, sentence); /* closed */
}
END_TEST

START_TEST(a_config_that_was_never_initialised_is_refused)
{
    const struct tracez_exporter_config config = {0};

    assert_refused(&config, "struct_bytes 0 rejected: call tracez_exporter_config_init first");
}
END_TEST

START_TEST(defaults_are_what_the_header_says)
{
    struct tracez_exporter_config config = defaults();

    assert_taken(&config);
    ck_assert_int_eq(config.format, TRACEZ_FORMAT_OTLP);
    ck_assert_ptr_null(config.endpoint);
    ck_assert_int_eq(config.compression, TRACEZ_COMPRESSION_NONE);
    ck_assert_uint_eq(config.interval_ms, 5000);
    ck_assert_uint_eq(config.batch_size, 512);
    ck_assert_uint_eq(config.max_batch_bytes, 4194304);
    ck_assert_uint_eq(config.connections, 10);
    ck_assert_uint_eq(config.keepalive_timeout_ms, 90000);
    ck_assert_uint_eq(config.timeout_ms, 30000);
    ck_assert_uint_eq(config.connect_timeout_ms, 2000);
    ck_assert_uint_eq(config.low_speed_timeout_ms, 30000);
    ck_assert(config.verify);
    ck_assert_ptr_null(config.trusted_certificate.text);
    ck_assert_ptr_null(config.proxy);
    ck_assert_uint_eq(config.retry_min_ms, 1000);
    ck_assert_uint_eq(config.retry_max_ms, 30000);
    ck_assert_uint_eq(config.retry_max_elapsed_ms, 0);
    ck_assert_uint_eq(config.shutdown_timeout_ms, 5000);
    ck_assert_int_eq(config.wake_fds[0], -1);
}
END_TEST

START_TEST(an_older_callers_shorter_struct_is_not_written_beyond_and_gets_the_rest_by_default)
{
    struct tracez_exporter_config config;
    struct tracez_exporter_config copy;
    const size_t older_bytes = offsetof(struct tracez_exporter_config, timeout_ms);
    memset(&config, 0x5a, sizeof(config));

    tracez_exporter_config_init_bytes(&config, older_bytes);
    config.connections = 3;
    ck_assert_int_eq(exporter_config_take(&copy, &config, NULL), TRACEZ_OK);

    ck_assert_uint_eq(config.timeout_ms, 0x5a5a5a5a); /* not ours */
    ck_assert_uint_eq(copy.connections, 3);
    ck_assert_uint_eq(copy.timeout_ms, 30000);
    ck_assert_int_eq(copy.wake_fds[0], -1);
}
END_TEST

START_TEST(a_newer_callers_longer_struct_is_read_as_far_as_it_is_known)
{
    struct {
        struct tracez_exporter_config known;
        char unknown[64];
    } longer;
    struct tracez_exporter_config copy;
    memset(&longer, 0x5a, sizeof(longer));

    tracez_exporter_config_init_bytes(&longer.known, sizeof(longer));
    longer.known.batch_size = 7;
    ck_assert_int_eq(exporter_config_take(&copy, &longer.known, NULL), TRACEZ_OK);

    ck_assert_uint_eq(copy.batch_size, 7);
    ck_assert_uint_eq(copy.struct_bytes, sizeof(copy));
}
END_TEST

START_TEST(stats_of_an_older_caller_are_not_written_beyond)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_exporter_config config = defaults();
    struct tracez_exporter *exporter = exporter_create(&config, tracer);
    struct tracez_exporter_stats stats;
    memset(&stats, 0x5a, sizeof(stats));
    stats.struct_bytes = offsetof(struct tracez_exporter_stats, endpoint);

    tracez_exporter_stats(exporter, &stats);

    ck_assert_uint_eq(stats.attempts, 0);
    ck_assert_uint_eq(stats.struct_bytes, offsetof(struct tracez_exporter_stats, endpoint));
    ck_assert_int_eq(stats.endpoint[0], 0x5a);
    ck_assert_str_eq(exporter_stats(exporter).endpoint, "http://localhost:4318/v1/traces");
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_config");
    TCase *numbers = case_of(suite, "numbers");
    TCase *others = case_of(suite, "others");
    TCase *sizes = case_of(suite, "sizes");

    tcase_add_loop_test(numbers, a_number_beyond_its_range_is_refused_and_one_at_its_edge_is_not, 0,
                        (int)(sizeof(ranges) / sizeof(ranges[0])));
    tcase_add_test(numbers, zero_is_a_shutdown_timeout_too);
    tcase_add_test(numbers, the_shortest_retry_may_be_the_longest_but_not_longer);
    tcase_add_test(others, an_unknown_format_is_refused);
    tcase_add_test(others, an_unknown_compression_is_refused);
    tcase_add_test(others, formats_have_names_and_a_bad_one_is_told_which_there_are);
    tcase_add_test(others, an_endpoint_that_nobody_named_is_the_formats_usual_one);
    tcase_add_test(others, a_bad_endpoint_and_a_bad_header_are_refused_too);
    tcase_add_test(others, a_wake_fd_that_would_block_the_thread_is_refused);
    tcase_add_test(others, a_config_that_was_never_initialised_is_refused);
    tcase_add_test(others, defaults_are_what_the_header_says);
    tcase_add_test(
        sizes, an_older_callers_shorter_struct_is_not_written_beyond_and_gets_the_rest_by_default);
    tcase_add_test(sizes, a_newer_callers_longer_struct_is_read_as_far_as_it_is_known);
    tcase_add_test(sizes, stats_of_an_older_caller_are_not_written_beyond);
    return run_suite(suite);
}
