/* SPDX-License-Identifier: MIT
 *
 * A backend in a process of its own that takes everything and counts the spans it got: what the
 * exporter costs is measured with an exporter that works. */
#ifndef TRACEZ_BENCH_SINK_H
#define TRACEZ_BENCH_SINK_H

#include <stdint.h>

struct sink;

/* Before any thread is started: it forks. Exits the program when it can't be had. */
struct sink *sink_start(void);

/* "http://127.0.0.1:PORT" */
const char *sink_url(const struct sink *sink);

uint64_t sink_spans(const struct sink *sink);

void sink_stop(struct sink *sink);

#endif
