/* SPDX-License-Identifier: MIT
 *
 * The pace of a collector: in which portions its spans leave, and after which time at the latest.
 * It is the exporter's own, or the collector's where the configuration gives it one. */
#ifndef TRACEZ_EXPORTER_PACE_H
#define TRACEZ_EXPORTER_PACE_H

#include <tracez/exporter.h>

struct pace {
    uint64_t interval_ns;
    uint32_t batch_size;
    uint64_t tick_ns; /* the thread's only: when the interval is over */
};

/* The ranges of those that the configuration gives. */
enum tracez_result paces_check(const struct tracez_exporter_config *config,
                               struct tracez_error *error);

/* Fills in one for each of the tracer's collectors; config was checked. Errors: INVALID (there is
 * no such collector). */
enum tracez_result paces_init(struct pace paces[TRACEZ_COLLECTORS_MAX],
                              const struct tracez_exporter_config *config,
                              struct tracez_tracer *tracer, struct tracez_error *error);

#endif
