/* SPDX-License-Identifier: MIT
 *
 * Goal: an endpoint that can't work is refused with a sentence that says why and what would, one
 * that can is completed as OTLP wants it, and neither shows user, password or query to anybody.
 * Method: the mistakes that people make, with the exact sentence; then good URLs with what libcurl
 * gets and what may be shown. */
#include "endpoint.h"

#include "refusal.h"
#include "spans.h"

#include <stdio.h>
#include <string.h>

#define PATH "/v1/traces"

/* ---- Refused ------------------------------------------------------------------------------- */

static const struct refused {
    const char *text;
    const char *sentence; /* NULL: libcurl's words are its own */
} refused[] = {
    {"localhost:4317",
     "endpoint \"localhost:4317\" rejected: no scheme; 4317 is usually gRPC, tracez speaks "
     "OTLP/HTTP: try http://localhost:4318"},
    {"localhost:4318",
     "endpoint \"localhost:4318\" rejected: no scheme: try http://localhost:4318"},
    {"collector", "endpoint \"collector\" rejected: no scheme: try http://collector"},
    {"/v1/traces",
     "endpoint \"/v1/traces\" rejected: no scheme: try http://localhost:4318/v1/traces"},
    {"", "endpoint \"\" rejected: a URL is needed, such as http://localhost:4318"},
    {NULL, "endpoint \"\" rejected: a URL is needed, such as http://localhost:4318"},
    {"ftp://x", "endpoint \"ftp://x\" rejected: scheme must be http or https"},
    {"file:///etc/passwd",
     "endpoint \"file:///etc/passwd\" rejected: scheme must be http or https"},
    {"grpc://x:4317", "endpoint \"grpc://x:4317\" rejected: scheme must be http or https"},
    {"httpx://x", "endpoint \"httpx://x\" rejected: scheme must be http or https"},
    {"http://x#y", "endpoint \"http://x#...\" rejected: it has a fragment (#)"},
    {"http://a b", "endpoint \"http://a b\" rejected: only printable ASCII without spaces, "
                   "anything else percent-encoded"},
    {"http://a\n", "endpoint \"http://a?\" rejected: only printable ASCII without spaces, "
                   "anything else percent-encoded"},
    {"http://\xc3\xa4", "endpoint \"http://??\" rejected: only printable ASCII without spaces, "
                        "anything else percent-encoded"},
    {"http://x:0", "endpoint \"http://x:0\" rejected: port must be 1 to 65535"},
    {"http://x:65536", NULL},
    {"http://x:port", NULL},
    {"http://", NULL},
    {"http://:4318", NULL},
    {"http://[::1", NULL},
    {"unix:", "endpoint \"unix:\" rejected: a unix socket is unix:/path, or "
              "http://unix:/path:/v1/traces with the request's path"},
    {"unix:run/otel.sock",
     "endpoint \"unix:run/otel.sock\" rejected: a unix socket is unix:/path, or "
     "http://unix:/path:/v1/traces with the request's path"},
    {"http://unix:/run/otel.sock:v1",
     "endpoint \"http://unix:/run/otel.sock:v1\" rejected: a unix socket is unix:/path, or "
     "http://unix:/path:/v1/traces with the request's path"},
    {"unix:/run/o tel.sock",
     "endpoint \"unix:/run/o tel.sock\" rejected: only printable ASCII without spaces, "
     "anything else percent-encoded"},
};

START_TEST(an_endpoint_that_can_not_work_is_refused_with_the_reason)
{
    struct endpoint endpoint = {.url = (char *)1};
    struct tracez_error error = {0};

    ck_assert_int_eq(
        endpoint_init(&endpoint, refused[_i].text, TRACEZ_ENDPOINT_COMPLETED, PATH, &error),
        TRACEZ_INVALID);

    ck_assert_ptr_null(endpoint.url);
    ck_assert_int_eq(error.result, TRACEZ_INVALID);
    ck_assert_int_eq(strncmp(error.text, "endpoint \"", 10), 0);
    if (refused[_i].sentence != NULL) {
        ck_assert_str_eq(error.text, refused[_i].sentence);
    }
    ck_assert_int_eq(
        endpoint_init(&endpoint, refused[_i].text, TRACEZ_ENDPOINT_COMPLETED, PATH, NULL),
        TRACEZ_INVALID);
}
END_TEST

