/* SPDX-License-Identifier: MIT
 *
 * What no tracer of libmicrohttpd can do without: hear of a request's beginning and its end, read
 * the clock at both, look at each header once, ask for status and peer, make two random ids, and
 * copy a record of the usual length into a ring. Nothing is parsed, checked, counted, found, locked
 * or bounded: it is a limit, not a tracer, and serves one thread with one request at a time. */
#ifndef TRACEZ_BENCH_MHD_FLOOR_H
#define TRACEZ_BENCH_MHD_FLOOR_H

#include <microhttpd.h>

/* The handler behind it, called with `state`. */
void floor_set_handler(MHD_AccessHandlerCallback handler, void *state);

/* To be passed to MHD_start_daemon: the handler, and for MHD_OPTION_ARRAY the callbacks. */
enum MHD_Result floor_handle(void *state, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload_data,
                             size_t *upload_data_size, void **con_cls);
const struct MHD_OptionItem *floor_options(void);

#endif
