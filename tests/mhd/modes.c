/* SPDX-License-Identifier: MIT
 *
 * Goal: in every threading mode of libmicrohttpd, each request is one span that says the same.
 * Method: one table of request shapes, sent to an application in each mode, started both ways; the
 * spans are read back from the collector, and the books must balance after each. */
#include "client.h"
#include "server.h"
#include "shapes.h"
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASK "GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
#define WAIT "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"

static struct server *start(int mode)
{
    const struct server_options options = {.mode = (enum server_mode)mode};

    return server_start(&options);
}

/* The books of a server that rests. */
static struct tracez_stats books_at_rest(struct server *server, uint64_t requests)
{
    server_wait_requests(server, requests);
    struct tracez_stats stats = books(server_tracer(server));

    ck_assert_uint_eq(stats.requests, requests);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.misuse, 0);
    ck_assert_uint_eq(stats.tags_refused, 0);
    ck_assert_uint_eq(server_states(server), 0);
    return stats;
}

/* ---- Shapes ---------------------------------------------------------------------------------- */

static void assert_optional(const struct tracez_record *record, const char *key,
                            const char *expected)
{
    if (expected == NULL) {
        assert_no_tag(record, key);
    } else {
        assert_tag_string(record, key, expected);
    }
}

static void assert_trace(const struct tracez_record *record, const char *trace_id)
{
    struct tracez_context context = {0};
    char found[33];

    memcpy(context.trace_id, record->trace_id, sizeof(context.trace_id));
    tracez_context_format_trace_id(&context, found);
    memcpy(context.span_id, record->parent_span_id, sizeof(context.span_id));
    ck_assert(record->parent_is_remote == (trace_id != NULL));
    if (trace_id != NULL) {
        char parent[17];
        tracez_context_format_span_id(&context, parent);
        ck_assert_str_eq(found, trace_id);
        ck_assert_str_eq(parent, SHAPE_SPAN_ID);
    } else {
        ck_assert_str_ne(found, SHAPE_TRACE_ID);
        ck_assert(!tracez_context_is_valid(&context));
    }
}

static void assert_shape(const struct shape *shape, const struct tracez_record *record,
                         uint16_t port)
{
    assert_text(record->name, shape->span_name);
    ck_assert_int_eq(record->kind, TRACEZ_KIND_SERVER);
    ck_assert_int_eq(record->status,
                     shape->error_type != NULL ? TRACEZ_STATUS_ERROR : TRACEZ_STATUS_UNSET);
    assert_optional(record, "error.type", shape->error_type);
    if (shape->status != 0) {
        assert_tag_int(record, "http.response.status_code", shape->status);
    } else {
        assert_no_tag(record, "http.response.status_code");
    }
    assert_optional(record, "http.request.method", shape->method);
    assert_optional(record, "http.request.method_original", shape->method_original);
    assert_optional(record, "url.path", shape->path);
    assert_optional(record, "url.query", shape->query);
    assert_tag_string(record, "url.scheme", "http");
    assert_optional(record, "server.address", shape->host);
    assert_tag_int(record, "server.port", shape->port != 0 ? shape->port : port);
    assert_tag_string(record, "client.address", "127.0.0.1");
    assert_tag_string(record, "network.peer.address", "127.0.0.1");
    assert_optional(record, "network.protocol.version", shape->version);
    assert_optional(record, "user_agent.original", shape->user_agent);
    assert_optional(record, "http.route", shape->route);
    assert_optional(record, "user.id", shape->route != NULL ? strrchr(shape->path, '/') + 1 : NULL);
    assert_trace(record, shape->trace_id);
}

static void assert_child(const struct shape *shape, const struct tracez_record *child,
                         const struct tracez_record *parent)
{
    assert_text(child->name, shape->child);
    ck_assert_mem_eq(child->trace_id, parent->trace_id, TRACEZ_TRACE_ID_BYTES);
    ck_assert_mem_eq(child->parent_span_id, parent->span_id, TRACEZ_SPAN_ID_BYTES);
}

