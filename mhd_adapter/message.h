/* SPDX-License-Identifier: MIT
 *
 * What libmicrohttpd knows of a request, fetched for the core, which knows what it means. */
#ifndef TRACEZ_MHD_MESSAGE_H
#define TRACEZ_MHD_MESSAGE_H

#include "request.h"

/* The headers that matter, in one walk over all of them. Texts are borrowed from the connection. */
struct message {
    struct tracez_carrier carrier;
    struct tracez_text host;
    struct tracez_text user_agent;
    const struct tracez_http_captures *captures;
    struct tracez_http_captured captured;
};

/* A tracestate of several lines is put together behind the request's target. */
void message_read(struct message *message, struct MHD_Connection *connection,
                  struct request *request);

/* Tags the request's span; version as the handler got it, or NULL. */
void message_tag(const struct message *message, struct MHD_Connection *connection,
                 const struct request *request, const char *version);

#endif
