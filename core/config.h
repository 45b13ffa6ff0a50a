/* SPDX-License-Identifier: MIT
 *
 * The configuration with its short forms resolved: at least one collector, at least one resource.
 */
#ifndef TRACEZ_CORE_CONFIG_H
#define TRACEZ_CORE_CONFIG_H

#include <tracez/tracez.h>

#define COLLECTOR_NAME_DEFAULT "default"
#define SPANS_MIN 1
#define SPANS_MAX (1U << 24)
#define LIVE_SPANS_MIN 1
#define LIVE_SPANS_MAX (1U << 20)
#define SPANS_PER_SECOND_MAX 1000000000
#define TAG_BYTES_MIN 16
#define TAG_BYTES_MAX 32000

enum tracez_result config_check(const struct tracez_config *config, struct tracez_error *error);

size_t config_collector_count(const struct tracez_config *config);
/* Valid until the next call on this thread. */
const struct tracez_collector_config *config_collector(const struct tracez_config *config,
                                                       size_t index);

size_t config_resource_count(const struct tracez_config *config);
struct tracez_resource config_resource(const struct tracez_config *config, size_t index);

#endif