static void ask_every_shape(struct server *server, bool suspends)
{
    for (size_t i = 0; i < shape_count; i++) {
        const struct shape *shape = &shapes[i];
        size_t expected = shape->child != NULL && !suspends ? 2 : 1;

        int answer = client_ask(server_port(server), shape->request);
        books_at_rest(server, i + 1);
        struct spans spans = spans_drain_first(server_tracer(server));

        ck_assert_msg(answer == shape->answer, "%s: answer %d", shape->name, answer);
        ck_assert_msg(spans.count == expected, "%s: %zu spans", shape->name, spans.count);
        const struct tracez_record *record = &spans.records[spans.count - 1];
        assert_shape(shape, record, server_port(server));
        if (expected == 2) {
            assert_child(shape, &spans.records[0], record);
        }
        spans_free(&spans);
    }
    ck_assert_uint_eq(books(server_tracer(server)).traced, shape_count);
}

START_TEST(each_shape_is_one_span_that_says_the_same)
{
    struct server *server = start(_i);

    /* A thread of the application's own that answers is in no scope: it has no current span. */
    ask_every_shape(server, _i == SERVER_SUSPENDING);

    server_free(server);
}
END_TEST

START_TEST(started_by_hand_each_shape_is_the_same)
{
    const struct server_options options = {.mode = (enum server_mode)_i, .by_hand = true};
    struct server *server = server_start(&options);

    ask_every_shape(server, _i == SERVER_SUSPENDING);

    server_free(server);
}
END_TEST

/* ---- Not recorded ---------------------------------------------------------------------------- */

START_TEST(an_unsampled_request_is_counted_and_no_span)
{
    struct server *server = start(_i);

    client_ask(server_port(server),
               "GET /child HTTP/1.1\r\nConnection: close\r\n"
               "traceparent: 00-" SHAPE_TRACE_ID "-" SHAPE_SPAN_ID "-00\r\n\r\n");
    client_ask(server_port(server), "GET /users/1 HTTP/1.1\r\nConnection: close\r\nb3: 0\r\n\r\n");
    struct tracez_stats stats = books_at_rest(server, 2);

    ck_assert_uint_eq(stats.not_traced, 2);
    ck_assert_uint_eq(stats.recorded, 0);
    ck_assert_uint_ge(stats.not_recorded, 2); /* and the child, where it had a parent */
    server_free(server);
}
END_TEST

/* ---- Connections ----------------------------------------------------------------------------- */

START_TEST(requests_of_one_connection_are_spans_of_their_own)
{
    struct server *server = start(_i);
    int fd = client_connect(server_port(server));

    for (int i = 0; i < 200; i++) {
        client_send(fd, ASK, strlen(ASK));
        ck_assert_int_eq(client_receive(fd), 200);
    }
    close(fd);
    ck_assert_uint_eq(books_at_rest(server, 200).queued, 200);
    struct spans spans = spans_drain_first(server_tracer(server));

    for (size_t i = 1; i < spans.count; i++) {
        ck_assert_mem_ne(spans.records[i].trace_id, spans.records[0].trace_id, 16);
        ck_assert_mem_ne(spans.records[i].span_id, spans.records[i - 1].span_id, 8);
    }
    spans_free(&spans);
    server_free(server);
}
END_TEST

START_TEST(pipelined_requests_are_spans_of_their_own)
{
    static const char three[] = "GET /users/1 HTTP/1.1\r\nHost: h\r\n\r\n"
                                "GET /no-user HTTP/1.1\r\nHost: h\r\n\r\n"
                                "GET /users/3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    struct server *server = start(_i);
    int fd = client_connect(server_port(server));

    client_send(fd, three, strlen(three));
    client_drain(fd);
    close(fd);
    books_at_rest(server, 3);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 3);
    assert_tag_string(&spans.records[0], "url.path", "/users/1");
    assert_tag_string(&spans.records[1], "url.path", "/no-user");
    assert_no_tag(&spans.records[1], "http.route");
    assert_tag_string(&spans.records[2], "user.id", "3");
    spans_free(&spans);
    server_free(server);
}
END_TEST

