/* SPDX-License-Identifier: MIT
 *
 * Goal: whatever an application does behind our back, it is served, nothing crashes, and the books
 * balance: callbacks of its own in place of ours, any con_cls, more connections than there are
 * places for, a handler of its own in place of ours.
 * Method: each of them, by requests one after another and some at once. */
#include "client.h"
#include "server.h"
#include "spans.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK "GET /ok HTTP/1.1\r\nHost: h\r\n\r\n"
#define ASK_CLOSE "GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define REFUSED "GET /odd HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n"
#define REQUESTS 20

/* On one connection, then on one each. */
static void ask_often(struct server *server)
{
    int fd = client_connect(server_port(server));

    for (int i = 0; i < REQUESTS; i++) {
        client_send(fd, ASK, strlen(ASK));
        ck_assert_int_eq(client_receive(fd), 200);
    }
    close(fd);
    for (int i = 0; i < REQUESTS; i++) {
        ck_assert_int_eq(client_ask(server_port(server), ASK_CLOSE), 200);
    }
}

/* The books once the daemon is stopped and nothing is left of the adapter. */
static struct tracez_stats books_at_the_end(struct server *server)
{
    server_stop(server);
    ck_assert_uint_eq(server_states(server), 0);
    server_end_tracing(server);
    struct tracez_stats stats = books(server_tracer(server));
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.misuse, 0);
    return stats;
}

START_TEST(without_our_completed_callback_requests_are_served_untraced_and_counted)
{
    const struct server_options options = {
        .mode = (enum server_mode)_i, .by_hand = true, .replaces_completed = true};
    struct server *server = server_start(&options);

    ask_often(server);
    struct tracez_stats stats = books_at_the_end(server);

    ck_assert_uint_eq(stats.requests, 2 * REQUESTS);
    ck_assert_uint_eq(stats.not_traced, 2 * REQUESTS);
    ck_assert_uint_eq(stats.recorded, stats.not_kept);
    server_free(server);
}
END_TEST

START_TEST(without_our_uri_logger_requests_are_served_untraced_and_counted)
{
    const struct server_options options = {
        .mode = (enum server_mode)_i, .by_hand = true, .replaces_uri_log = true};
    struct server *server = server_start(&options);

    ask_often(server);
    ck_assert_int_eq(client_ask(server_port(server), REFUSED), 400);
    struct tracez_stats stats = books_at_the_end(server);

    ck_assert_uint_eq(stats.requests, 2 * REQUESTS + 1);
    ck_assert_uint_eq(stats.not_traced, 2 * REQUESTS + 1);
    ck_assert_uint_eq(stats.started, 0);
    server_free(server);
}
END_TEST

START_TEST(without_both_each_connection_is_served_untraced_and_counted)
{
    const struct server_options options = {.mode = (enum server_mode)_i,
                                           .by_hand = true,
                                           .replaces_completed = true,
                                           .replaces_uri_log = true};
    struct server *server = server_start(&options);

    ask_often(server);
    struct tracez_stats stats = books_at_the_end(server);

    ck_assert_uint_ge(stats.not_traced, 1);
    ck_assert_uint_eq(stats.traced, 0);
    ck_assert_uint_eq(stats.started, 0);
    server_free(server);
}
END_TEST

/* One whose arguments outgrow the connection's memory: it is closed without an answer and without a
 * completed callback. */
static void ask_too_much(struct server *server)
{
    enum { ARGUMENTS = 2000 };
    static char request[64 + 2 * ARGUMENTS];
    size_t bytes = (size_t)sprintf(request, "GET /ok?a");

    for (int i = 1; i < ARGUMENTS; i++) {
        bytes += (size_t)sprintf(request + bytes, "&a");
    }
    sprintf(request + bytes, " HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_int_eq(client_ask(server_port(server), request), 0);
}

/* In the other modes libmicrohttpd 0.9.75 keeps such a connection until the client leaves, and was
 * seen to crash in its own code then. */
static const enum server_mode closing[] = {SERVER_POLLING, SERVER_PER_CONNECTION, SERVER_SELECT};

/* Its connection's memory is soon another's, as malloc gives out anew what was freed. */
START_TEST(a_request_that_libmicrohttpd_drops_without_a_word_costs_no_other)
{
    enum { DROPPED = 3 };
    const struct server_options options = {.mode = closing[_i]};
    struct server *server = server_start(&options);

    ask_often(server);
    for (int i = 0; i < DROPPED; i++) {
        ask_too_much(server);
        ask_often(server);
    }
    struct tracez_stats stats = books_at_the_end(server);

    ck_assert_uint_eq(stats.requests, (1 + DROPPED) * 2 * REQUESTS + DROPPED);
    ck_assert_uint_le(stats.not_traced, DROPPED);
    server_free(server);
}
END_TEST

START_TEST(requests_without_a_place_are_served_untraced_and_counted)
{
    enum { CONNECTIONS = 100, PLACES = 28 }; /* the smallest table */
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);
    config.connections_max = 1;
    const struct server_options options = {
        .mode = (enum server_mode)_i, .has_default_limit = true, .config = &config};
    struct server *server = server_start(&options);
    static const char part[] = "POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabc";
    uint64_t start_ms = client_now_ms();
    int fds[CONNECTIONS];

    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = client_connect(server_port(server));
        client_send(fds[i], part, strlen(part));
    }
    while (server_states(server) < CONNECTIONS) {
        client_pause(start_ms, "all requests");
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        client_send(fds[i], "d", 1);
        ck_assert_int_eq(client_receive(fds[i]), 200);
        close(fds[i]);
    }
    struct tracez_stats stats = books_at_the_end(server);

    ck_assert_uint_eq(stats.requests, CONNECTIONS);
    ck_assert_uint_eq(stats.traced, PLACES);
    ck_assert_uint_eq(stats.not_traced, CONNECTIONS - PLACES);
    server_free(server);
}
END_TEST

