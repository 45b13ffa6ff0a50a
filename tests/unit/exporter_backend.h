/* SPDX-License-Identifier: MIT
 *
 * A backend for tests of the exporter: one thread, plain sockets on loopback, and a script that
 * says what becomes of the first, second, third ... request. It keeps what it was sent. Waiting
 * helpers fail the running test at their deadline, so that tests read as arrange, act, assert. */
#ifndef TRACEZ_TESTS_EXPORTER_BACKEND_H
#define TRACEZ_TESTS_EXPORTER_BACKEND_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKEND_DEADLINE_MS 20000

enum backend_action {
    BACKEND_ANSWER,       /* status, headers, body */
    BACKEND_HOLD,         /* until backend_release, then as ANSWER */
    BACKEND_CLOSE,        /* without a word */
    BACKEND_RESET,        /* likewise, with a TCP reset */
    BACKEND_RESET_EARLY,  /* likewise, while the body is still on its way */
    BACKEND_RESET_LATE,   /* likewise, amid its answer */
    BACKEND_CUT,          /* announces more body than it sends, then closes */
    BACKEND_EARLY,        /* answers the head, while the body is still on its way */
    BACKEND_RAW,          /* sends nothing but the body, then closes */
    BACKEND_FLOOD_BODY,   /* sends body for as long as the client takes it */
    BACKEND_FLOOD_HEADERS /* likewise, headers */
};

struct backend_step {
    enum backend_action action;
    int status;          /* 0: 200 */
    const char *headers; /* "Retry-After: 1\r\n"; NULL: none */
    const char *body;    /* NULL: {} */
};

struct backend;

/* Steps are copied; after the last one every request is answered with 200 and {}. */
struct backend *backend_start(const struct backend_step *steps, size_t step_count);
void backend_stop(struct backend *backend);

/* One whose port refuses connections until backend_listen. */
struct backend *backend_start_deaf(const struct backend_step *steps, size_t step_count);
void backend_listen(struct backend *backend);

/* While it is on, whatever comes for the port is dropped: nobody hears of a connection, or of its
 * refusal. Connections that are open stay as they are. */
void backend_drop_packets(struct backend *backend, bool is_on);

/* "http://127.0.0.1:PORT", as long as the backend lives. */
const char *backend_url(const struct backend *backend);

/* What was received so far: whole requests, connections, and bytes that were sent in floods. */
size_t backend_request_count(struct backend *backend);
size_t backend_connection_count(struct backend *backend);
uint64_t backend_flooded_bytes(struct backend *backend);
size_t backend_unanswered_max(struct backend *backend); /* at any one time */

void backend_wait_requests(struct backend *backend, size_t count);

/* The head (request line and headers) and body of a request that was received; both live until
 * stop and end in a NUL; a compressed body is given as it was before. */
const char *backend_head(struct backend *backend, size_t index);
const char *backend_body(struct backend *backend, size_t index);
uint64_t backend_arrival_ns(struct backend *backend, size_t index); /* monotonic clock */

/* Lets a request that is held be answered. */
void backend_release(struct backend *backend, size_t index);

/* Spans in a body, and in all bodies that were answered with a whole 2xx; the test fails when a
 * body is not valid JSON. */
size_t backend_body_spans(struct backend *backend, size_t index);
size_t backend_accepted_spans(struct backend *backend);

#endif
