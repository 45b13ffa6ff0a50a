/* SPDX-License-Identifier: MIT
 *
 * Goal: HTTP means the same for every server: known methods, names of low cardinality, tags only
 * for what is known of a request, and the status rule of each side. Method: what is unknown or
 * missing first, then tables; spans are read back from the collector. Redaction by itself is in
 * redaction.c. */
#include "spans.h"

#include <tracez/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal)                                                                              \
    (struct tracez_text)                                                                           \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const char *const known_methods[] = {"CONNECT", "DELETE", "GET", "HEAD",  "OPTIONS",
                                            "PATCH",   "POST",   "PUT", "TRACE", "QUERY"};
#define KNOWN_METHODS (sizeof(known_methods) / sizeof(known_methods[0]))

/* ---- Methods and names ----------------------------------------------------------------------- */

START_TEST(a_method_that_is_not_known_byte_for_byte_is_other)
{
    static const struct tracez_text unknown[] = {
        {NULL, 0},      TEXT(""),         TEXT("get"),      TEXT("Get"),
        TEXT("GE"),     TEXT("GETS"),     TEXT("GET "),     TEXT(" GET"),
        TEXT("GET\0X"), TEXT("PROPFIND"), TEXT("\xff\xfe"), TEXT("_OTHER"),
    };

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        ck_assert_str_eq(tracez_http_method(unknown[i]), "_OTHER");
    }
}
END_TEST

START_TEST(a_known_method_is_itself_and_any_part_of_it_is_not)
{
    for (size_t i = 0; i < KNOWN_METHODS; i++) {
        const char *method = known_methods[i];

        for (size_t bytes = 0; bytes < strlen(method); bytes++) {
            ck_assert_str_eq(tracez_http_method((struct tracez_text){method, bytes}), "_OTHER");
        }
        ck_assert_str_eq(tracez_http_method((struct tracez_text){method, strlen(method)}), method);
    }
}
END_TEST

static void assert_name(struct tracez_text method, struct tracez_text route, const char *expected)
{
    char name[64];
    size_t bytes = tracez_http_span_name(method, route, name, sizeof(name));

    assert_text((struct tracez_text){name, bytes}, expected);
}

START_TEST(a_span_is_named_by_method_and_route)
{
    static const struct tracez_text none = {NULL, 0};

    assert_name(TEXT("PROPFIND"), none, "HTTP");
    assert_name(none, none, "HTTP");
    assert_name(TEXT("get"), TEXT("/users/{id}"), "HTTP /users/{id}");
    assert_name(TEXT("GET"), none, "GET");
    assert_name(TEXT("GET"), TEXT(""), "GET");
    assert_name(TEXT("GET"), TEXT("/users/{id}"), "GET /users/{id}");
    assert_name(TEXT("CONNECT"), TEXT("*"), "CONNECT *");
}
END_TEST

/* The longest beginning of whole characters that fits. */
static size_t whole_characters(const char *text, size_t bytes, size_t max_bytes)
{
    size_t whole = max_bytes < bytes ? max_bytes : bytes;

    while (whole > 0 && whole < bytes && ((unsigned char)text[whole] & 0xc0) == 0x80) {
        whole--;
    }
    return whole;
}

START_TEST(a_name_is_cut_at_every_length_between_characters)
{
    const struct tracez_text route = TEXT("/stra\xc3\x9f"
                                          "e/\xe2\x82\xac/\xf0\x9f\x9a\x80/{id}");
    char whole[64];
    size_t whole_bytes = tracez_http_span_name(TEXT("GET"), route, whole, sizeof(whole));

    ck_assert_uint_eq(whole_bytes, 4 + route.bytes);
    for (size_t max_bytes = 0; max_bytes <= whole_bytes; max_bytes++) {
        char *name = malloc(max_bytes == 0 ? 1 : max_bytes);
        ck_assert_ptr_nonnull(name);

        size_t bytes = tracez_http_span_name(TEXT("GET"), route, name, max_bytes);

        ck_assert_uint_eq(bytes, whole_characters(whole, whole_bytes, max_bytes));
        ck_assert_mem_eq(name, whole, bytes);
        free(name);
    }
}
END_TEST

/* ---- Requests -------------------------------------------------------------------------------- */

/* Tags a span with this request and gives it back as it came out of the collector. */
static struct spans tag_request(const struct tracez_http_request *request)
{
    struct tracez_config config;
    tracez_config_init(&config);
    config.max_tag_bytes = 32000;
    config.span_bytes_max = 65536;
    struct tracez_tracer *tracer = tracer_create(&config);

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    tracez_http_tag_request(span, request);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(books(tracer).tags_refused, 0);
    tracez_tracer_destroy(tracer);
    return spans;
}

