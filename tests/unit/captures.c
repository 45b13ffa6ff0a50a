/* SPDX-License-Identifier: MIT
 *
 * Goal: exactly the headers of the list become tags, each with all its values, and a list that
 * can't be right is refused with the reason.
 * Method: refusals by table, then spans read back from the collector. */
#include "spans.h"

#include <tracez/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tracez_text text(const char *string)
{
    return (struct tracez_text){string, strlen(string)};
}

static struct tracez_http_captures *create(enum tracez_http_message message, const char *names)
{
    struct tracez_http_captures *captures = NULL;
    struct tracez_error error = {0};

    ck_assert_msg(tracez_http_captures_create(message, names, &captures, &error) == TRACEZ_OK, "%s",
                  error.text);
    return captures;
}

static void assert_refused(const char *names, const char *reason)
{
    struct tracez_http_captures *captures = (void *)&captures;
    struct tracez_error error = {0};

    enum tracez_result result =
        tracez_http_captures_create(TRACEZ_HTTP_REQUEST, names, &captures, &error);

    ck_assert_int_eq(result, TRACEZ_INVALID);
    ck_assert_ptr_null(captures);
    ck_assert_ptr_nonnull(strstr(error.text, reason));
    ck_assert_int_eq(tracez_http_captures_create(TRACEZ_HTTP_REQUEST, names, &captures, NULL),
                     TRACEZ_INVALID);
}

START_TEST(what_is_no_header_name_is_refused)
{
    char long_name[130];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';

    assert_refused("a:b", "\"a:b\"");
    assert_refused("good, (bad)", "\"(bad)\"");
    assert_refused("good b\xc3\xa4 d", "rejected");
    assert_refused("\"quoted\"", "rejected");
    assert_refused(long_name, "1 to 128");
}
END_TEST

START_TEST(more_names_than_the_limit_are_refused)
{
    char names[512] = "";
    char again[600];
    char more[600];

    for (int i = 0; i < TRACEZ_HTTP_CAPTURES_MAX; i++) {
        sprintf(names + strlen(names), "x-%d, ", i);
    }
    snprintf(again, sizeof(again), "%sX-1 x-2", names); /* they are there already */
    snprintf(more, sizeof(more), "%sy", names);
    tracez_http_captures_destroy(create(TRACEZ_HTTP_REQUEST, names));
    tracez_http_captures_destroy(create(TRACEZ_HTTP_REQUEST, again));

    assert_refused(more, "up to 32");
}
END_TEST

START_TEST(no_names_capture_nothing)
{
    struct tracez_http_captured captured = {0};

    ck_assert_ptr_null(create(TRACEZ_HTTP_REQUEST, NULL));
    ck_assert_ptr_null(create(TRACEZ_HTTP_REQUEST, ""));
    ck_assert_ptr_null(create(TRACEZ_HTTP_RESPONSE, " ,\t, "));

    tracez_http_captures_add(NULL, &captured, text("x"), text("y"));
    tracez_http_captures_tag(NULL, &captured, (struct tracez_span){0});
    ck_assert_uint_eq(captured.count, 0);
    tracez_http_captures_destroy(NULL);
}
END_TEST

struct header {
    const char *name;
    const char *value;
};

/* A span with what was captured of these headers; name NULL ends them. */
static struct spans capture(enum tracez_http_message message, const char *names,
                            const struct header *headers)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_http_captures *captures = create(message, names);
    struct tracez_http_captured captured = {0};

    for (; headers->name != NULL; headers++) {
        tracez_http_captures_add(captures, &captured, text(headers->name), text(headers->value));
    }
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "n", NULL, NULL);
    tracez_http_captures_tag(captures, &captured, span);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    tracez_http_captures_destroy(captures);
    tracez_tracer_destroy(tracer);
    return spans;
}

/* expected: the values, each followed by a line break. */
static void assert_values(const struct tracez_record *record, const char *key, const char *expected)
{
    struct tracez_entry entry;
    struct tracez_text item;
    size_t position = 0;
    char joined[1024] = "";

    ck_assert_msg(span_find_tag(record, key, &entry), "no tag %s", key);
    ck_assert_uint_eq(entry.type, TRACEZ_TAG_STRINGS);
    while (tracez_strings_next(entry.string, &position, &item)) {
        sprintf(joined + strlen(joined), "%.*s\n", (int)item.bytes, item.text);
    }
    ck_assert_str_eq(joined, expected);
}

START_TEST(only_what_is_on_the_list_is_captured)
{
    static const struct header headers[] = {
        {"X-Tenant", "acme"},        {"X-Tenant-Id", "7"}, {"X-Tenan", "x"},
        {"Authorization", "secret"}, {"x-empty", ""},      {NULL, NULL},
    };

    struct spans spans = capture(TRACEZ_HTTP_REQUEST, "x-TENANT,X-Empty x-missing", headers);

    ck_assert_uint_eq(spans.records[0].tag_count, 2);
    assert_values(&spans.records[0], "http.request.header.x-tenant", "acme\n");
    assert_values(&spans.records[0], "http.request.header.x-empty", "\n");
    spans_free(&spans);
}
END_TEST

START_TEST(a_header_on_several_lines_keeps_all_of_them_in_order)
{
    static const struct header headers[] = {
        {"Via", "a"}, {"Age", "1"}, {"via", "b"}, {"VIA", "c"}, {NULL, NULL}};

    struct spans spans = capture(TRACEZ_HTTP_RESPONSE, "age via", headers);

    ck_assert_uint_eq(spans.records[0].tag_count, 2);
    assert_values(&spans.records[0], "http.response.header.age", "1\n");
    assert_values(&spans.records[0], "http.response.header.via", "a\nb\nc\n");
    spans_free(&spans);
}
END_TEST

START_TEST(values_beyond_the_limit_are_left_out)
{
    struct tracez_http_captures *captures = create(TRACEZ_HTTP_REQUEST, "x");
    struct tracez_http_captured captured = {0};

    for (int i = 0; i < TRACEZ_HTTP_CAPTURED_MAX + 3; i++) {
        tracez_http_captures_add(captures, &captured, text("X"), text("y"));
    }

    ck_assert_uint_eq(captured.count, TRACEZ_HTTP_CAPTURED_MAX);
    tracez_http_captures_destroy(captures);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("captures");
    TCase *lists = case_of(suite, "lists");
    TCase *tags = case_of(suite, "tags");

    tcase_add_test(lists, what_is_no_header_name_is_refused);
    tcase_add_test(lists, more_names_than_the_limit_are_refused);
    tcase_add_test(lists, no_names_capture_nothing);
    tcase_add_test(tags, only_what_is_on_the_list_is_captured);
    tcase_add_test(tags, a_header_on_several_lines_keeps_all_of_them_in_order);
    tcase_add_test(tags, values_beyond_the_limit_are_left_out);
    return run_suite(suite);
}
