/* SPDX-License-Identifier: MIT
 *
 * What span_start_finish measures: a table of small loops, and the tracers that they run on. */
#ifndef TRACEZ_BENCH_CASES_H
#define TRACEZ_BENCH_CASES_H

#include <tracez/tracez.h>

enum case_tracer {
    CASE_TRACER_NONE,
    CASE_TRACER_OWN,    /* a tracer with the defaults */
    CASE_TRACER_SHARED, /* its memory is shared, as among nginx's workers */
    CASE_TRACER_QUIET,  /* it samples nothing */
    CASE_TRACERS
};

struct bench_case {
    const char *name;
    void (*run)(struct tracez_tracer *tracer, uint32_t count);
    enum case_tracer tracer;
};

extern const struct bench_case bench_cases[];
extern const size_t bench_case_count;

/* NULL: no such case. */
const struct bench_case *bench_case_find(const char *name);

/* Exits the program when it can't. */
struct tracez_tracer *bench_tracer_create(enum case_tracer which);

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void); /* of the calling thread */

#endif
