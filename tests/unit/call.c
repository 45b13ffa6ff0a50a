/* SPDX-License-Identifier: MIT
 *
 * Goal: an outgoing request of libcurl is one CLIENT span, its server gets exactly one traceparent,
 * and the application's list of headers is afterwards what it was.
 * Method: a scripted backend that keeps what it was sent; what goes wrong first. Leaks and texts
 * freed twice are for AddressSanitizer to find. */
#include "exporter_backend.h"
#include "spans.h"

#include <tracez/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- The wrapped call ------------------------------------------------------------------------ */

static bool calloc_fails;

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_calloc(size_t count, size_t bytes)
{
    return calloc_fails ? NULL : __real_calloc(count, bytes);
}

/* ---- One transfer ---------------------------------------------------------------------------- */

static size_t drop(char *bytes, size_t size, size_t count, void *state)
{
    (void)bytes;
    (void)state;
    return size * count;
}

static CURL *easy_for(const char *url)
{
    CURL *easy = curl_easy_init();

    ck_assert_ptr_nonnull(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
    return easy;
}

static CURLcode perform(CURL *easy, struct curl_slist *headers,
                        const struct tracez_curl_options *options)
{
    struct tracez_curl call;

    tracez_curl_start(&call, easy, headers, options);
    CURLcode code = curl_easy_perform(easy);
    tracez_curl_finish(&call, code);
    return code;
}

static int port_of(const struct backend *backend)
{
    return atoi(strrchr(backend_url(backend), ':') + 1);
}

static size_t count_of(const char *head, const char *text)
{
    size_t count = 0;

    while ((head = strcasestr(head, text)) != NULL) {
        head += strlen(text);
        count++;
    }
    return count;
}

static struct tracez_context parent_context(void)
{
    struct tracez_context parent;

    ck_assert(tracez_context_parse_traceparent(&parent, PARENT, strlen(PARENT)));
    return parent;
}

/* ---- What goes wrong ------------------------------------------------------------------------- */

static void assert_fails(const char *url, CURLcode expected, const char *error_type)
{
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    CURL *easy = easy_for(url);

    CURLcode code = perform(easy, NULL, &options);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_int_eq(code, expected);
    ck_assert_uint_eq(spans.count, 1);
    ck_assert_int_eq(spans.records[0].status, TRACEZ_STATUS_ERROR);
    assert_tag_string(&spans.records[0], "error.type", error_type);
    assert_text(spans.records[0].status_message, curl_easy_strerror(code));
    assert_no_tag(&spans.records[0], "http.response.status_code");
    spans_free(&spans);
    curl_easy_cleanup(easy);
    ck_assert_uint_eq(books(tracer).live, 0);
    tracez_tracer_destroy(tracer);
}

START_TEST(a_transfer_that_fails_is_an_error_with_its_class)
{
    const struct backend_step steps[] = {{.action = BACKEND_CLOSE}};
    struct backend *backend = backend_start(steps, 1);
    struct backend *deaf = backend_start_deaf(NULL, 0);

    assert_fails(backend_url(deaf), CURLE_COULDNT_CONNECT, "connection_failed");
    assert_fails("http://name.invalid/", CURLE_COULDNT_RESOLVE_HOST, "name_resolution_error");
    assert_fails(backend_url(backend), CURLE_GOT_NOTHING, "no_response");
    assert_fails("nonsense://x", CURLE_UNSUPPORTED_PROTOCOL, "transfer_failed");
    backend_stop(backend);
    backend_stop(deaf);
}
END_TEST

START_TEST(a_url_that_libcurl_can_not_read_is_not_taken_apart)
{
    static const char *const urls[] = {"http://me:SEC/RET@127.0.0.1:1/x", "http://me:SEC#RET@h/",
                                       "http:////me:SECRET@h/", "nonsense://me:SECRET@h/"};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct tracez_tracer *tracer = tracer_create_default();
        const struct tracez_curl_options options = {.tracer = tracer};
        CURL *easy = easy_for(urls[i]);

        CURLcode code = perform(easy, NULL, &options);
        struct spans spans = spans_drain_first(tracer);

        ck_assert(code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL);
        ck_assert_uint_eq(spans.count, 1);
        assert_no_tag(&spans.records[0], "url.full");
        assert_no_tag(&spans.records[0], "server.address");
        assert_no_tag(&spans.records[0], "server.port");
        spans_free(&spans);
        curl_easy_cleanup(easy);
        tracez_tracer_destroy(tracer);
    }
}
END_TEST