START_TEST(a_connection_without_a_request_is_nothing)
{
    struct server *server = start(_i);

    close(client_connect(server_port(server)));
    client_reset(client_connect(server_port(server)));
    client_ask(server_port(server), ASK);
    struct tracez_stats stats = books_at_rest(server, 1);

    ck_assert_uint_eq(stats.started, 1);
    server_stop(server);
    ck_assert_uint_eq(books(server_tracer(server)).requests, 1);
    server_free(server);
}
END_TEST

/* ---- Requests that do not end well ----------------------------------------------------------- */

/* libmicrohttpd's epoll overlooks a goodbye that comes together with data, so clients here leave
 * only after what they sent was read. (It is noticed at the connection's timeout.) */

/* Ends as it must: once, with this error type, and with this status code or none. */
static void assert_ending(struct server *server, const char *error_type, int status)
{
    books_at_rest(server, 1);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 1);
    ck_assert_int_eq(spans.records[0].status, TRACEZ_STATUS_ERROR);
    assert_tag_string(&spans.records[0], "error.type", error_type);
    if (status != 0) {
        assert_tag_int(&spans.records[0], "http.response.status_code", status);
    } else {
        assert_no_tag(&spans.records[0], "http.response.status_code");
    }
    spans_free(&spans);
}

START_TEST(a_client_that_leaves_within_its_headers_is_a_span)
{
    static const char part[] = "GET /ok HTTP/1.1\r\nHost: h\r\nX-Part";
    const struct server_options options = {.mode = (enum server_mode)_i, .has_uri_log = true};
    struct server *server = server_start(&options);
    int fd = client_connect(server_port(server));

    client_send(fd, part, strlen(part));
    server_wait_story(server, "log /ok");
    close(fd);

    assert_ending(server, "client_aborted", 0);
    server_free(server);
}
END_TEST

START_TEST(a_client_that_leaves_within_its_body_is_a_span)
{
    static const char part[] = "POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc";
    struct server *server = start(_i);
    int fd = client_connect(server_port(server));

    client_send(fd, part, strlen(part));
    server_wait_story(server, "body=some");
    close(fd);

    assert_ending(server, "client_aborted", 0);
    server_free(server);
}
END_TEST

START_TEST(a_client_that_resets_within_the_response_is_a_span)
{
    static const char ask[] = "GET /endless HTTP/1.1\r\nHost: h\r\n\r\n";
    struct server *server = start(_i);
    int fd = client_connect(server_port(server));
    char first;

    client_send(fd, ask, strlen(ask));
    ck_assert_int_eq(recv(fd, &first, 1, 0), 1);
    client_reset(fd);

    assert_ending(server, "response_truncated", 200);
    server_free(server);
}
END_TEST

START_TEST(a_client_that_is_too_slow_is_a_span)
{
    static const char part[] = "POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc";
    const struct server_options options = {.mode = (enum server_mode)_i, .timeout_s = 1};
    struct server *server = server_start(&options);
    int fd = client_connect(server_port(server));

    client_send(fd, part, strlen(part));
    client_drain(fd);

    assert_ending(server, "timeout", 0);
    close(fd);
    server_free(server);
}
END_TEST

START_TEST(a_daemon_that_is_stopped_ends_its_requests)
{
    static const char part[] = "POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc";
    struct server *server = start(_i);
    int fd = client_connect(server_port(server));

    client_send(fd, part, strlen(part));
    server_wait_story(server, "body=some");
    server_stop(server);

    /* The threads of connections see their sockets closed, and take the client for it. */
    assert_ending(server, _i == SERVER_PER_CONNECTION ? "client_aborted" : "server_shutdown", 0);
    close(fd);
    server_free(server);
}
END_TEST

/* ---- Suspended requests ---------------------------------------------------------------------- */

