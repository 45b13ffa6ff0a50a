/* SPDX-License-Identifier: MIT
 *
 * Goal: every option that MHD_start_daemon takes is read as it is passed, and nothing else is.
 * Method: what is refused first; then each option with values of its type that show a wrong width
 * at once; then a daemon that is really started with most of them. */
#include "options.h"

#include "client.h"
#include "server.h"
#include "spans.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct options options;
static struct callbacks callbacks;

static enum tracez_result read_options(struct tracez_error *error, ...)
{
    va_list arguments;

    memset(&options, 0xee, sizeof(options));
    callbacks = (struct callbacks){0};
    va_start(arguments, error);
    enum tracez_result result = options_read(&options, &callbacks, arguments, error);
    va_end(arguments);
    return result;
}

START_TEST(an_option_that_nobody_knows_is_refused_by_its_number)
{
    static const int unknown[] = {-1, 35, 36, 99, 1000000};

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct tracez_error error = {0};
        char number[16];
        snprintf(number, sizeof(number), " %d ", unknown[i]);

        enum tracez_result result =
            read_options(&error, MHD_OPTION_CONNECTION_LIMIT, 5U, unknown[i], 1, MHD_OPTION_END);

        ck_assert_int_eq(result, TRACEZ_INVALID);
        ck_assert_ptr_nonnull(strstr(error.text, number));
    }
}
END_TEST

START_TEST(more_options_than_there_is_room_for_are_refused)
{
    struct MHD_OptionItem many[OPTIONS_MAX + 2];
    struct tracez_error error = {0};

    for (int i = 0; i < OPTIONS_MAX + 1; i++) {
        many[i] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, i, NULL};
    }
    many[OPTIONS_MAX + 1] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    ck_assert_int_eq(read_options(NULL, MHD_OPTION_ARRAY, many + 1, MHD_OPTION_END), TRACEZ_OK);
    ck_assert_uint_eq(options.count, OPTIONS_MAX);

    ck_assert_int_eq(read_options(&error, MHD_OPTION_ARRAY, many, MHD_OPTION_END), TRACEZ_INVALID);

    ck_assert_ptr_nonnull(strstr(error.text, "up to 128"));
}
END_TEST

START_TEST(no_options_are_no_options)
{
    ck_assert_int_eq(read_options(NULL, MHD_OPTION_END), TRACEZ_OK);

    ck_assert_uint_eq(options.count, 0);
    ck_assert_int_eq(options.items[0].option, MHD_OPTION_END);
}
END_TEST

static char first, second, third, fourth;

static void assert_item(size_t index, enum MHD_OPTION option, intptr_t value, const void *pointer)
{
    ck_assert_uint_lt(index, options.count);
    ck_assert_int_eq(options.items[index].option, option);
    ck_assert_int_eq(options.items[index].value, value);
    ck_assert_ptr_eq(options.items[index].ptr_value, pointer);
}

START_TEST(each_kind_of_argument_is_read_in_its_width)
{
    ck_assert_int_eq(read_options(NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)0x123456789abc,
                                  MHD_OPTION_CONNECTION_LIMIT, 0xfffffff0U, MHD_OPTION_SOCK_ADDR,
                                  &first, MHD_OPTION_STRICT_FOR_CLIENT, -1,
                                  MHD_OPTION_UNESCAPE_CALLBACK, &second, &third,
                                  MHD_OPTION_DIGEST_AUTH_RANDOM, (size_t)7, &fourth,
                                  MHD_OPTION_LISTEN_SOCKET, 3, MHD_OPTION_END),
                     TRACEZ_OK);

    ck_assert_uint_eq(options.count, 7);
    assert_item(0, MHD_OPTION_CONNECTION_MEMORY_LIMIT, 0x123456789abc, NULL);
    assert_item(1, MHD_OPTION_CONNECTION_LIMIT, 0xfffffff0, NULL);
    assert_item(2, MHD_OPTION_SOCK_ADDR, 0, &first);
    assert_item(3, MHD_OPTION_STRICT_FOR_CLIENT, -1, NULL);
    assert_item(4, MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)&second, &third);
    assert_item(5, MHD_OPTION_DIGEST_AUTH_RANDOM, 7, &fourth);
    assert_item(6, MHD_OPTION_LISTEN_SOCKET, 3, NULL);
    ck_assert_int_eq(options.items[7].option, MHD_OPTION_END);
}
END_TEST

