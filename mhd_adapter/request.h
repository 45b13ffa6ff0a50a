/* SPDX-License-Identifier: MIT
 *
 * A request's life, from its request line to its end: begin, start, end.
 *
 * It begins when libmicrohttpd has read the request line; only time and target are known, and kept.
 * Its span starts at the handler's first call, when the headers are there. It ends with the
 * completed callback. One that libmicrohttpd refuses, or that is cut off while its headers come in,
 * never reaches a handler: its span starts and finishes at the end. */
#ifndef TRACEZ_MHD_REQUEST_H
#define TRACEZ_MHD_REQUEST_H

#include "adapter.h"

struct request {
    struct tracez_mhd *tracing;
    struct tracez_span span;
    struct tracez_context context; /* the span's own */
    struct tracez_text method;     /* borrowed from the connection; empty: unknown */
    uint64_t start_ns;
    bool is_counted;  /* it is not traced, and the ledger knows */
    bool is_started;  /* there is a context, and perhaps a span */
    bool is_recorded; /* there is a span */
    bool was_handled; /* the application's handler was called */
    bool has_failed;  /* and said MHD_NO */
    bool may_answer;  /* or answered, or left that to another thread */
    uint16_t target_bytes;
    char target[]; /* as in the request line, cut; behind it, a tracestate of several lines */
};

#define REQUEST_TEXT_BYTES (TABLE_PLACE_BYTES - sizeof(struct request))

/* What the first call of a handler knows, or the end: then method and version are NULL. */
struct request_line {
    const char *method;
    const char *version;
};

/* NULL: there is no place for one more. uri may be NULL. */
struct request *request_begin(struct tracez_mhd *tracing, struct MHD_Connection *connection,
                              const char *uri);

/* Takes a place for a request whose beginning nobody told us of, and counts it as not traced. */
struct request *request_begin_untraced(struct tracez_mhd *tracing,
                                       struct MHD_Connection *connection);

void request_start(struct request *request, struct MHD_Connection *connection,
                   const struct request_line *line);

/* Looks at what a call of the application's handler led to. */
void request_note_call(struct request *request, struct MHD_Connection *connection,
                       enum MHD_Result result);

/* Finishes the span, counts the request and gives its place back. */
void request_end(struct request *request, struct MHD_Connection *connection,
                 enum MHD_RequestTerminationCode ending, uint64_t end_ns);

/* The same for a request whose end nobody told us of: it is not traced. */
void request_forget(struct request *request);

#endif
