/* SPDX-License-Identifier: MIT
 *
 * Starting a daemon with the application's own arguments. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_same(const struct callbacks *left, const struct callbacks *right)
{
    return memcmp(left, right, sizeof(*left)) == 0;
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has MHD_start_daemon */
static struct MHD_Daemon *start(struct tracez_mhd *tracing, struct tracez_error *error,
                                unsigned flags, uint16_t port,
                                MHD_AcceptPolicyCallback accept_policy, void *accept_policy_state,
                                const struct options *options)
{
    errno = 0;
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, port, accept_policy, accept_policy_state, tracez_mhd_handler,
                         tracing, MHD_OPTION_ARRAY, options->items, MHD_OPTION_ARRAY,
                         tracez_mhd_options(tracing), MHD_OPTION_END);

    if (daemon == NULL) {
        tracez_error_fill(error, TRACEZ_SYSTEM, "MHD_start_daemon failed on port %u: %s", port,
                          errno != 0 ? strerror(errno) : "it refused flags or options");
    }
    return daemon;
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has MHD_start_daemon */
struct MHD_Daemon *tracez_mhd_start_daemon(struct tracez_mhd *tracing, struct tracez_error *error,
                                           unsigned flags, uint16_t port,
                                           MHD_AcceptPolicyCallback accept_policy,
                                           void *accept_policy_state,
                                           MHD_AccessHandlerCallback handler, void *handler_state,
                                           ...)
{
    struct callbacks callbacks = tracing->configured;
    bool is_first = tracing->callbacks.handler == NULL;
    struct options *options = malloc(sizeof(*options));
    struct MHD_Daemon *daemon = NULL;
    va_list arguments;

    if (options == NULL) {
        tracez_error_fill(error, TRACEZ_NO_MEMORY, "no memory for options");
        return NULL;
    }
    callbacks.handler = handler;
    callbacks.handler_state = handler_state;
    va_start(arguments, handler_state);
    enum tracez_result result = options_read(options, &callbacks, arguments, error);
    va_end(arguments);
    if (result == TRACEZ_OK && handler == NULL) {
        tracez_error_fill(error, TRACEZ_INVALID, "handler rejected: it must not be NULL");
    } else if (result == TRACEZ_OK && options->connection_limit > tracing->connections_max) {
        tracez_error_fill(
            error, TRACEZ_INVALID,
            "MHD_OPTION_CONNECTION_LIMIT %u rejected: connections_max of this tracing "
            "is %u",
            options->connection_limit, tracing->connections_max);
    } else if (result == TRACEZ_OK && !is_first && !is_same(&tracing->callbacks, &callbacks)) {
        tracez_error_fill(error, TRACEZ_BUSY,
                          "callbacks rejected: this tracing has others already; make a tracez_mhd "
                          "for each");
    } else if (result == TRACEZ_OK) {
        if (is_first) { /* or the threads of another daemon are reading them */
            tracing->callbacks = callbacks;
        }
        daemon = start(tracing, error, flags, port, accept_policy, accept_policy_state, options);
        if (daemon == NULL && is_first) {
            tracing->callbacks = tracing->configured;
        }
    }
    free(options);
    return daemon;
}
