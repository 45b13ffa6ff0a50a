/* SPDX-License-Identifier: MIT
 *
 * Goal: a CLIENT span shows the URL that was asked, and never a password or a signature in it.
 * Method: odd URLs first, in heap copies of their exact size, so that AddressSanitizer sees a read
 * too far; every length of output; then a span's tags. */
#include "spans.h"

#include <tracez/http.h>

#include <stdlib.h>
#include <string.h>

#define TEXT(literal)                                                                              \
    (struct tracez_text)                                                                           \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct tracez_text sig = {"sig", 3};

static void assert_redacted(const char *url, const char *expected)
{
    char redacted[256];
    size_t url_bytes = strlen(url);
    char *copy = malloc(url_bytes == 0 ? 1 : url_bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, url, url_bytes);

    size_t bytes = tracez_http_redact_url((struct tracez_text){copy, url_bytes}, &sig, 1, redacted,
                                          sizeof(redacted));

    assert_text((struct tracez_text){redacted, bytes}, expected);
    free(copy);
}

START_TEST(odd_urls_stay_as_they_are_but_for_their_secrets)
{
    assert_redacted("", "");
    assert_redacted("?", "?");
    assert_redacted("#x", "");
    assert_redacted("/path?a=b", "/path?a=b");
    assert_redacted("host", "host");
    assert_redacted("host:80/x", "host:80/x");
    assert_redacted("user:pass@host/x", "REDACTED:REDACTED@host/x");
    assert_redacted("http:", "http:");
    assert_redacted("http://", "http://");
    assert_redacted("http://?sig=1", "http://?sig=REDACTED");
    assert_redacted("http://@h", "http://REDACTED@h");
    assert_redacted("http://a@b@h/", "http://REDACTED@h/");
    assert_redacted("http://u:p@ss:@h:1/", "http://REDACTED:REDACTED@h:1/");
    assert_redacted("http://h/u:p@x", "http://h/u:p@x");
    assert_redacted("http://h?x=u:p@y", "http://h?x=u:p@y");
}
END_TEST

START_TEST(user_password_and_secret_values_are_hidden_and_the_fragment_is_gone)
{
    assert_redacted("https://h.example/a/b?c=d#e", "https://h.example/a/b?c=d");
    assert_redacted("https://user@h/", "https://REDACTED@h/");
    assert_redacted("https://user:pass@h:8443/a?sig=x&b=1#f",
                    "https://REDACTED:REDACTED@h:8443/a?sig=REDACTED&b=1");
    assert_redacted("http://u:p@[::1]:8080/", "http://REDACTED:REDACTED@[::1]:8080/");
}
END_TEST

START_TEST(at_every_length_a_cut_url_shows_no_secret)
{
    const struct tracez_text url = TEXT("https://user:hunter2@h.example/a?b=1&sig=hunter2&c=3");
    static const char whole[] = "https://REDACTED:REDACTED@h.example/a?b=1&sig=REDACTED&c=3";

    for (size_t max_bytes = 0; max_bytes <= strlen(whole); max_bytes++) {
        char *redacted = malloc(max_bytes == 0 ? 1 : max_bytes);
        ck_assert_ptr_nonnull(redacted);

        size_t bytes = tracez_http_redact_url(url, &sig, 1, redacted, max_bytes);

        ck_assert_uint_le(bytes, max_bytes);
        ck_assert_mem_eq(redacted, whole, bytes);
        free(redacted);
    }
}
END_TEST

static struct spans tag_call(const struct tracez_http_call *call)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "n", NULL, NULL);

    tracez_http_tag_call((struct tracez_span){0}, call);
    tracez_http_tag_call(span, call);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);
    tracez_tracer_destroy(tracer);
    return spans;
}

START_TEST(what_a_call_does_not_have_is_no_tag)
{
    struct spans spans = tag_call(&(struct tracez_http_call){0});

    ck_assert_uint_eq(spans.records[0].tag_count, 0);
    spans_free(&spans);
}
END_TEST

START_TEST(a_call_is_tagged_with_everything_that_is_known_of_it)
{
    const struct tracez_http_call call = {
        .method = TEXT("BREW"),
        .url = TEXT("https://u:p@shop.example/pots?sig=1"),
        .peer_address = TEXT("192.0.2.1"),
        .peer_port = 443,
        .protocol_version = TEXT("2"),
        .resend_count = 3,
        .redacted_keys = &sig,
        .redacted_key_count = 1,
    };

    struct spans spans = tag_call(&call);
    const struct tracez_record *record = &spans.records[0];

    ck_assert_uint_eq(record->tag_count, 9);
    assert_tag_string(record, "http.request.method", "_OTHER");
    assert_tag_string(record, "http.request.method_original", "BREW");
    assert_tag_string(record, "url.full",
                      "https://REDACTED:REDACTED@shop.example/pots?sig=REDACTED");
    assert_tag_string(record, "server.address", "shop.example");
    assert_tag_int(record, "server.port", 443);
    assert_tag_string(record, "network.peer.address", "192.0.2.1");
    assert_tag_int(record, "network.peer.port", 443);
    assert_tag_string(record, "network.protocol.version", "2");
    assert_tag_int(record, "http.request.resend_count", 3);
    spans_free(&spans);
}
END_TEST

START_TEST(the_port_is_that_of_the_url_or_of_its_scheme)
{
    static const struct {
        struct tracez_text url;
        int port;
    } rows[] = {
        {TEXT("http://h/"), 80},        {TEXT("https://h/"), 443},
        {TEXT("http://h:8080/"), 8080}, {TEXT("http://[::1]:8081/"), 8081},
        {TEXT("ftp://h/"), 0},          {TEXT("http://h:x/"), 80},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct spans spans = tag_call(&(struct tracez_http_call){.url = rows[i].url});

        if (rows[i].port != 0) {
            assert_tag_int(&spans.records[0], "server.port", rows[i].port);
        } else {
            assert_no_tag(&spans.records[0], "server.port");
        }
        spans_free(&spans);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("url");
    TCase *redaction = case_of(suite, "redaction");
    TCase *tags = case_of(suite, "tags");

    tcase_add_test(redaction, odd_urls_stay_as_they_are_but_for_their_secrets);
    tcase_add_test(redaction, user_password_and_secret_values_are_hidden_and_the_fragment_is_gone);
    tcase_add_test(redaction, at_every_length_a_cut_url_shows_no_secret);
    tcase_add_test(tags, what_a_call_does_not_have_is_no_tag);
    tcase_add_test(tags, a_call_is_tagged_with_everything_that_is_known_of_it);
    tcase_add_test(tags, the_port_is_that_of_the_url_or_of_its_scheme);
    return run_suite(suite);
}
