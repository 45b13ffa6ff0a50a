/* SPDX-License-Identifier: MIT
 *
 * An application's options as it passes them to MHD_start_daemon, read into an array. */
#ifndef TRACEZ_MHD_OPTIONS_H
#define TRACEZ_MHD_OPTIONS_H

#include "adapter.h"

#include <stdarg.h>

#define OPTIONS_MAX 128

struct options {
    unsigned connection_limit; /* MHD_OPTION_CONNECTION_LIMIT; 0: libmicrohttpd's own */
    size_t count;
    struct MHD_OptionItem items[OPTIONS_MAX + 1]; /* the last one is MHD_OPTION_END */
};

/* Reads up to MHD_OPTION_END. NOTIFY_COMPLETED and URI_LOG_CALLBACK, also in nested arrays, go into
 * callbacks and not into options. Errors: INVALID (an option that we do not know: what follows it
 * can't be read). */
enum tracez_result options_read(struct options *options, struct callbacks *callbacks,
                                va_list arguments, struct tracez_error *error);

#endif
