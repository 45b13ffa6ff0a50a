/* SPDX-License-Identifier: MIT
 *
 * A request for a profile: what it asks for, and what it gets. */
#ifndef TRACEZ_PROFILING_REQUEST_H
#define TRACEZ_PROFILING_REQUEST_H

#include <stdint.h>

#include <microhttpd.h>

/* The handler; its state points to an eventfd that becomes readable when profiling stops. It runs
 * on a thread of the connection's own and takes as long as the profile. */
enum MHD_Result request_handle(void *state, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_bytes, void **con_cls);

#endif
