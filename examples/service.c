/* SPDX-License-Identifier: MIT */
#include "service.h"

#include "caller.h"
#include "listener.h"
#include "tracing.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADED (MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION)

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

static uint16_t parse_options(const struct service *service, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"port", 'p', "PORT", 0, "Port to listen on, 0 for any that is free", 0}, {0}};
    const struct argp argp = {options, parse_option, NULL, service->purpose, NULL, NULL, NULL};
    uint16_t port = service->port;

    argp_parse(&argp, argc, argv, 0, NULL, &port);
    return port;
}

/* Where untraced it would say MHD_start_daemon, and the first two arguments less. */
static struct MHD_Daemon *start_daemon(const struct service *service, struct tracing *tracing,
                                       int listener, char *own_url, struct tracez_error *error)
{
    return tracez_mhd_start_daemon(tracing->mhd, error, THREADED, 0, NULL, NULL, service->handle,
                                   own_url, MHD_OPTION_NOTIFY_COMPLETED, service->completed,
                                   own_url, MHD_OPTION_LISTEN_SOCKET, listener,
                                   MHD_OPTION_CONNECTION_LIMIT, 64U, MHD_OPTION_CONNECTION_TIMEOUT,
                                   30U, MHD_OPTION_END);
}

static int serve(const struct service *service, int listener, const sigset_t *ending)
{
    struct tracing tracing;
    struct tracez_error error;
    char own_url[160];
    int signal_number;

    caller_init();
    if (!tracing_start(&tracing, service->name)) {
        return EXIT_FAILURE;
    }
    listener_format_url(listener, own_url, sizeof(own_url));
    struct MHD_Daemon *daemon = start_daemon(service, &tracing, listener, own_url, &error);
    if (daemon != NULL) {
        fprintf(stderr, "%s: listening on %s\n", service->name, own_url);
        sigwait(ending, &signal_number);
        MHD_stop_daemon(daemon);
    } else {
        fprintf(stderr, "%s: %s\n", service->name, error.text);
    }
    tracing_stop(&tracing);
    return daemon != NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}

int service_run(const struct service *service, int argc, char **argv)
{
    uint16_t port = parse_options(service, argc, argv);
    sigset_t ending;
    char text[160];

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, NULL); /* the threads inherit it */

    int listener = listener_open("127.0.0.1", port, text, sizeof(text));
    if (listener == -1) {
        fprintf(stderr, "%s: %s\n", service->name, text);
        return EXIT_FAILURE;
    }
    return serve(service, listener, &ending);
}