/* ---- Any con_cls ----------------------------------------------------------------------------- */

static char somewhere;
static struct tracez_mhd *tracing;

/* What an application might keep there: no address at all, static memory, something of ours. */
static void *odd_pointer(const char *url)
{
    switch (url[1]) {
    case '0':
        return (void *)(uintptr_t)1;
    case '1':
        return &somewhere;
    case '2':
        return tracing;
    default:
        return (void *)(uintptr_t)tracez_mhd_options(tracing);
    }
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle_oddly(void *state, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version,
                                    const char *upload_data, size_t *upload_data_size,
                                    void **con_cls)
{
    (void)state;
    (void)method;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    if (*con_cls == NULL) {
        *con_cls = odd_pointer(url);
        return MHD_YES;
    }
    ck_assert_ptr_eq(*con_cls, odd_pointer(url));
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)(uintptr_t) "ok", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static atomic_int completions;

static void complete_oddly(void *state, struct MHD_Connection *connection, void **con_cls,
                           enum MHD_RequestTerminationCode ending)
{
    (void)connection;
    (void)ending;
    ck_assert_ptr_eq(state, &somewhere);
    ck_assert_ptr_nonnull(*con_cls);
    atomic_fetch_add(&completions, 1);
}

START_TEST(any_con_cls_is_the_applications_own)
{
    static const char *const asks[] = {"GET /0 HTTP/1.0\r\n\r\n", "GET /1 HTTP/1.0\r\n\r\n",
                                       "GET /2 HTTP/1.0\r\n\r\n", "GET /3 HTTP/1.0\r\n\r\n"};
    struct tracez_tracer *tracer = tracer_create_default();
    tracing = tracing_create(NULL, tracer);
    struct MHD_Daemon *daemon = tracez_mhd_start_daemon(
        tracing, NULL, MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle_oddly, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, complete_oddly, &somewhere, MHD_OPTION_END);
    ck_assert_ptr_nonnull(daemon);
    uint16_t port = daemon_port(daemon);

    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        ck_assert_int_eq(client_ask(port, asks[i]), 200);
    }
    MHD_stop_daemon(daemon);

    ck_assert_int_eq(atomic_load(&completions), 4);
    ck_assert_uint_eq(books(tracer).traced, 4);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Not our handler ------------------------------------------------------------------------- */

START_TEST(options_without_our_handler_still_make_spans_of_requests)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);
    config.completed = complete_oddly;
    config.completed_state = &somewhere;
    tracing = tracing_create(&config, tracer);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle_oddly, NULL,
                         MHD_OPTION_ARRAY, tracez_mhd_options(tracing), MHD_OPTION_END);
    ck_assert_ptr_nonnull(daemon);
    uint16_t port = daemon_port(daemon);

    ck_assert_int_eq(client_ask(port, "GET /1 HTTP/1.0\r\n\r\n"), 200);
    MHD_stop_daemon(daemon);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 1);
    assert_text(spans.records[0].name, "HTTP");
    assert_tag_int(&spans.records[0], "http.response.status_code", 200);
    ck_assert_uint_eq(books(tracer).traced, 1);
    spans_free(&spans);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(without_any_handler_a_request_is_refused_and_counted)
{
    struct tracez_tracer *tracer = tracer_create_default();
    tracing = tracing_create(NULL, tracer);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, tracez_mhd_handler, tracing,
                         MHD_OPTION_ARRAY, tracez_mhd_options(tracing), MHD_OPTION_END);
    ck_assert_ptr_nonnull(daemon);
    uint16_t port = daemon_port(daemon);

    ck_assert_int_eq(client_ask(port, "GET /1 HTTP/1.0\r\n\r\n"), 0);
    MHD_stop_daemon(daemon);

    ck_assert_uint_eq(books(tracer).requests, 1);
    ck_assert_uint_eq(books(tracer).live, 0);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd replaced");
    TCase *replaced = case_of(suite, "replaced");
    TCase *foreign = case_of(suite, "foreign");

    tcase_add_loop_test(replaced,
                        without_our_completed_callback_requests_are_served_untraced_and_counted, 0,
                        SERVER_MODES);
    tcase_add_loop_test(replaced, without_our_uri_logger_requests_are_served_untraced_and_counted,
                        0, SERVER_MODES);
    tcase_add_loop_test(replaced, without_both_each_connection_is_served_untraced_and_counted, 0,
                        SERVER_MODES);
    tcase_add_loop_test(replaced, a_request_that_libmicrohttpd_drops_without_a_word_costs_no_other,
                        0, sizeof(closing) / sizeof(closing[0]));
    tcase_add_loop_test(replaced, requests_without_a_place_are_served_untraced_and_counted, 0,
                        SERVER_MODES);
    tcase_add_test(foreign, any_con_cls_is_the_applications_own);
    tcase_add_test(foreign, without_any_handler_a_request_is_refused_and_counted);
    tcase_add_test(foreign, options_without_our_handler_still_make_spans_of_requests);
    return run_suite(suite);
}
