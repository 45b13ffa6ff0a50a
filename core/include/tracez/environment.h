/* SPDX-License-Identifier: MIT
 *
 * Settings from environment variables: TRACEZ_*, and OpenTelemetry's OTEL_*, of which TRACEZ_* win.
 * Read them after the defaults and before what the program sets itself. Unset and empty are the
 * same. A bad value is told and ignored. All functions: [setup]; texts stay borrowed from the
 * environment. */
#ifndef TRACEZ_ENVIRONMENT_H
#define TRACEZ_ENVIRONMENT_H

#include <tracez/tracez.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Told one sentence for each value that was ignored: "OTEL_TRACES_SAMPLER \"sometimes\" ignored:
 * one of always_on, ...". */
typedef void (*tracez_warn_fn)(const char *text, void *state);

struct tracez_environment {
    tracez_warn_fn warn; /* NULL: nobody is told */
    void *state;
    const char *preset; /* NULL: the one that TRACEZ_ENVIRONMENT names; else this one, or none
                         * (""), of a name that the program has from elsewhere and has checked */
};

/* The environment's name, wherever it is from; NULL: it has none. */
TRACEZ_API const char *tracez_environment_preset(const struct tracez_environment *environment);

/* What concerns a tracer: TRACEZ_ENVIRONMENT (a preset, over which all else wins; an unknown one is
 * told and gets the preset for such), TRACEZ_SERVICE_NAME, TRACEZ_RESOURCE_ATTRIBUTES,
 * TRACEZ_SAMPLE_RATE, TRACEZ_BUFFER_SIZE, TRACEZ_LIVE_SPANS, TRACEZ_MAX_TAG_SIZE;
 * OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER with OTEL_TRACES_SAMPLER_ARG,
 * OTEL_BSP_MAX_QUEUE_SIZE, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT,
 * OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_SDK_DISABLED. */
TRACEZ_API void tracez_config_read_environment(struct tracez_config *config,
                                               const struct tracez_environment *environment);

/* ---- For libraries that have settings of their own ------------------------------------------- */

/* NULL: unset, or empty. */
TRACEZ_API const char *tracez_environment_text(const char *name);

/* False, and *value as it was: unset, or told and ignored. */
TRACEZ_API bool tracez_environment_number(const struct tracez_environment *environment,
                                          const char *name, uint32_t min, uint32_t max,
                                          uint32_t *value);

/* Tells that a variable's value is ignored, and why. */
TRACEZ_API void tracez_environment_ignore(const struct tracez_environment *environment,
                                          const char *name, const char *why, ...)
    TRACEZ_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
