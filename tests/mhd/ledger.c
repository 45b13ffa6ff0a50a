/* SPDX-License-Identifier: MIT
 *
 * Goal: the books are exact, to the last span, after many requests at once and after clients that
 * left at every stage.
 * Method: 100,000 requests over four connections at a time against the modes with several threads;
 * then 5,000 requests whose clients leave at a random moment, in each mode: each ends once. */
#include "client.h"
#include "server.h"
#include "spans.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 4

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define REQUESTS 20000
#define ABORTS 1000
#else
#define REQUESTS 100000
#define ABORTS 5000
#endif

/* ---- Many requests --------------------------------------------------------------------------- */

#define ASK "GET /users/4711 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: t\r\n\r\n"

static void *ask_often(void *state)
{
    struct server *server = state;
    int fd = client_connect(server_port(server));

    for (int i = 0; i < REQUESTS / THREADS; i++) {
        client_send(fd, ASK, strlen(ASK));
        ck_assert_int_eq(client_receive(fd), 200);
    }
    close(fd);
    return NULL;
}

static void count_span(const struct tracez_record *record, void *state)
{
    size_t *count = state;

    assert_tag_int(record, "http.response.status_code", 200);
    assert_tag_string(record, "user.id", "4711");
    ++*count;
}

START_TEST(many_requests_at_once_are_exactly_as_many_spans)
{
    static const enum server_mode modes[] = {SERVER_POOL, SERVER_PER_CONNECTION, SERVER_SUSPENDING};
    const struct server_options options = {.mode = modes[_i]};
    struct server *server = server_start(&options);
    pthread_t threads[THREADS];
    size_t drained = 0;

    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, server), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    server_wait_requests(server, REQUESTS);
    struct tracez_stats stats = books(server_tracer(server));
    tracez_collector_drain(first_collector(server_tracer(server)), SIZE_MAX, count_span, &drained);

    ck_assert_uint_eq(stats.requests, REQUESTS);
    ck_assert_uint_eq(stats.traced, REQUESTS);
    ck_assert_uint_eq(stats.recorded, REQUESTS);
    ck_assert_uint_eq(stats.queued, REQUESTS);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.misuse, 0);
    ck_assert_uint_eq(stats.tags_refused, 0);
    ck_assert_uint_eq(drained, REQUESTS);
    server_free(server);
}
END_TEST

/* ---- Clients that leave ---------------------------------------------------------------------- */

static const char *const asks[] = {
    "GET /ok?a=b HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /endless HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /broken HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /no HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /users/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n01234567890123456789",
    "POST /child HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST /ok HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
    "GET /odd HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
    "GET /ok HTTP/1.1\r\nHost: h\r\n\r\nGET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
};

#define ASKS (sizeof(asks) / sizeof(asks[0]))

struct leaver {
    pthread_t thread;
    struct server *server;
    unsigned seed;
};

/* Sends any part of a request, reads any part of the answer, goes in any way. */
static void leave_somewhere(struct server *server, unsigned *seed)
{
    const char *ask = asks[(unsigned)rand_r(seed) % ASKS];
    size_t first = (unsigned)rand_r(seed) % (strlen(ask) + 1);
    unsigned answer = (unsigned)rand_r(seed) % 4;
    int fd = client_connect(server_port(server));
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char bytes[65536];

    client_send(fd, ask, first);
    if (rand_r(seed) % 2 == 0) {
        client_send(fd, ask + first, strlen(ask) - first);
    }
    while (answer-- > 0 && poll(&readable, 1, 5) > 0 && recv(fd, bytes, sizeof(bytes), 0) > 0) {
    }
    if (rand_r(seed) % 2 == 0) {
        client_reset(fd);
    } else {
        close(fd);
    }
}

static void *leave_often(void *state)
{
    struct leaver *leaver = state;

    for (int i = 0; i < ABORTS / THREADS; i++) {
        leave_somewhere(leaver->server, &leaver->seed);
    }
    return NULL;
}

/* As many ends as the application's URI logger was called, which is once for each request. */
START_TEST(clients_that_leave_at_every_stage_end_their_requests_once)
{
    /* The timeout ends those whose goodbye libmicrohttpd's epoll overlooks. */
    const struct server_options options = {
        .mode = (enum server_mode)_i, .has_uri_log = true, .timeout_s = 1};
    struct server *server = server_start(&options);
    struct leaver leavers[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        leavers[i] = (struct leaver){.server = server, .seed = 1 + i + 10 * (unsigned)_i};
        ck_assert_int_eq(pthread_create(&leavers[i].thread, NULL, leave_often, &leavers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(leavers[i].thread, NULL);
    }
    server_stop(server);
    struct tracez_stats stats = books(server_tracer(server));

    ck_assert_uint_eq(stats.requests, server_logged(server));
    ck_assert_uint_ge(stats.requests, ABORTS / 10);
    ck_assert_uint_eq(stats.traced, stats.requests);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(stats.not_kept, 0);
    ck_assert_uint_eq(stats.misuse, 0);
    ck_assert_uint_eq(server_states(server), 0);
    server_free(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd ledger");
    TCase *ledger = case_of(suite, "ledger");

    tcase_add_loop_test(ledger, many_requests_at_once_are_exactly_as_many_spans, 0, 3);
    tcase_add_loop_test(ledger, clients_that_leave_at_every_stage_end_their_requests_once, 0,
                        SERVER_MODES);
    return run_suite(suite);
}