/* Connections with a thread of their own can't be suspended. */
static const enum server_mode suspendable[] = {SERVER_POLLING, SERVER_POOL, SERVER_SELECT,
                                               SERVER_EPOLL};

static int wait_suspended(struct server *server, const char *request)
{
    uint64_t start_ms = client_now_ms();
    int fd = client_connect(server_port(server));

    client_send(fd, request, strlen(request));
    while (server_waiting(server) == 0) {
        client_pause(start_ms, "the suspended request");
    }
    return fd;
}

START_TEST(a_client_that_leaves_while_it_is_suspended_is_one_span)
{
    struct server *server = start((int)suspendable[_i]);
    int fd = wait_suspended(server, WAIT);

    client_reset(fd);
    server_release(server);
    books_at_rest(server, 1);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 1);
    assert_tag_string(&spans.records[0], "url.path", "/wait");
    spans_free(&spans);
    server_free(server);
}
END_TEST

START_TEST(a_suspended_request_is_live_until_another_thread_has_answered_it)
{
    struct server *server = start((int)suspendable[_i]);
    int fd = wait_suspended(server, WAIT);

    ck_assert_uint_eq(books(server_tracer(server)).live, 1);
    ck_assert_uint_eq(books(server_tracer(server)).requests, 0);
    server_release(server);
    ck_assert_int_eq(client_receive(fd), 200);
    books_at_rest(server, 1);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 1);
    assert_tag_int(&spans.records[0], "http.response.status_code", 200);
    assert_no_tag(&spans.records[0], "error.type");
    spans_free(&spans);
    close(fd);
    server_free(server);
}
END_TEST

START_TEST(what_libmicrohttpd_refuses_behind_a_pause_is_whole)
{
    static const char head[] = "POST /pause HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct server *server = start((int)suspendable[_i]);
    int fd = wait_suspended(server, head);

    server_release(server);
    client_send(fd, "zz\r\n", 4);
    ck_assert_int_eq(client_receive(fd), 400);
    books_at_rest(server, 1);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 1);
    assert_tag_int(&spans.records[0], "http.response.status_code", 400);
    assert_no_tag(&spans.records[0], "error.type");
    spans_free(&spans);
    close(fd);
    server_free(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd modes");
    TCase *served = case_of(suite, "served");
    TCase *cut = case_of(suite, "cut off");
    TCase *suspended = case_of(suite, "suspended");

#define IN_EACH_MODE(test_case, test) tcase_add_loop_test(test_case, test, 0, SERVER_MODES)
    IN_EACH_MODE(served, each_shape_is_one_span_that_says_the_same);
    IN_EACH_MODE(served, started_by_hand_each_shape_is_the_same);
    IN_EACH_MODE(served, an_unsampled_request_is_counted_and_no_span);
    IN_EACH_MODE(served, requests_of_one_connection_are_spans_of_their_own);
    IN_EACH_MODE(served, pipelined_requests_are_spans_of_their_own);
    IN_EACH_MODE(served, a_connection_without_a_request_is_nothing);
    IN_EACH_MODE(cut, a_client_that_leaves_within_its_headers_is_a_span);
    IN_EACH_MODE(cut, a_client_that_leaves_within_its_body_is_a_span);
    IN_EACH_MODE(cut, a_client_that_resets_within_the_response_is_a_span);
    IN_EACH_MODE(cut, a_client_that_is_too_slow_is_a_span);
    IN_EACH_MODE(cut, a_daemon_that_is_stopped_ends_its_requests);
#undef IN_EACH_MODE
    const int count = (int)(sizeof(suspendable) / sizeof(suspendable[0]));
    tcase_add_loop_test(suspended, a_client_that_leaves_while_it_is_suspended_is_one_span, 0,
                        count);
    tcase_add_loop_test(suspended, a_suspended_request_is_live_until_another_thread_has_answered_it,
                        0, count);
    tcase_add_loop_test(suspended, what_libmicrohttpd_refuses_behind_a_pause_is_whole, 0, count);
    return run_suite(suite);
}