START_TEST(what_a_request_does_not_have_is_no_tag)
{
    const struct tracez_http_request nothing = {.redact_whole_query = true};

    struct spans spans = tag_request(&nothing);

    ck_assert_uint_eq(spans.records[0].tag_count, 0);
    spans_free(&spans);
}
END_TEST

START_TEST(an_unknown_method_is_other_and_its_original_is_kept)
{
    const struct tracez_http_request request = {.method = TEXT("get\xff")};

    struct spans spans = tag_request(&request);

    ck_assert_uint_eq(spans.records[0].tag_count, 2);
    assert_tag_string(&spans.records[0], "http.request.method", "_OTHER");
    assert_tag_string(&spans.records[0], "http.request.method_original", "get\xff");
    spans_free(&spans);
}
END_TEST

START_TEST(a_request_is_tagged_with_everything_that_is_known_of_it)
{
    const struct tracez_http_request request = {
        .method = TEXT("GET"),
        .scheme = TEXT("https"),
        .path = TEXT("/users/42"),
        .query = TEXT("a=1&sig=s3cr3t"),
        .route = TEXT("/users/{id}"),
        .server_address = TEXT("shop.example"),
        .server_port = 8443,
        .client_address = TEXT("203.0.113.7"),
        .peer_address = TEXT("192.0.2.1"),
        .peer_port = 50000,
        .protocol_version = TEXT("1.1"),
        .user_agent = TEXT("test/1"),
        .redacted_keys = tracez_http_redacted_keys_default,
        .redacted_key_count = TRACEZ_HTTP_REDACTED_KEYS_DEFAULT,
    };

    struct spans spans = tag_request(&request);
    const struct tracez_record *record = &spans.records[0];

    ck_assert_uint_eq(record->tag_count, 12);
    assert_tag_string(record, "http.request.method", "GET");
    assert_no_tag(record, "http.request.method_original");
    assert_tag_string(record, "url.scheme", "https");
    assert_tag_string(record, "url.path", "/users/42");
    assert_tag_string(record, "url.query", "a=1&sig=REDACTED");
    assert_tag_string(record, "http.route", "/users/{id}");
    assert_tag_string(record, "server.address", "shop.example");
    assert_tag_int(record, "server.port", 8443);
    assert_tag_string(record, "client.address", "203.0.113.7");
    assert_tag_string(record, "network.peer.address", "192.0.2.1");
    assert_tag_int(record, "network.peer.port", 50000);
    assert_tag_string(record, "network.protocol.version", "1.1");
    assert_tag_string(record, "user_agent.original", "test/1");
    spans_free(&spans);
}
END_TEST

START_TEST(a_query_may_be_redacted_as_a_whole_or_not_at_all)
{
    struct tracez_http_request request = {.query = TEXT("a=1&sig=s3cr3t")};

    struct spans as_it_is = tag_request(&request);
    request.redact_whole_query = true;
    struct spans whole = tag_request(&request);

    assert_tag_string(&as_it_is.records[0], "url.query", "a=1&sig=s3cr3t");
    assert_tag_string(&whole.records[0], "url.query", "REDACTED");
    spans_free(&as_it_is);
    spans_free(&whole);
}
END_TEST

START_TEST(a_secret_far_back_in_a_long_query_does_not_show)
{
    static const size_t before[] = {0, 8170, 8180, 8187, 8188, 8189, 8191, 8192, 8193, 20000};
    struct tracez_http_request request = {
        .redacted_keys = tracez_http_redacted_keys_default,
        .redacted_key_count = TRACEZ_HTTP_REDACTED_KEYS_DEFAULT,
    };

    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        struct tracez_entry entry;
        char *query = malloc(before[i] + 64);
        ck_assert_ptr_nonnull(query);
        memset(query, 'q', before[i]);
        request.query.text = query;
        request.query.bytes = before[i] + (size_t)sprintf(query + before[i], "&sig=s3cr3t&z=1");

        struct spans spans = tag_request(&request);

        ck_assert(span_find_tag(&spans.records[0], "url.query", &entry));
        ck_assert_ptr_null(memmem(entry.string.text, entry.string.bytes, "s3c", 3));
        ck_assert_mem_eq(entry.string.text, query,
                         entry.string.bytes < before[i] ? entry.string.bytes : before[i]);
        spans_free(&spans);
        free(query);
    }
}
END_TEST