START_TEST(an_endpoint_of_2048_bytes_is_taken_and_one_of_2049_is_not)
{
    struct endpoint endpoint;
    struct tracez_error error = {0};
    char text[ENDPOINT_BYTES_MAX + 2] = "http://x/";
    memset(text + strlen(text), 'p', sizeof(text) - 1 - strlen(text));

    enum tracez_result longer =
        endpoint_init(&endpoint, text, TRACEZ_ENDPOINT_COMPLETED, PATH, &error);
    text[ENDPOINT_BYTES_MAX] = '\0';
    enum tracez_result longest =
        endpoint_init(&endpoint, text, TRACEZ_ENDPOINT_COMPLETED, PATH, NULL);

    ck_assert_int_eq(longer, TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "...\" rejected: over 2048 bytes"));
    ck_assert_int_eq(longest, TRACEZ_OK);
    ck_assert_str_eq(endpoint.url, text);
    ck_assert_uint_lt(strlen(endpoint.shown), ENDPOINT_SHOWN_BYTES);
    ck_assert_str_eq(endpoint.shown + ENDPOINT_SHOWN_BYTES - 4, "...");
    endpoint_deinit(&endpoint);
}
END_TEST

/* Each is wrong in some way, and has a secret in some place. */
static const char *const secretive[] = {
    "http://user:hunter2@host:0",
    "http://hunter2@host:0",
    "http://user:hun/ter2@host:99999",
    "http://user:hunter2?hunter2@host:99999",
    "http://user:hunter2@x@host:99999",
    "http://user:hunter2#@host",
    "user:hunter2@host:4317",
    "user:hunter2@host",
    "ftp://user:hunter2@host/",
    "http://user:hunter2@ho st/",
    "http://host:0/?key=hunter2",
    "http://host:0/path?a=b&hunter2#hunter2",
    "http://host/#hunter2",
};

START_TEST(no_refusal_shows_user_password_or_query)
{
    struct endpoint endpoint;
    struct tracez_error error = {0};

    ck_assert_int_eq(
        endpoint_init(&endpoint, secretive[_i], TRACEZ_ENDPOINT_COMPLETED, PATH, &error),
        TRACEZ_INVALID);

    ck_assert_msg(strstr(error.text, "hun") == NULL && strstr(error.text, "ter2") == NULL &&
                      strstr(error.text, "user") == NULL,
                  "%s", error.text);
    ck_assert_ptr_nonnull(strstr(error.text, "ho"));
}
END_TEST

START_TEST(a_quotation_ends_after_80_bytes_wherever_that_is)
{
    char text[300];
    char quoted[QUOTED_BYTES];

    for (size_t at = 0; at < 100; at++) {
        memset(text, 'x', sizeof(text));
        memcpy(text + at, "://user@", 8);
        text[at + 60] = '?';
        text[sizeof(text) - 1] = '\0';
        memset(quoted, 'q', sizeof(quoted));

        quote(text, quoted);

        ck_assert_uint_le(strlen(quoted), QUOTED_BYTES - 1);
        ck_assert_ptr_null(strstr(quoted, "user"));
    }
}
END_TEST

START_TEST(the_path_of_a_unix_socket_has_up_to_107_bytes)
{
    struct endpoint endpoint;
    struct tracez_error error = {0};
    char text[5 + 109] = "unix:/";
    memset(text + 6, 'p', 106);

    ck_assert_int_eq(endpoint_init(&endpoint, text, TRACEZ_ENDPOINT_COMPLETED, PATH, NULL),
                     TRACEZ_OK);
    ck_assert_str_eq(endpoint.socket_path, text + strlen("unix:"));
    ck_assert_uint_eq(strlen(endpoint.socket_path), 107);
    endpoint_deinit(&endpoint);
    text[5 + 107] = 'p';
    ck_assert_int_eq(endpoint_init(&endpoint, text, TRACEZ_ENDPOINT_COMPLETED, PATH, &error),
                     TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "up to 107 bytes"));
}
END_TEST

/* ---- Taken --------------------------------------------------------------------------------- */

