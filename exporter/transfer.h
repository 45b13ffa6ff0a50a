/* SPDX-License-Identifier: MIT
 *
 * One request after another, by one handle of libcurl: how it goes out, what of its answer is kept,
 * and what its end means. It belongs to the thread of its transport. */
#ifndef TRACEZ_EXPORTER_TRANSFER_H
#define TRACEZ_EXPORTER_TRANSFER_H

#include <tracez/tracez.h>

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
    uint64_t answers_before;      /* that its transport had when it began */
    char detail[CURL_ERROR_SIZE]; /* what libcurl says of a failure */
    bool is_relayed;              /* by a proxy that sees requests and answers, not a tunnel */
    bool is_head_whole;
    int64_t retry_after_s; /* RETRY_AFTER_NONE: it did not say */
    bool is_cut;           /* not all of it was kept, or it was aborted */
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

struct transport;

/* Makes the handle, once, with all that does not change. False: no memory. close accepts zero. */
bool transfer_open(struct transfer *transfer, const struct transport *transport);
void transfer_close(struct transfer *transfer);

/* A new request; body stays borrowed until it has ended. False: no memory. */
bool transfer_begin(struct transfer *transfer, struct tracez_text body);

/* How it ended, by libcurl's code for it. */
void transfer_read(const struct transfer *transfer, CURLcode code, struct transport_result *result);

/* Nobody uses its connection again, if it is still there: those that do, fail. */
void transfer_hang_up(const struct transfer *transfer);

#endif