START_TEST(arrays_in_arrays_are_read_to_a_depth)
{
    enum { DEEP_MAX = 8 };
    struct MHD_OptionItem arrays[DEEP_MAX + 1][2] = {
        {{MHD_OPTION_CONNECTION_TIMEOUT, 9, NULL}, {MHD_OPTION_END, 0, NULL}}};
    struct tracez_error error = {0};

    for (int i = 1; i <= DEEP_MAX; i++) {
        arrays[i][0] = (struct MHD_OptionItem){MHD_OPTION_ARRAY, 0, arrays[i - 1]};
        arrays[i][1] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }

    ck_assert_int_eq(read_options(&error, MHD_OPTION_ARRAY, arrays[DEEP_MAX], MHD_OPTION_END),
                     TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "over 8 deep"));
    ck_assert_int_eq(read_options(NULL, MHD_OPTION_ARRAY, arrays[DEEP_MAX - 1], MHD_OPTION_END),
                     TRACEZ_OK);
    ck_assert_uint_eq(options.count, 1);
}
END_TEST

START_TEST(callbacks_are_taken_out_also_of_arrays_within_arrays)
{
    const struct MHD_OptionItem inner[] = {
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)&first, &second},
        {MHD_OPTION_CONNECTION_TIMEOUT, 9, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem outer[] = {
        {MHD_OPTION_ARRAY, 0, (void *)(uintptr_t)inner},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)&first, &first},
        {MHD_OPTION_END, 0, NULL},
    };

    ck_assert_int_eq(read_options(NULL, MHD_OPTION_ARRAY, outer, MHD_OPTION_NOTIFY_COMPLETED,
                                  &third, &fourth, MHD_OPTION_END),
                     TRACEZ_OK);

    ck_assert_uint_eq(options.count, 1);
    assert_item(0, MHD_OPTION_CONNECTION_TIMEOUT, 9, NULL);
    ck_assert_ptr_eq((void *)(uintptr_t)callbacks.uri_log, &first);
    ck_assert_ptr_eq(callbacks.uri_log_state, &second);
    /* A later one replaces an earlier one. */
    ck_assert_ptr_eq((void *)(uintptr_t)callbacks.completed, &third);
    ck_assert_ptr_eq(callbacks.completed_state, &fourth);
}
END_TEST

/* ---- A daemon -------------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *state, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **con_cls)
{
    (void)state;
    (void)url;
    (void)method;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    (void)con_cls;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)(uintptr_t) "ok", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void log_text(void *state, const char *format, va_list arguments)
{
    (void)state;
    (void)format;
    (void)arguments;
}

static size_t unescape(void *state, struct MHD_Connection *connection, char *text)
{
    (void)connection;
    ck_assert_ptr_eq(state, &first);
    return MHD_http_unescape(text);
}

static void note_connection(void *state, struct MHD_Connection *connection, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    (void)connection;
    (void)context;
    (void)code;
    ck_assert_ptr_eq(state, &second);
}

START_TEST(a_daemon_that_can_not_be_started_says_so_and_leaves_no_callbacks)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd *tracing = tracing_create(NULL, tracer);
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct tracez_error error = {0};
    address.sin_addr.s_addr = htonl(0x01020304); /* not ours */

    ck_assert_ptr_null(tracez_mhd_start_daemon(tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0,
                                               NULL, NULL, handle, &first,
                                               MHD_OPTION_EXTERNAL_LOGGER, log_text, (void *)NULL,
                                               MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END));
    ck_assert_int_eq(error.result, TRACEZ_SYSTEM);
    ck_assert_ptr_nonnull(strstr(error.text, "MHD_start_daemon failed"));
    struct MHD_Daemon *daemon =
        tracez_mhd_start_daemon(tracing, NULL, MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle,
                                &second, MHD_OPTION_END);

    ck_assert_ptr_nonnull(daemon);
    MHD_stop_daemon(daemon);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(what_would_be_served_wrongly_is_not_started)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd *tracing = tracing_create(NULL, tracer);
    struct tracez_error error = {0};

    ck_assert_ptr_null(tracez_mhd_start_daemon(tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0,
                                               NULL, NULL, NULL, NULL, MHD_OPTION_END));
    ck_assert_int_eq(error.result, TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "handler"));
    ck_assert_ptr_null(tracez_mhd_start_daemon(tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0,
                                               NULL, NULL, handle, &first,
                                               MHD_OPTION_CONNECTION_LIMIT, 4097U, MHD_OPTION_END));
    ck_assert_int_eq(error.result, TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "4097"));
    ck_assert_ptr_nonnull(strstr(error.text, "is 4096"));
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

static int completions;

static void complete(void *state, struct MHD_Connection *connection, void **con_cls,
                     enum MHD_RequestTerminationCode ending)
{
    (void)connection;
    (void)con_cls;
    (void)ending;
    ck_assert_ptr_eq(state, &third);
    completions++;
}