static const struct taken {
    const char *text;
    const char *url;
    const char *shown;
} taken[] = {
    {"http://localhost:4318", "http://localhost:4318/v1/traces", "http://localhost:4318/v1/traces"},
    {"http://localhost:4318/", "http://localhost:4318/v1/traces",
     "http://localhost:4318/v1/traces"},
    {"HTTPS://h", "https://h/v1/traces", "https://h/v1/traces"},
    {"http://h/in", "http://h/in", "http://h/in"},
    {"http://h/in/", "http://h/in/", "http://h/in/"},
    {"http://[::1]:4318", "http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/traces"},
    {"http://h?key=secret", "http://h/v1/traces?key=secret", "http://h/v1/traces"},
    {"http://h/in?key=secret", "http://h/in?key=secret", "http://h/in"},
    {"http://user:pass@h:1/in", "http://user:pass@h:1/in", "http://h:1/in"},
    {"unix:/run/otel.sock", "http://localhost/v1/traces", "http://unix:/run/otel.sock:/v1/traces"},
    {"http://unix:/run/otel.sock:/in?key=secret", "http://localhost/in?key=secret",
     "http://unix:/run/otel.sock:/in"},
    {"HTTPS://unix:/run/otel.sock", "https://localhost/v1/traces",
     "https://unix:/run/otel.sock:/v1/traces"},
    {"http://unix:4318", "http://unix:4318/v1/traces", "http://unix:4318/v1/traces"},
    {"http://h:65535", "http://h:65535/v1/traces", "http://h:65535/v1/traces"},
};

START_TEST(a_good_endpoint_gets_the_path_it_lacks_and_is_shown_without_secrets)
{
    struct endpoint endpoint;
    struct tracez_error error = {0};

    enum tracez_result result =
        endpoint_init(&endpoint, taken[_i].text, TRACEZ_ENDPOINT_COMPLETED, PATH, &error);

    ck_assert_msg(result == TRACEZ_OK, "%s", error.text);
    ck_assert_str_eq(endpoint.url, taken[_i].url);
    ck_assert_str_eq(endpoint.shown, taken[_i].shown);
    endpoint_deinit(&endpoint);
    endpoint_deinit(&endpoint); /* harmless */
}
END_TEST

static const struct formed {
    const char *text;
    const char *exact;
    const char *base;
} formed[] = {
    {"http://h", "http://h/", "http://h/v1/traces"},
    {"http://h/", "http://h/", "http://h/v1/traces"},
    {"http://h/v1/traces", "http://h/v1/traces", "http://h/v1/traces/v1/traces"},
    {"http://h/otlp", "http://h/otlp", "http://h/otlp/v1/traces"},
    {"http://h/otlp//", "http://h/otlp//", "http://h/otlp/v1/traces"},
    {"http://h/otlp/?k=1", "http://h/otlp/?k=1", "http://h/otlp/v1/traces?k=1"},
};

START_TEST(an_endpoint_is_taken_exactly_or_as_a_base)
{
    struct endpoint endpoint;

    ck_assert_int_eq(endpoint_init(&endpoint, formed[_i].text, TRACEZ_ENDPOINT_EXACT, PATH, NULL),
                     TRACEZ_OK);
    ck_assert_str_eq(endpoint.url, formed[_i].exact);
    endpoint_deinit(&endpoint);
    ck_assert_int_eq(endpoint_init(&endpoint, formed[_i].text, TRACEZ_ENDPOINT_BASE, PATH, NULL),
                     TRACEZ_OK);
    ck_assert_str_eq(endpoint.url, formed[_i].base);
    endpoint_deinit(&endpoint);
}
END_TEST

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
    Suite *suite = suite_create("endpoint");
    TCase *no = case_of(suite, "refused");
    TCase *yes = case_of(suite, "taken");

    tcase_add_loop_test(no, an_endpoint_that_can_not_work_is_refused_with_the_reason, 0,
                        COUNT(refused));
    tcase_add_test(no, an_endpoint_of_2048_bytes_is_taken_and_one_of_2049_is_not);
    tcase_add_loop_test(no, no_refusal_shows_user_password_or_query, 0, COUNT(secretive));
    tcase_add_test(no, the_path_of_a_unix_socket_has_up_to_107_bytes);
    tcase_add_test(no, a_quotation_ends_after_80_bytes_wherever_that_is);
    tcase_add_loop_test(yes, a_good_endpoint_gets_the_path_it_lacks_and_is_shown_without_secrets, 0,
                        COUNT(taken));
    tcase_add_loop_test(yes, an_endpoint_is_taken_exactly_or_as_a_base, 0, COUNT(formed));
    return run_suite(suite);
}
