/* SPDX-License-Identifier: MIT
 *
 * What the adapter's files share: the application's callbacks, and the configuration as the request
 * path uses it. All of it is constant while a daemon runs, but for the table and one flag. */
#ifndef TRACEZ_MHD_ADAPTER_H
#define TRACEZ_MHD_ADAPTER_H

#include "redaction.h"
#include "table.h"

#include <tracez/mhd.h>

#define ADAPTER_CONNECTIONS_MIN 1
#define ADAPTER_CONNECTIONS_MAX (1U << 20)

/* The application's own. */
struct callbacks {
    MHD_AccessHandlerCallback handler;
    void *handler_state;
    MHD_RequestCompletedCallback completed;
    void *completed_state;
    tracez_mhd_uri_log_fn uri_log;
    void *uri_log_state;
};

struct tracez_mhd {
    struct tracez_tracer *tracer;
    struct callbacks configured;
    struct callbacks callbacks; /* in use; constant from the first daemon on */
    struct MHD_OptionItem options[3];

    const struct tracez_sampler *sampler;
    struct tracez_collector *collector;
    uint32_t resource;
    uint32_t max_tag_bytes;
    unsigned extract;
    struct redaction redaction;
    struct tracez_http_captures *captures;

    uint32_t connections_max;
    struct table table;
    atomic_bool has_seen_end;  /* request path: our completed callback is in place */
    atomic_bool has_lost_ends; /* request path: somebody replaced it */

    struct tracez_mhd *next; /* of all that there are: adapter.c */
};

/* The request that this connection has, in whatever adapter; NULL: none. Any thread. */
struct request;
struct request *adapter_find_request(const struct MHD_Connection *connection);

/* Sets what handler.c has for libmicrohttpd to call. */
void handler_init_options(struct tracez_mhd *tracing);

#endif