START_TEST(tagging_a_span_that_records_nothing_does_nothing)
{
    const struct tracez_span none = {0};
    const struct tracez_http_request request = {.method = TEXT("GET"), .query = TEXT("sig=1")};

    tracez_http_tag_request(none, &request);
    tracez_http_tag_response(none, TRACEZ_KIND_SERVER, 503, "timeout");

    ck_assert(!tracez_span_is_recording(none));
}
END_TEST

/* ---- Responses ------------------------------------------------------------------------------- */

START_TEST(a_status_is_an_error_from_500_for_servers_and_from_400_for_clients)
{
    for (int status_code = -1; status_code < 1000; status_code++) {
        bool from_500 = status_code >= 500;
        bool from_400 = status_code >= 400;

        if (tracez_http_status_is_error(TRACEZ_KIND_SERVER, status_code) != from_500 ||
            tracez_http_status_is_error(TRACEZ_KIND_INTERNAL, status_code) != from_500 ||
            tracez_http_status_is_error(TRACEZ_KIND_CLIENT, status_code) != from_400) {
            ck_abort_msg("status %d", status_code);
        }
    }
}
END_TEST

/* error_type NULL: no error. */
static void assert_response(enum tracez_span_kind kind, int status_code, const char *abort_type,
                            const char *error_type)
{
    struct tracez_tracer *tracer = tracer_create_default();

    struct tracez_span span = tracez_span_start(tracer, kind, "n", NULL, NULL);
    tracez_http_tag_response(span, kind, status_code, abort_type);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    const struct tracez_record *record = &spans.records[0];
    if (status_code > 0) {
        assert_tag_int(record, "http.response.status_code", status_code);
    } else {
        assert_no_tag(record, "http.response.status_code");
    }
    if (error_type != NULL) {
        ck_assert_int_eq(record->status, TRACEZ_STATUS_ERROR);
        assert_tag_string(record, "error.type", error_type);
    } else {
        ck_assert_int_eq(record->status, TRACEZ_STATUS_UNSET);
        assert_no_tag(record, "error.type");
    }
    ck_assert_uint_eq(record->status_message.bytes, 0);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}

START_TEST(a_response_sets_status_code_error_type_and_the_spans_status)
{
    assert_response(TRACEZ_KIND_SERVER, 0, NULL, NULL);
    assert_response(TRACEZ_KIND_SERVER, 200, NULL, NULL);
    assert_response(TRACEZ_KIND_SERVER, 404, NULL, NULL);
    assert_response(TRACEZ_KIND_SERVER, 499, NULL, NULL);
    assert_response(TRACEZ_KIND_SERVER, 500, NULL, "500");
    assert_response(TRACEZ_KIND_SERVER, 503, NULL, "503");
    assert_response(TRACEZ_KIND_SERVER, 0, "client_aborted", "client_aborted");
    assert_response(TRACEZ_KIND_SERVER, 499, "client_aborted", "client_aborted");
    assert_response(TRACEZ_KIND_SERVER, 503, "timeout", "timeout");
    assert_response(TRACEZ_KIND_CLIENT, 399, NULL, NULL);
    assert_response(TRACEZ_KIND_CLIENT, 400, NULL, "400");
    assert_response(TRACEZ_KIND_CLIENT, 404, NULL, "404");
    assert_response(TRACEZ_KIND_CLIENT, 2147483647, NULL, "2147483647");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *names = case_of(suite, "methods and names");
    TCase *requests = case_of(suite, "requests");
    TCase *responses = case_of(suite, "responses");

    tcase_add_test(names, a_method_that_is_not_known_byte_for_byte_is_other);
    tcase_add_test(names, a_known_method_is_itself_and_any_part_of_it_is_not);
    tcase_add_test(names, a_span_is_named_by_method_and_route);
    tcase_add_test(names, a_name_is_cut_at_every_length_between_characters);
    tcase_add_test(requests, what_a_request_does_not_have_is_no_tag);
    tcase_add_test(requests, an_unknown_method_is_other_and_its_original_is_kept);
    tcase_add_test(requests, a_request_is_tagged_with_everything_that_is_known_of_it);
    tcase_add_test(requests, a_query_may_be_redacted_as_a_whole_or_not_at_all);
    tcase_add_test(requests, a_secret_far_back_in_a_long_query_does_not_show);
    tcase_add_test(requests, tagging_a_span_that_records_nothing_does_nothing);
    tcase_add_test(responses, a_status_is_an_error_from_500_for_servers_and_from_400_for_clients);
    tcase_add_test(responses, a_response_sets_status_code_error_type_and_the_spans_status);
    return run_suite(suite);
}
