/* SPDX-License-Identifier: MIT
 *
 * Tracing for an example, whole: a tracer, its exporter and libmicrohttpd's adapter, all of them
 * configured by environment variables. An application of your own needs no more than this. */
#ifndef EXAMPLES_TRACING_H
#define EXAMPLES_TRACING_H

#include <tracez/exporter.h>
#include <tracez/mhd.h>

struct tracing {
    struct tracez_tracer *tracer;
    struct tracez_exporter *exporter;
    struct tracez_mhd *mhd;
};

/* service_name: where the environment names none. Says on standard error what it ignores, and why
 * it fails. Before any thread is started. */
bool tracing_start(struct tracing *tracing, const char *service_name);

/* After the daemon was stopped: sends what is left. Accepts half-started tracing. */
void tracing_stop(struct tracing *tracing);

#endif