START_TEST(a_status_that_libcurl_was_told_to_fail_on_is_the_error)
{
    const struct backend_step steps[] = {{.action = BACKEND_ANSWER, .status = 404}};
    struct backend *backend = backend_start(steps, 1);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    CURL *easy = easy_for(backend_url(backend));
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);

    ck_assert_int_eq(perform(easy, NULL, &options), CURLE_HTTP_RETURNED_ERROR);
    struct spans spans = spans_drain_first(tracer);

    assert_tag_int(&spans.records[0], "http.response.status_code", 404);
    assert_tag_string(&spans.records[0], "error.type", "404");
    ck_assert_uint_eq(spans.records[0].status_message.bytes, 0);
    spans_free(&spans);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(a_transfer_that_is_cut_keeps_its_status_code)
{
    const struct backend_step steps[] = {{.action = BACKEND_CUT}};
    struct backend *backend = backend_start(steps, 1);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    CURL *easy = easy_for(backend_url(backend));

    ck_assert_int_eq(perform(easy, NULL, &options), CURLE_PARTIAL_FILE);
    struct spans spans = spans_drain_first(tracer);

    assert_tag_int(&spans.records[0], "http.response.status_code", 200);
    assert_tag_string(&spans.records[0], "error.type", "response_truncated");
    spans_free(&spans);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(a_time_out_is_one)
{
    const struct backend_step steps[] = {{.action = BACKEND_HOLD}};
    struct backend *backend = backend_start(steps, 1);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    CURL *easy = easy_for(backend_url(backend));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 50L);

    ck_assert_int_eq(perform(easy, NULL, &options), CURLE_OPERATION_TIMEDOUT);
    struct spans spans = spans_drain_first(tracer);

    assert_tag_string(&spans.records[0], "error.type", "timeout");
    spans_free(&spans);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(without_memory_the_request_goes_out_as_it_is)
{
    struct backend *backend = backend_start(NULL, 0);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    struct curl_slist *headers = curl_slist_append(NULL, "X-Own: 1");
    CURL *easy = easy_for(backend_url(backend));
    struct tracez_curl call;

    calloc_fails = true;
    tracez_curl_start(&call, easy, headers, &options);
    calloc_fails = false;
    CURLcode code = curl_easy_perform(easy);
    tracez_curl_finish(&call, code);

    ck_assert_int_eq(code, CURLE_OK);
    ck_assert_uint_eq(count_of(backend_head(backend, 0), "\r\nX-Own: 1\r\n"), 1);
    ck_assert_uint_eq(count_of(backend_head(backend, 0), "traceparent"), 0);
    ck_assert_uint_eq(books(tracer).recorded, 1);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

/* ---- Headers --------------------------------------------------------------------------------- */

START_TEST(without_a_tracer_and_a_trace_nothing_is_added)
{
    struct backend *backend = backend_start(NULL, 0);
    CURL *easy = easy_for(backend_url(backend));

    ck_assert_int_eq(perform(easy, NULL, NULL), CURLE_OK);

    ck_assert_uint_eq(count_of(backend_head(backend, 0), "traceparent"), 0);
    curl_easy_cleanup(easy);
    backend_stop(backend);
}
END_TEST

START_TEST(the_applications_lines_of_the_trace_are_replaced_and_its_list_is_not_touched)
{
    static const char *const lines[] = {
        "TraceParent: 00-11111111111111111111111111111111-1111111111111111-00",
        "X-One: 1",
        "tracestate: stale=1",
        "traceparents: kept",
        "traceparent;",
        "Accept:",
    };
    struct backend *backend = backend_start(NULL, 0);
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context parent = parent_context();
    const struct tracez_curl_options options = {.tracer = tracer, .parent = &parent};
    struct curl_slist *headers = NULL;
    CURL *easy = easy_for(backend_url(backend));
    ck_assert(tracez_context_parse_tracestate(&parent, "a=1,b=2", 7));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        headers = curl_slist_append(headers, lines[i]);
    }

    ck_assert_int_eq(perform(easy, headers, &options), CURLE_OK);
    ck_assert_int_eq(curl_easy_perform(easy), CURLE_OK); /* untraced, with the same list */
    const char *traced = backend_head(backend, 0);
    const char *untraced = backend_head(backend, 1);

    ck_assert_uint_eq(count_of(traced, "\r\ntraceparent:"), 1);
    ck_assert_uint_eq(count_of(traced, "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"), 1);
    ck_assert_uint_eq(count_of(traced, "b7ad6b7169203331"), 0); /* the span's own id */
    ck_assert_uint_eq(count_of(traced, "\r\ntracestate: a=1,b=2\r\n"), 1);
    ck_assert_uint_eq(count_of(traced, "stale"), 0);
    ck_assert_uint_eq(count_of(traced, "\r\nX-One: 1\r\n"), 1);
    ck_assert_uint_eq(count_of(traced, "\r\ntraceparents: kept\r\n"), 1);
    ck_assert_uint_eq(count_of(traced, "\r\nAccept:"), 0);
    ck_assert_uint_eq(count_of(untraced, "\r\nTraceParent: 00-1111"), 1);
    ck_assert_uint_eq(count_of(untraced, "stale"), 1);
    size_t i = 0;
    for (const struct curl_slist *line = headers; line != NULL; line = line->next) {
        ck_assert_str_eq(line->data, lines[i++]);
    }
    ck_assert_uint_eq(i, sizeof(lines) / sizeof(lines[0]));
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(an_unsampled_trace_goes_on_and_is_no_span)
{
    struct backend *backend = backend_start(NULL, 0);
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context parent = parent_context();
    const struct tracez_curl_options options = {.tracer = tracer, .parent = &parent};
    CURL *easy = easy_for(backend_url(backend));
    parent.flags = 0;

    ck_assert_int_eq(perform(easy, NULL, &options), CURLE_OK);
    const char *sent = strcasestr(backend_head(backend, 0), "traceparent: ");

    ck_assert_ptr_nonnull(sent);
    ck_assert_int_eq(strncmp(sent + strlen("traceparent: ") + 52, "-00\r\n", 5), 0);
    ck_assert_uint_eq(books(tracer).recorded, 0);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

/* ---- Spans ----------------------------------------------------------------------------------- */

START_TEST(a_call_is_a_client_span_below_the_current_one)
{
    const struct backend_step steps[] = {{.status = 404}};
    struct backend *backend = backend_start(steps, 1);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.url_template = "/users/{id}"};
    struct tracez_context parent = parent_context();
    char url[128];
    snprintf(url, sizeof(url), "http://u:hunter2@127.0.0.1:%d/users/42?sig=hunter2#f",
             port_of(backend));
    CURL *easy = easy_for(url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "body");

    struct tracez_scope scope = tracez_scope_enter(tracer, (struct tracez_span){0}, &parent);
    ck_assert_int_eq(perform(easy, NULL, &options), CURLE_OK);
    tracez_scope_leave(&scope);
    struct spans spans = spans_drain_first(tracer);
    const struct tracez_record *record = &spans.records[0];
    char expected[128];
    snprintf(expected, sizeof(expected),
             "http://REDACTED:REDACTED@127.0.0.1:%d/users/42?sig=REDACTED", port_of(backend));
    struct tracez_entry entry;

    ck_assert_uint_eq(spans.count, 1);
    assert_text(record->name, "POST /users/{id}");
    ck_assert_int_eq(record->kind, TRACEZ_KIND_CLIENT);
    ck_assert_mem_eq(record->trace_id, parent.trace_id, sizeof(parent.trace_id));
    ck_assert_mem_eq(record->parent_span_id, parent.span_id, sizeof(parent.span_id));
    assert_tag_string(record, "http.request.method", "POST");
    assert_tag_string(record, "url.full", expected);
    assert_tag_string(record, "server.address", "127.0.0.1");
    assert_tag_int(record, "server.port", port_of(backend));
    assert_tag_string(record, "network.peer.address", "127.0.0.1");
    assert_tag_string(record, "network.protocol.version", "1.1");
    assert_tag_int(record, "http.response.status_code", 404);
    assert_tag_string(record, "error.type", "404");
    ck_assert(span_find_tag(record, "tracez.client.dns_us", &entry));
    ck_assert(span_find_tag(record, "tracez.client.connect_us", &entry));
    ck_assert(span_find_tag(record, "tracez.client.first_byte_us", &entry));
    assert_no_tag(record, "tracez.client.tls_us");
    ck_assert_int_ge(entry.integer, 0);
    ck_assert_uint_le((uint64_t)entry.integer * 1000, record->duration_ns);
    spans_free(&spans);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(a_connection_that_is_used_again_has_no_times_of_connecting)
{
    struct backend *backend = backend_start(NULL, 0);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    CURL *easy = easy_for(backend_url(backend));
    struct tracez_entry entry;

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(perform(easy, NULL, &options), CURLE_OK);
    }
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 3);
    ck_assert(span_find_tag(&spans.records[0], "tracez.client.connect_us", &entry));
    for (size_t i = 1; i < 3; i++) {
        assert_no_tag(&spans.records[i], "tracez.client.connect_us");
        assert_no_tag(&spans.records[i], "tracez.client.dns_us");
        assert_text(spans.records[i].name, "GET");
        assert_no_tag(&spans.records[i], "error.type");
    }
    ck_assert_uint_eq(backend_connection_count(backend), 1);
    spans_free(&spans);
    curl_easy_cleanup(easy);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

START_TEST(many_transfers_of_one_multi_handle_are_a_span_each)
{
    enum { TRANSFERS = 8 };
    struct backend *backend = backend_start(NULL, 0);
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_curl_options options = {.tracer = tracer};
    struct curl_slist *headers = curl_slist_append(NULL, "X-Shared: 1");
    static struct tracez_curl calls[TRANSFERS];
    CURLM *multi = curl_multi_init();
    int running = 1;
    int finished = 0;
    int queued;
    CURLMsg *message;

    for (int i = 0; i < TRANSFERS; i++) {
        CURL *easy = easy_for(backend_url(backend));
        curl_easy_setopt(easy, CURLOPT_PRIVATE, &calls[i]);
        tracez_curl_start(&calls[i], easy, headers, &options);
        curl_multi_add_handle(multi, easy);
    }
    while (running > 0 || finished < TRANSFERS) {
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &queued)) != NULL) {
            CURL *easy = message->easy_handle;
            struct tracez_curl *call;
            ck_assert_int_eq(message->data.result, CURLE_OK);
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
            tracez_curl_finish(call, message->data.result);
            curl_multi_remove_handle(multi, easy);
            curl_easy_cleanup(easy);
            finished++;
        }
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    curl_multi_cleanup(multi);

    ck_assert_uint_eq(books(tracer).queued, TRANSFERS);
    for (size_t i = 0; i < TRANSFERS; i++) {
        ck_assert_uint_eq(count_of(backend_head(backend, i), "\r\ntraceparent: "), 1);
        ck_assert_uint_eq(count_of(backend_head(backend, i), "\r\nX-Shared: 1\r\n"), 1);
    }
    curl_slist_free_all(headers);
    tracez_tracer_destroy(tracer);
    backend_stop(backend);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call");
    TCase *wrong = case_of(suite, "wrong");
    TCase *headers = case_of(suite, "headers");
    TCase *spans = case_of(suite, "spans");

    curl_global_init(CURL_GLOBAL_DEFAULT);
    tcase_add_test(wrong, a_transfer_that_fails_is_an_error_with_its_class);
    tcase_add_test(wrong, a_url_that_libcurl_can_not_read_is_not_taken_apart);
    tcase_add_test(wrong, a_status_that_libcurl_was_told_to_fail_on_is_the_error);
    tcase_add_test(wrong, a_transfer_that_is_cut_keeps_its_status_code);
    tcase_add_test(wrong, a_time_out_is_one);
    tcase_add_test(wrong, without_memory_the_request_goes_out_as_it_is);
    tcase_add_test(headers, without_a_tracer_and_a_trace_nothing_is_added);
    tcase_add_test(headers,
                   the_applications_lines_of_the_trace_are_replaced_and_its_list_is_not_touched);
    tcase_add_test(headers, an_unsampled_trace_goes_on_and_is_no_span);
    tcase_add_test(spans, a_call_is_a_client_span_below_the_current_one);
    tcase_add_test(spans, a_connection_that_is_used_again_has_no_times_of_connecting);
    tcase_add_test(spans, many_transfers_of_one_multi_handle_are_a_span_each);
    int status = run_suite(suite);
    curl_global_cleanup();
    return status;
}
