/* SPDX-License-Identifier: MIT
 *
 * Goal: a proxy that can't work is refused with the reason and without its password, and each
 * endpoint gets the one that is meant for it, or none.
 * Method: the mistakes that people make; then endpoints beside what the environment and the
 * configuration say. */
#include "proxy.h"

#include "spans.h"

#include <string.h>

#define SECRET "hunter2"

static struct tracez_exporter_config defaults(void)
{
    struct tracez_exporter_config config;

    tracez_exporter_config_init(&config);
    return config;
}

/* ---- Refused ------------------------------------------------------------------------------- */

static const struct refused {
    const char *text;
    const char *reason;
} refused[] = {
    {"socks5://proxy:1080", "scheme must be http or https"},
    {"ftp://proxy:21", "scheme must be http or https"},
    {"http://proxy", "a port is needed, such as http://proxy:3128"},
    {"proxy", "a port is needed"},
    {"http://proxy:3128/path", "it must end with the port"},
    {"http://proxy:3128?" SECRET, "it must end with the port"},
    {"http://proxy:65536", "rejected: "},
    {"http://user:" SECRET "@proxy", "a port is needed"},
    {"user:" SECRET "@proxy:99999", "rejected: "},
    {"http://pro xy:1", "printable"},
    {"http://proxy:1\n", "printable"},
    {"http://", "rejected: "},
};

START_TEST(a_proxy_that_can_not_work_is_refused_without_its_password)
{
    const char *text = refused[_i].text;
    struct tracez_exporter_config config = defaults();
    const char **fields[] = {&config.proxy, &config.http_proxy, &config.https_proxy};

    for (size_t i = 0; i < 3; i++) {
        struct tracez_error error = {0};

        *fields[i] = text;
        ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
        *fields[i] = NULL;

        ck_assert_msg(strstr(error.text, refused[_i].reason) != NULL, "%s", error.text);
        ck_assert_ptr_null(strstr(error.text, SECRET));
        ck_assert_ptr_null(strstr(error.text, "user"));
        ck_assert_ptr_nonnull(strstr(error.text, "proxy \""));
    }
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    static char text[NO_PROXY_BYTES_MAX + 2];
    struct tracez_exporter_config config = defaults();
    struct tracez_error error;
    memset(text, 'p', sizeof(text) - 1);

    config.no_proxy = text;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "at most 4096 bytes"));
    text[NO_PROXY_BYTES_MAX] = '\0';
    ck_assert_int_eq(tracez_exporter_check(&config, NULL), TRACEZ_OK);
    config.no_proxy = "a\nb";
    ck_assert_int_eq(tracez_exporter_check(&config, NULL), TRACEZ_INVALID);
    config.no_proxy = NULL;
    config.proxy = text;
    ck_assert_int_eq(tracez_exporter_check(&config, &error), TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "over 2048 bytes"));
}
END_TEST

START_TEST(a_unix_socket_and_a_proxy_are_refused_together)
{
    struct tracez_exporter_config config = defaults();
    config.endpoint = "unix:/run/otel.sock";

    config.proxy = "http://proxy:3128";
    ck_assert_int_eq(tracez_exporter_check(&config, NULL), TRACEZ_INVALID);
    config.proxy = "";
    ck_assert_int_eq(tracez_exporter_check(&config, NULL), TRACEZ_OK);
}
END_TEST

/* ---- Picked -------------------------------------------------------------------------------- */

static const struct picked {
    const char *endpoint;
    const char *proxy; /* of the configuration */
    const char *url;   /* NULL: none */
    const char *except;
} picked[] = {
    {"http://far", NULL, "http://of-http:1", "near"},
    {"https://far", NULL, "https://user:" SECRET "@of-https:2", "near"},
    {"http://far", "", NULL, NULL},
    {"https://far", "http://own:3", "http://own:3", ""},
    {"http://localhost:4318", "http://own:3", "http://own:3", ""},
    {"http://localhost:4318", NULL, NULL, NULL},
    {"http://LOCALHOST", NULL, NULL, NULL},
    {"https://127.0.0.2", NULL, NULL, NULL},
    {"http://[::1]:4318", NULL, NULL, NULL},
    {"unix:/run/otel.sock", NULL, NULL, NULL},
    {"http://127.far", NULL, "http://of-http:1", "near"},
    {"http://128.0.0.1", NULL, "http://of-http:1", "near"},
};

START_TEST(an_endpoint_gets_the_proxy_that_is_meant_for_it)
{
    struct tracez_exporter_config config = defaults();
    struct endpoint endpoint;
    struct proxy proxy;
    config.proxy = picked[_i].proxy;
    config.http_proxy = "of-http:1";
    config.https_proxy = "https://user:" SECRET "@of-https:2";
    config.no_proxy = "near";
    ck_assert_int_eq(endpoint_init(&endpoint, picked[_i].endpoint, TRACEZ_ENDPOINT_EXACT, "", NULL),
                     TRACEZ_OK);

    ck_assert_int_eq(proxy_init(&proxy, &config, &endpoint, NULL), TRACEZ_OK);

    ck_assert_pstr_eq(proxy.url, picked[_i].url);
    ck_assert_pstr_eq(proxy.except, picked[_i].except);
    proxy_deinit(&proxy);
    proxy_deinit(&proxy); /* harmless */
    endpoint_deinit(&endpoint);
}
END_TEST

START_TEST(without_any_there_is_none)
{
    struct tracez_exporter_config config = defaults();
    struct endpoint endpoint;
    struct proxy proxy;
    ck_assert_int_eq(endpoint_init(&endpoint, "http://far", TRACEZ_ENDPOINT_EXACT, "", NULL),
                     TRACEZ_OK);

    ck_assert_int_eq(proxy_init(&proxy, &config, &endpoint, NULL), TRACEZ_OK);

    ck_assert_ptr_null(proxy.url);
    endpoint_deinit(&endpoint);
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    Suite *suite = suite_create("proxy");
    TCase *no = case_of(suite, "refused");
    TCase *yes = case_of(suite, "picked");

    tcase_add_loop_test(no, a_proxy_that_can_not_work_is_refused_without_its_password, 0,
                        COUNT(refused));
    tcase_add_test(no, what_is_too_long_is_refused);
    tcase_add_test(no, a_unix_socket_and_a_proxy_are_refused_together);
    tcase_add_loop_test(yes, an_endpoint_gets_the_proxy_that_is_meant_for_it, 0, COUNT(picked));
    tcase_add_test(yes, without_any_there_is_none);
    return run_suite(suite);
}
