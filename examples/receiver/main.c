/* SPDX-License-Identifier: MIT
 *
 * A receiver of traces for looking at them: takes OTLP/HTTP JSON and prints each trace as a tree
 * once nothing more comes for it. It keeps the newest traces in memory, within bounds, and nothing
 * else.
 *
 * Trees go to standard output, everything else to standard error. Two threads: libmicrohttpd's
 * serves (see server.h), the main thread prints, and waits for signals. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../listener.h"
#include "budget.h"
#include "server.h"

#define QUIET_MS 300 /* so long nothing came for a trace: it is complete, as far as we can tell */
#define TICK_MS 100
#define TRACES_A_TICK_MAX 20 /* more than that nobody reads */

struct options {
    const char *address;
    uint16_t port;
    bool drop_one;
};

enum { OPTION_LISTEN = 256, OPTION_DROP_ONE };

static const struct argp_option option_table[] = {
    {"port", 'p', "PORT", 0, "Port to listen on, 0 for any that is free (4318)", 0},
    {"listen", OPTION_LISTEN, "ADDRESS", 0,
     "Numeric address to listen on (127.0.0.1; anyone who reaches it may send)", 0},
    {"drop-one", OPTION_DROP_ONE, NULL, 0,
     "Lose the first SERVER span, to test that somebody notices", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 'p':
        if (!listener_parse_port(value, &options->port)) {
            argp_error(state, "port \"%s\" rejected: 0 to 65535", value);
        }
        return 0;
    case OPTION_LISTEN:
        options->address = value;
        return 0;
    case OPTION_DROP_ONE:
        options->drop_one = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    option_table,
    parse_option,
    NULL,
    "Receives traces as OTLP/HTTP JSON at POST /v1/traces, prints each as a tree, and has them all "
    "at GET /spans.",
    NULL,
    NULL,
    NULL};

static struct tree_style find_style(void)
{
    const char *no_colour = getenv("NO_COLOR");
    struct tree_style style = {.colours = false, .columns = 100};
    struct winsize window;

    if (isatty(STDOUT_FILENO)) {
        style.colours = no_colour == NULL || *no_colour == '\0';
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
            style.columns = window.ws_col;
        }
    }
    return style;
}

/* What is new since the last call. False: nobody can read it any more. */
static bool show(struct store *store, struct complaint *complaint, unsigned quiet_ms)
{
    struct tree_style style = find_style();
    char text[COMPLAINT_BYTES_MAX + 32];

    if (complaint_take(complaint, text, sizeof(text))) {
        fprintf(stderr, "receiver: %s\n", text);
    }
    return store_write_quiet(store, quiet_ms, TRACES_A_TICK_MAX, &style, stdout);
}

/* Until a signal ends it; false when standard output has failed. */
static bool run(struct store *store, struct complaint *complaint, const sigset_t *ending)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};

    while (sigtimedwait(ending, NULL, &tick) == -1) {
        if (!show(store, complaint, QUIET_MS)) {
            return false;
        }
    }
    return true;
}

/* Serves until it is told to end; returns the exit status. */
static int receive(int listener, struct store *store, const sigset_t *ending)
{
    struct complaint complaint;
    char url[96];

    complaint_init(&complaint);
    listener_format_url(listener, url, sizeof(url));
    struct server *server = server_start(listener, store, &complaint);
    if (server == NULL) {
        fprintf(stderr, "receiver: cannot start libmicrohttpd\n");
        return EXIT_FAILURE;
    }
    fprintf(stderr, "receiver: listening on %s\n", url);
    bool is_readable = run(store, &complaint, ending);
    server_stop(server);
    is_readable = is_readable && show(store, &complaint, 0);
    if (!is_readable) {
        fprintf(stderr, "receiver: cannot print any more: %s\n", strerror(errno));
    }
    complaint_deinit(&complaint);
    return is_readable ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct options options = {.address = "127.0.0.1", .port = 4318};
    sigset_t ending;
    char error[160];

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    json_set_alloc_funcs(budget_allocate, budget_free);
    signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of write() */
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigprocmask(SIG_BLOCK, &ending, NULL); /* the server's thread inherits it */

    int listener = listener_open(options.address, options.port, error, sizeof(error));
    if (listener == -1) {
        fprintf(stderr, "receiver: %s\n", error);
        return EXIT_FAILURE;
    }
    struct store *store = store_create(options.drop_one);
    if (store == NULL) {
        fprintf(stderr, "receiver: no memory\n");
        return EXIT_FAILURE;
    }
    int status = receive(listener, store, &ending);
    store_destroy(store);
    return status;
}
