/* SPDX-License-Identifier: MIT
 *
 * The exporter's configuration once it is known to be good: a whole struct of this version,
 * whatever the caller's was. */
#ifndef TRACEZ_EXPORTER_CONFIG_H
#define TRACEZ_EXPORTER_CONFIG_H

#include <tracez/exporter.h>

/* Checks and copies; what pointers point to stays the caller's. Errors: INVALID, NO_MEMORY. */
enum tracez_result exporter_config_take(struct tracez_exporter_config *copy,
                                        const struct tracez_exporter_config *config,
                                        struct tracez_error *error);

#endif
