/* SPDX-License-Identifier: MIT
 *
 * How a body gets to the backend: POST requests over one curl_multi handle and its pool of
 * connections, by HTTP/1.1, or by HTTP/2 where TLS finds out that the backend speaks it. It knows
 * nothing of spans, and decides nothing about trying again.
 *
 * init and deinit prepare and free, without a socket. Everything between open and close belongs to
 * one thread, except wake. */
#ifndef TRACEZ_EXPORTER_TRANSPORT_H
#define TRACEZ_EXPORTER_TRANSPORT_H

#include "certificates.h"
#include "endpoint.h"
#include "proxy.h"
#include "transfer.h"

struct transport {
    struct tracez_exporter_config config; /* numbers only */
    struct endpoint endpoint;
    struct proxy proxy;
    struct certificates certificates;
    struct curl_slist *headers;
    struct transfer *transfers; /* config.connections */
    uint32_t active;            /* of them */
    uint64_t answers;           /* so far, of whatever status */
    CURLM *multi;               /* NULL: not open */
};

/* config was checked; strings are copied. path: for an endpoint that has none. Errors: NO_MEMORY.
 * deinit accepts zero and half of it. */
enum tracez_result transport_init(struct transport *transport,
                                  const struct tracez_exporter_config *config, const char *path,
                                  struct tracez_error *error);
void transport_deinit(struct transport *transport);

bool transport_open(struct transport *transport);
void transport_close(struct transport *transport); /* aborts what is active */

/* Starts a POST; body stays borrowed until its result. False: all connections are in use, or no
 * memory. */
bool transport_send(struct transport *transport, struct tracez_text body, void *request);
bool transport_is_full(const struct transport *transport);

/* Waits until something happens on a connection or one of wake_fds (up to TRACEZ_LANES_MAX) becomes
 * readable, for at most timeout_ms, and does what can be done. */
void transport_wait(struct transport *transport, const int *wake_fds, unsigned wake_fd_count,
                    int timeout_ms);

/* Hands out the result of one ended request. False: no more. */
bool transport_next(struct transport *transport, struct transport_result *result);

/* Ends transport_wait, from any thread while the transport is open. */
void transport_wake(struct transport *transport);

#endif
