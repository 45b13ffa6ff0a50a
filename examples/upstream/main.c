/* SPDX-License-Identifier: MIT
 *
 * An application for nginx to stand in front of: a few routes, each of which says which traceparent
 * it was sent.
 *
 *   /hello         200, or 201 for a POST
 *   /slow?ms=N     200 after N milliseconds, at most 5000
 *   /fail          503
 *   /report        200 without a body, and nginx is told to send /files/report.txt
 * (X-Accel-Redirect)
 *
 * A thread for each connection: a slow answer holds up nobody else. */
#include <argp.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../listener.h"

#define SLOW_MS_MAX 5000

/* What an answer is made of. */
struct answer {
    unsigned status;
    const char *text;
    const char *send_instead; /* X-Accel-Redirect, or NULL */
};

static void take_time(struct MHD_Connection *connection)
{
    const char *wanted = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "ms");
    unsigned long ms = wanted != NULL ? strtoul(wanted, NULL, 10) : 100;

    ms = ms < SLOW_MS_MAX ? ms : SLOW_MS_MAX;
    nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}, NULL);
}

static struct answer respond(struct MHD_Connection *connection, const char *path,
                             const char *method)
{
    if (strcmp(path, "/hello") == 0) {
        return strcmp(method, "POST") == 0 ? (struct answer){201, "made", NULL}
                                           : (struct answer){200, "hello", NULL};
    }
    if (strcmp(path, "/slow") == 0) {
        take_time(connection);
        return (struct answer){200, "that took a while", NULL};
    }
    if (strcmp(path, "/fail") == 0) {
        return (struct answer){503, "out of order", NULL};
    }
    if (strcmp(path, "/report") == 0) {
        return (struct answer){200, "", "/files/report.txt"};
    }
    return (struct answer){404, "the upstream has no such path", NULL};
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, const struct answer *answer)
{
    const char *traceparent =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "traceparent");
    char text[512];
    int bytes = snprintf(text, sizeof(text), "%s\ntraceparent: %s\n", answer->text,
                         traceparent != NULL ? traceparent : "none");

    if (bytes >= (int)sizeof(text)) {
        bytes = sizeof(text) - 1; /* a traceparent that long is cut */
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer((size_t)bytes, text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    if (answer->send_instead != NULL) {
        MHD_add_response_header(response, "X-Accel-Redirect", answer->send_instead);
    }
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called for the head, for each piece of the body (which nobody wants), and at the end. */
/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *state, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *piece,
                              size_t *piece_bytes, void **connection_state)
{
    static char head_seen;

    (void)state;
    (void)version;
    (void)piece;
    if (*connection_state == NULL) {
        *connection_state = &head_seen;
        return MHD_YES;
    }
    if (*piece_bytes > 0) {
        *piece_bytes = 0;
        return MHD_YES;
    }
    struct answer answer = respond(connection, path, method);
    return send_answer(connection, &answer);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    if (key != 'p') {
        return ARGP_ERR_UNKNOWN;
    }
    if (!listener_parse_port(value, state->input)) {
        argp_error(state, "port \"%s\" rejected: 0 to 65535", value);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"port", 'p', "PORT", 0, "Port to listen on, 0 for any that is free (8081)", 0}, {0}};
    static const struct argp argp = {
        options, parse_option, NULL, "An application for nginx to stand in front of.",
        NULL,    NULL,         NULL};
    uint16_t port = 8081;
    sigset_t ending;
    char text[160];
    int signal_number;

    argp_parse(&argp, argc, argv, 0, NULL, &port);
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, NULL); /* the threads inherit it */

    int listener = listener_open("127.0.0.1", port, text, sizeof(text));
    if (listener == -1) {
        fprintf(stderr, "upstream: %s\n", text);
        return EXIT_FAILURE;
    }
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL,
        NULL, handle, NULL, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, 64U,
        MHD_OPTION_CONNECTION_TIMEOUT, 30U, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "upstream: cannot start libmicrohttpd\n");
        return EXIT_FAILURE;
    }
    listener_format_url(listener, text, sizeof(text));
    fprintf(stderr, "upstream: listening on %s\n", text);
    sigwait(&ending, &signal_number);
    MHD_stop_daemon(daemon);
    return EXIT_SUCCESS;
}
