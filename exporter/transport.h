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

#include <tracez/exporter.h>

#include <curl/curl.h>

#define RESPONSE_KEPT_BYTES 65536      /* of a response's body */
#define RESPONSE_READ_BYTES (4U << 20) /* then the transfer is aborted */
#define RESPONSE_HEADER_BYTES 65536    /* likewise */

/* One request and its connection's handle, used again and again. */
struct transfer {
    CURL *easy;
    void *request; /* the caller's; NULL: free */
    char *kept;    /* owned; the beginning of the response's body */
    size_t kept_bytes;
    size_t kept_capacity;
    size_t read_bytes; /* of the body, kept or not */
    size_t header_bytes;
    size_t sent_bytes;            /* of the request's body */
    char detail[CURL_ERROR_SIZE]; /* what libcurl says of a failure */
    bool is_head_whole;
    int64_t retry_after_s; /* RETRY_AFTER_NONE: it did not say */
    bool is_cut;           /* not all of it was kept, or it was aborted */
};

struct transport {
    struct tracez_exporter_config config; /* numbers only */
    struct endpoint endpoint;
    struct proxy proxy;
    struct certificates certificates;
    struct curl_slist *headers;
    struct transfer *transfers; /* config.connections */
    uint32_t active;            /* of them */
    CURLM *multi;               /* NULL: not open */
};

enum transport_ending {
    TRANSPORT_ANSWERED,   /* there is a status */
    TRANSPORT_UNANSWERED, /* not connected, cut off, timed out, no memory */
    TRANSPORT_BROKEN      /* whatever is there does not speak HTTP */
};

struct transport_result {
    void *request;
    enum transport_ending ending;
    int status;
    int64_t retry_after_s;   /* RETRY_AFTER_NONE: it did not say */
    struct tracez_text body; /* valid until the next send, next or close */
    bool is_cut;             /* the body is only the beginning */
    uint32_t connections_opened;
    size_t sent_bytes; /* the body's */
    char text[128];    /* "HTTP 503", "connection refused" */
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
