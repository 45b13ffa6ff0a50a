/* SPDX-License-Identifier: MIT
 *
 * Goal: an application's handler, con_cls, URI logger, completed and unescape callbacks, and its
 * clients, see exactly what they see without tracez.
 * Method: the same requests to the same application, once as it is and once traced, each with a
 * daemon of its own; both record every call with its arguments, and the records are compared. */
#include "client.h"
#include "server.h"
#include "shapes.h"
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Everything that comes back, and the application's story. */
struct record {
    char *answer;
    char *story;
};

static char *receive_all(int fd)
{
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *stream = open_memstream(&text, &text_bytes);
    char bytes[4096];
    ssize_t got;

    ck_assert_ptr_nonnull(stream);
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        fwrite(bytes, 1, (size_t)got, stream);
    }
    fclose(stream);
    return text;
}

/* The Date header differs from one second to the next. Some answers of libmicrohttpd come twice. */
static void cut_dates(char *answer)
{
    char *date;

    while ((date = strstr(answer, "\r\nDate:")) != NULL) {
        char *end = strstr(date + 2, "\r\n");
        memmove(date, end, strlen(end) + 1);
    }
}

/* The smallest table has this many places. */
#define PLACES 28

/* Requests that wait, suspended. */
static void occupy(struct server *server, int fds[], size_t count)
{
    static const char wait[] = "GET /wait HTTP/1.0\r\n\r\n";

    for (size_t i = 0; i < count; i++) {
        uint64_t start_ms = client_now_ms();

        fds[i] = client_connect(server_port(server));
        client_send(fds[i], wait, strlen(wait));
        while (server_waiting(server) <= i) {
            client_pause(start_ms, "a request to wait");
        }
    }
}

static void release(struct server *server, int fds[], size_t count)
{
    server_release(server);
    for (size_t i = 0; i < count; i++) {
        client_drain(fds[i]);
        close(fds[i]);
    }
}

static struct record record_of(const struct server_options *options, size_t occupied,
                               const char *request)
{
    struct server *server = server_start(options);
    struct timeval patience = {.tv_sec = CLIENT_DEADLINE_MS / 1000};
    struct record record;
    int fds[PLACES];

    occupy(server, fds, occupied);
    int fd = client_connect(server_port(server));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    client_send(fd, request, strlen(request));
    record.answer = receive_all(fd);
    cut_dates(record.answer);
    close(fd);
    release(server, fds, occupied);
    server_stop(server);
    if (occupied > 0 && !options->is_untraced) {
        ck_assert_uint_eq(books(server_tracer(server)).traced, occupied);
    }
    ck_assert_uint_eq(server_states(server), 0);
    record.story = server_take_story(server);
    server_free(server);
    return record;
}

static void assert_same(struct server_options options, size_t occupied, const char *name,
                        const char *request)
{
    options.is_untraced = true;
    struct record untraced = record_of(&options, occupied, request);
    options.is_untraced = false;
    struct record traced = record_of(&options, occupied, request);
    options.by_hand = true;
    struct record by_hand = record_of(&options, occupied, request);

    ck_assert_msg(strcmp(traced.story, untraced.story) == 0, "%s: traced\n%.1000suntraced\n%.1000s",
                  name, traced.story, untraced.story);
    ck_assert_msg(strcmp(by_hand.story, untraced.story) == 0,
                  "%s: by hand\n%.1000suntraced\n%.1000s", name, by_hand.story, untraced.story);
    ck_assert_str_eq(traced.answer, untraced.answer);
    ck_assert_str_eq(by_hand.answer, untraced.answer);
    free(untraced.answer);
    free(untraced.story);
    free(traced.answer);
    free(traced.story);
    free(by_hand.answer);
    free(by_hand.story);
}

START_TEST(without_a_uri_logger_of_its_own_an_application_sees_the_same)
{
    const struct server_options options = {.mode = (enum server_mode)_i};

    for (size_t i = 0; i < shape_count; i++) {
        assert_same(options, 0, shapes[i].name, shapes[i].request);
    }
}
END_TEST

START_TEST(with_a_uri_logger_of_its_own_an_application_sees_the_same)
{
    const struct server_options options = {.mode = (enum server_mode)_i, .has_uri_log = true};

    for (size_t i = 0; i < shape_count; i++) {
        assert_same(options, 0, shapes[i].name, shapes[i].request);
    }
}
END_TEST

START_TEST(where_no_place_is_free_an_application_sees_the_same)
{
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);
    config.connections_max = 1;
    const struct server_options options = {
        .mode = SERVER_EPOLL, .has_default_limit = true, .config = &config};

    for (size_t i = 0; i < shape_count; i++) {
        assert_same(options, PLACES, shapes[i].name, shapes[i].request);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd transparency");
    TCase *same = case_of(suite, "same");

    tcase_add_loop_test(same, without_a_uri_logger_of_its_own_an_application_sees_the_same, 0,
                        SERVER_MODES);
    tcase_add_loop_test(same, with_a_uri_logger_of_its_own_an_application_sees_the_same, 0,
                        SERVER_MODES);
    tcase_add_test(same, where_no_place_is_free_an_application_sees_the_same);
    return run_suite(suite);
}
