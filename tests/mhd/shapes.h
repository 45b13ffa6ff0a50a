/* SPDX-License-Identifier: MIT
 *
 * The shapes of requests, and what the one span of each says: the same in every mode. */
#ifndef TRACEZ_TESTS_SHAPES_H
#define TRACEZ_TESTS_SHAPES_H

#include <stddef.h>

#define SHAPE_TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SHAPE_SPAN_ID "b7ad6b7169203331"

/* Texts: NULL for no such tag. Numbers: 0 likewise. */
struct shape {
    const char *name;
    const char *request;
    int answer; /* the status that the client reads; 0: closed without one */

    const char *span_name;
    int status;
    const char *error_type;
    const char *method;
    const char *method_original;
    const char *path;
    const char *query;
    const char *host;
    int port; /* 0: the daemon's */
    const char *version;
    const char *user_agent;
    const char *route;
    const char *trace_id; /* NULL: a new trace */
    const char *child;    /* the name of a second span, finished before */
};

extern const struct shape shapes[];
extern const size_t shape_count;

#endif
