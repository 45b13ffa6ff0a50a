/* SPDX-License-Identifier: MIT
 *
 * Goal: variables set what they name, the nearer name wins, and a bad value is told without the
 * secrets that it may hold.
 * Method: bad values by table, then good ones, then a backend that sees the headers. */
#include "exporter_backend.h"
#include "spans.h"
#include "told.h"

#include <tracez/exporter.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "hunter2"

static struct tracez_exporter_config read_config(struct told *told)
{
    const struct tracez_environment environment = told_begin(told);
    struct tracez_exporter_config config;

    tracez_exporter_config_init(&config);
    tracez_exporter_config_read_environment(&config, &environment);
    return config;
}

static void assert_defaults(const struct tracez_exporter_config *config)
{
    struct tracez_exporter_config defaults;

    tracez_exporter_config_init(&defaults);
    ck_assert_mem_eq(config, &defaults, sizeof(defaults));
}

START_TEST(a_bad_value_is_told_by_name_without_secrets_and_changes_nothing)
{
    static const struct {
        const char *name;
        const char *value;
        const char *reason;
    } rows[] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:" SECRET "@h", "http or https"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "h:4317", "try http://h:4318"},
        {"TRACEZ_EXPORTER_ENDPOINT", "http://h/?key=" SECRET " ", "printable"},
        {"OTEL_EXPORTER_OTLP_HEADERS", SECRET, "name=value"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=" SECRET ",b", "name=value"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=%" SECRET, "percent-encoded"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=" SECRET "%0d%0ab: c", "line break"},
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "Host=" SECRET, "sets it itself"},
        {"TRACEZ_EXPORTER_HEADERS", "a b=" SECRET, "1 to 256 letters"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "1 to 3600000"},
        {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", "1 to 3600000"},
        {"OTEL_BSP_EXPORT_TIMEOUT", "-1", "1 to 3600000"},
        {"OTEL_BSP_SCHEDULE_DELAY", "9", "10 to 3600000"},
        {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "65537", "1 to 65536"},
        {"TRACEZ_EXPORTER_TIMEOUT_MS", "x", "1 to 3600000"},
        {"TRACEZ_EXPORTER_CONNECT_TIMEOUT_MS", "0", "1 to 3600000"},
        {"TRACEZ_EXPORTER_INTERVAL_MS", "5s", "10 to 3600000"},
        {"TRACEZ_EXPORTER_BATCH_SIZE", "0", "1 to 65536"},
        {"OTEL_TRACES_EXPORTER", "console", "otlp or zipkin"},
        {"TRACEZ_EXPORTER_FORMAT", "Zipkin", "otlp, zipkin or tracez"},
        {"TRACEZ_EXPORTER_CONNECTIONS", "101", "1 to 100"},
        {"TRACEZ_EXPORTER_SHUTDOWN_TIMEOUT_MS", "3600001", "0 to 3600000"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/json"},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "http/json"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "none or gzip"},
        {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "GZIP", "none or gzip"},
        {"TRACEZ_EXPORTER_COMPRESSION", "1", "none or gzip"},
        {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem", "No such file"},
        {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/dev/null", "not a regular file"},
        {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/proc/self/comm", "no private key in it"},
        {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/nowhere/key.pem", "No such file"},
        {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/proc/self/comm", "no certificate in it"},
        {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/nowhere/c.pem", "No such file"},
        {"http_proxy", "http://user:" SECRET "@proxy", "a port is needed"},
        {"https_proxy", "socks5://proxy:1080", "http or https"},
        {"HTTPS_PROXY", "proxy", "a port is needed"},
        {"no_proxy", "a\nb", "names with commas"},
        {"NO_PROXY", "\x01", "names with commas"},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct told told;
        setenv(rows[i].name, rows[i].value, 1);

        struct tracez_exporter_config config = read_config(&told);

        assert_told(&told, rows[i].name, rows[i].reason);
        ck_assert_msg(strstr(told.text, SECRET) == NULL, "\"%s\"", told.text);
        assert_defaults(&config);
        tracez_exporter_config_read_environment(&config, NULL);
        assert_defaults(&config);
        unsetenv(rows[i].name);
    }
}
END_TEST

START_TEST(nothing_and_what_is_the_default_anyhow_change_nothing)
{
    struct told told;
    struct tracez_exporter_config config = read_config(&told);
    assert_defaults(&config);

    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
    setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "", 1);
    config = read_config(&told);

    assert_defaults(&config);
    ck_assert_int_eq(told.count, 0);
}
END_TEST

START_TEST(what_is_for_otlp_is_not_for_another_format)
{
    struct told told;
    setenv(_i == 0 ? "TRACEZ_EXPORTER_FORMAT" : "OTEL_TRACES_EXPORTER", "zipkin", 1);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otlp", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=" SECRET, 1);

    struct tracez_exporter_config config = read_config(&told);

    ck_assert_int_eq(config.format, TRACEZ_FORMAT_ZIPKIN);
    ck_assert_ptr_null(config.endpoint);
    ck_assert_ptr_null(config.header_list);
    ck_assert_int_eq(told.count, 0);
}
END_TEST

START_TEST(the_nearer_name_wins)
{
    struct told told;
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base", 1);
    setenv("OTEL_BSP_EXPORT_TIMEOUT", "1", 1);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "100", 1);
    setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10", 1);
    setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", 1);
    struct tracez_exporter_config config = read_config(&told);
    ck_assert_str_eq(config.endpoint, "http://base");
    ck_assert_int_eq(config.endpoint_form, TRACEZ_ENDPOINT_BASE);
    ck_assert_uint_eq(config.timeout_ms, 1);
    ck_assert_uint_eq(config.interval_ms, 100);
    ck_assert_uint_eq(config.batch_size, 10);
    ck_assert_int_eq(config.compression, TRACEZ_COMPRESSION_GZIP);

    setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://exact/in", 1);
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none", 1);
    config = read_config(&told);
    ck_assert_str_eq(config.endpoint, "http://exact/in");
    ck_assert_int_eq(config.endpoint_form, TRACEZ_ENDPOINT_EXACT);
    ck_assert_uint_eq(config.timeout_ms, 2);
    ck_assert_int_eq(config.compression, TRACEZ_COMPRESSION_NONE);

    setenv("TRACEZ_EXPORTER_ENDPOINT", "http://own", 1);
    setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3", 1);
    setenv("TRACEZ_EXPORTER_COMPRESSION", "gzip", 1);
    setenv("TRACEZ_EXPORTER_INTERVAL_MS", "200", 1);
    setenv("TRACEZ_EXPORTER_BATCH_SIZE", "20", 1);
    setenv("TRACEZ_EXPORTER_CONNECT_TIMEOUT_MS", "30", 1);
    setenv("TRACEZ_EXPORTER_CONNECTIONS", "3", 1);
    setenv("TRACEZ_EXPORTER_SHUTDOWN_TIMEOUT_MS", "0", 1);
    config = read_config(&told);
    ck_assert_str_eq(config.endpoint, "http://own");
    ck_assert_int_eq(config.endpoint_form, TRACEZ_ENDPOINT_COMPLETED);
    ck_assert_uint_eq(config.timeout_ms, 3);
    ck_assert_int_eq(config.compression, TRACEZ_COMPRESSION_GZIP);
    ck_assert_uint_eq(config.interval_ms, 200);
    ck_assert_uint_eq(config.batch_size, 20);
    ck_assert_uint_eq(config.connect_timeout_ms, 30);
    ck_assert_uint_eq(config.connections, 3);
    ck_assert_uint_eq(config.shutdown_timeout_ms, 0);
    setenv("TRACEZ_EXPORTER_TIMEOUT_MS", "4", 1);

    ck_assert_uint_eq(read_config(&told).timeout_ms, 4);
    ck_assert_int_eq(told.count, 0);
}
END_TEST

START_TEST(proxies_are_read_as_curl_reads_them)
{
    struct told told;
    setenv("HTTP_PROXY", "http://capitals:1", 1); /* anybody's header, in CGI */
    setenv("ALL_PROXY", "all:1", 1);
    struct tracez_exporter_config config = read_config(&told);
    ck_assert_str_eq(config.http_proxy, "all:1");
    ck_assert_str_eq(config.https_proxy, "all:1");
    ck_assert_ptr_null(config.no_proxy);

    setenv("http_proxy", "http://plain:1", 1);
    setenv("HTTPS_PROXY", "http://capitals:2", 1);
    setenv("NO_PROXY", "capitals", 1);
    config = read_config(&told);
    ck_assert_str_eq(config.http_proxy, "http://plain:1");
    ck_assert_str_eq(config.https_proxy, "http://capitals:2");
    ck_assert_str_eq(config.no_proxy, "capitals");

    setenv("https_proxy", "https://plain:2", 1);
    setenv("no_proxy", "plain", 1);
    config = read_config(&told);
    ck_assert_str_eq(config.https_proxy, "https://plain:2");
    ck_assert_str_eq(config.no_proxy, "plain");
    ck_assert_ptr_null(config.proxy);
    ck_assert_int_eq(told.count, 0);
}
END_TEST

START_TEST(headers_of_both_kinds_reach_the_backend_decoded)
{
    struct backend *backend = backend_start(NULL, 0);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_header own = {"X-Own", "1"};
    struct tracez_exporter *exporter;
    struct tracez_error error = {0};
    struct told told;
    char base[128];
    snprintf(base, sizeof(base), "%s/otlp/", backend_url(backend));
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", base, 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS",
           " authorization = Basic%20" SECRET "%3D , x-a=b=c,,x-empty=", 1);
    struct tracez_exporter_config config = read_config(&told);
    config.headers = &own;
    config.header_count = 1;

    ck_assert_msg(tracez_exporter_create(&config, tracer, &exporter, &error) == TRACEZ_OK, "%s",
                  error.text);
    ck_assert_int_eq(tracez_exporter_start(exporter, &error), TRACEZ_OK);
    span_pass(tracer, "n");
    tracez_exporter_flush(exporter);
    backend_wait_requests(backend, 1);
    ck_assert_int_eq(tracez_exporter_stop(exporter, 5000, false), TRACEZ_OK);
    const char *head = backend_head(backend, 0);

    ck_assert_int_eq(told.count, 0);
    ck_assert_ptr_eq(strstr(head, "POST /otlp/v1/traces HTTP/1.1\r\n"), head);
    ck_assert_ptr_nonnull(strstr(head, "\r\nauthorization: Basic " SECRET "=\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "\r\nx-a: b=c\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "\r\nx-empty:\r\n"));
    ck_assert_ptr_nonnull(strstr(head, "\r\nX-Own: 1\r\n"));
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(a_list_is_refused_beyond_its_bounds_and_beside_too_many_headers)
{
    struct tracez_exporter_config config;
    struct tracez_error error;
    struct tracez_header headers[32];
    static char list[20000];

    tracez_exporter_config_init(&config);
    for (int i = 0; i < 32; i++) {
        headers[i] = (struct tracez_header){"X", "1"};
        sprintf(list + strlen(list), "x-%d=1,", i);
    }
    config.header_list = list;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_OK);
    config.headers = headers;
    config.header_count = 1;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, "33 headers rejected: up to 32");
    config.header_count = 0;
    sprintf(list + strlen(list), "one=more");
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    memset(list, 'x', sizeof(list) - 1);
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    config.header_list = NULL;
    config.endpoint_form = (enum tracez_endpoint_form)3;

    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "endpoint_form 3"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter environment");
    TCase *bad = case_of(suite, "bad");
    TCase *good = case_of(suite, "good");

    tcase_add_checked_fixture(bad, clear_environment, NULL);
    tcase_add_checked_fixture(good, clear_environment, NULL);
    tcase_add_test(bad, a_bad_value_is_told_by_name_without_secrets_and_changes_nothing);
    tcase_add_test(bad, a_list_is_refused_beyond_its_bounds_and_beside_too_many_headers);
    tcase_add_test(good, nothing_and_what_is_the_default_anyhow_change_nothing);
    tcase_add_loop_test(good, what_is_for_otlp_is_not_for_another_format, 0, 2);
    tcase_add_test(good, the_nearer_name_wins);
    tcase_add_test(good, proxies_are_read_as_curl_reads_them);
    tcase_add_test(good, headers_of_both_kinds_reach_the_backend_decoded);
    return run_suite(suite);
}