START_TEST(callbacks_of_the_configuration_are_called_also_without_options)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);
    config.completed = complete;
    config.completed_state = &third;
    struct tracez_mhd *tracing = tracing_create(&config, tracer);

    for (int i = 0; i < 2; i++) {
        struct MHD_Daemon *daemon =
            tracez_mhd_start_daemon(tracing, NULL, MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
                                    handle, &first, MHD_OPTION_END);
        ck_assert_ptr_nonnull(daemon);
        uint16_t port = daemon_port(daemon);
        ck_assert_int_eq(client_ask(port, "GET / HTTP/1.0\r\n\r\n"), 200);
        MHD_stop_daemon(daemon);
    }

    ck_assert_int_eq(completions, 2);
    ck_assert_uint_eq(books(tracer).traced, 2);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(two_daemons_share_a_tracing_only_with_the_same_callbacks)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd *tracing = tracing_create(NULL, tracer);
    struct tracez_error error = {0};
    struct MHD_Daemon *daemons[2];

    /* The second one starts while the first serves. */
    for (int i = 0; i < 2; i++) {
        daemons[i] = tracez_mhd_start_daemon(tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0,
                                             NULL, NULL, handle, &first, MHD_OPTION_END);
        ck_assert_ptr_nonnull(daemons[i]);
        uint16_t port = daemon_port(daemons[i]);
        ck_assert_int_eq(client_ask(port, "GET / HTTP/1.0\r\n\r\n"), 200);
    }
    ck_assert_ptr_null(tracez_mhd_start_daemon(tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0,
                                               NULL, NULL, handle, &second, MHD_OPTION_END));
    ck_assert_int_eq(error.result, TRACEZ_BUSY);
    ck_assert_ptr_nonnull(strstr(error.text, "has others already"));
    for (int i = 0; i < 2; i++) {
        uint16_t port = daemon_port(daemons[i]);
        ck_assert_int_eq(client_ask(port, "GET / HTTP/1.0\r\n\r\n"), 200);
    }
    MHD_stop_daemon(daemons[0]);
    MHD_stop_daemon(daemons[1]);

    ck_assert_uint_eq(books(tracer).traced, 4);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_daemon_with_most_options_there_are_serves_and_is_traced)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd *tracing = tracing_create(NULL, tracer);
    struct tracez_error error = {0};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t address_bytes = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(listener, 10), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &address_bytes), 0);

    struct MHD_Daemon *daemon = tracez_mhd_start_daemon(
        tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, NULL,
        MHD_OPTION_EXTERNAL_LOGGER, log_text, (void *)NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)16384, MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)1024,
        MHD_OPTION_CONNECTION_LIMIT, 50U, MHD_OPTION_CONNECTION_TIMEOUT, 10U,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, 20U, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_THREAD_POOL_SIZE, 2U, MHD_OPTION_UNESCAPE_CALLBACK, unescape, &first,
        MHD_OPTION_DIGEST_AUTH_RANDOM, (size_t)4, "seed", MHD_OPTION_NONCE_NC_SIZE, 10U,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)262144, MHD_OPTION_NOTIFY_CONNECTION, note_connection,
        &second, MHD_OPTION_LISTEN_BACKLOG_SIZE, 10U, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SERVER_INSANITY, 0U, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 0, MHD_OPTION_END);
    ck_assert_msg(daemon != NULL, "%s", error.text);
    ck_assert_int_eq(client_ask(ntohs(address.sin_port), "GET /a%41 HTTP/1.0\r\n\r\n"), 200);
    MHD_stop_daemon(daemon);

    ck_assert_uint_eq(books(tracer).traced, 1);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd options");
    TCase *reading = case_of(suite, "reading");
    TCase *daemons = case_of(suite, "daemons");

    tcase_add_test(reading, an_option_that_nobody_knows_is_refused_by_its_number);
    tcase_add_test(reading, more_options_than_there_is_room_for_are_refused);
    tcase_add_test(reading, arrays_in_arrays_are_read_to_a_depth);
    tcase_add_test(reading, no_options_are_no_options);
    tcase_add_test(reading, each_kind_of_argument_is_read_in_its_width);
    tcase_add_test(reading, callbacks_are_taken_out_also_of_arrays_within_arrays);
    tcase_add_test(daemons, a_daemon_that_can_not_be_started_says_so_and_leaves_no_callbacks);
    tcase_add_test(daemons, what_would_be_served_wrongly_is_not_started);
    tcase_add_test(daemons, callbacks_of_the_configuration_are_called_also_without_options);
    tcase_add_test(daemons, two_daemons_share_a_tracing_only_with_the_same_callbacks);
    tcase_add_test(daemons, a_daemon_with_most_options_there_are_serves_and_is_traced);
    return run_suite(suite);
}
