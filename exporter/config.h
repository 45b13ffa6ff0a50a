/* SPDX-License-Identifier: MIT
 *
 * The exporter's configuration once it is known to be good: a whole struct of this version,
 * whatever the caller's was. */
#ifndef TRACEZ_EXPORTER_CONFIG_H
#define TRACEZ_EXPORTER_CONFIG_H

#include <tracez/exporter.h>

#define HOUR_MS 3600000U
#define INTERVAL_MS_MIN 10
#define INTERVAL_MS_MAX HOUR_MS
#define BATCH_SIZE_MIN 1
#define BATCH_SIZE_MAX 65536

/* Checks and copies; what pointers point to stays the caller's. Errors: INVALID, NO_MEMORY. */
enum tracez_result exporter_config_take(struct tracez_exporter_config *copy,
                                        const struct tracez_exporter_config *config,
                                        struct tracez_error *error);

#endif
