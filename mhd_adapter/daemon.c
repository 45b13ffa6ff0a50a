/* SPDX-License-Identifier: MIT
 *
 * Starting a daemon with the application's own arguments. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Nothing set, or all the same. */
static bool may_have(const struct callbacks *has, const struct callbacks *wanted)
{
    return has->handler == NULL || memcmp(has, wanted, sizeof(*has)) == 0;
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
    struct callbacks callbacks = {.handler = handler, .handler_state = handler_state};
    struct options *options = malloc(sizeof(*options));
    struct MHD_Daemon *daemon = NULL;
    va_list arguments;

    if (options == NULL) {
        tracez_error_fill(error, TRACEZ_NO_MEMORY, "no memory for options");
        return NULL;
    }
    va_start(arguments, handler_state);
    enum tracez_result result = options_read(options, &callbacks, arguments, error);
    va_end(arguments);
    if (result == TRACEZ_OK && !may_have(&tracing->callbacks, &callbacks)) {
        tracez_error_fill(error, TRACEZ_BUSY,
                          "callbacks rejected: another daemon has others; make a tracez_mhd for "
                          "each");
    } else if (result == TRACEZ_OK) {
        struct callbacks before = tracing->callbacks;
        tracing->callbacks = callbacks;
        daemon = start(tracing, error, flags, port, accept_policy, accept_policy_state, options);
        if (daemon == NULL) {
            tracing->callbacks = before;
        }
    }
    free(options);
    return daemon;
}
