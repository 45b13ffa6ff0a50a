/* SPDX-License-Identifier: MIT
 *
 * CPU profiles of a program that runs, over HTTP, for pprof:
 *
 *   pprof http://127.0.0.1:6060/debug/pprof/profile?seconds=30
 *
 * The path is the one of Go's servers, the profile is gperftools'. Nothing listens, and no signal
 * disturbs the program, until it is asked to; whoever reaches the address may profile it, so that
 * is a loopback one unless the program, or who starts it, says another. */
#ifndef TRACEZ_PROFILING_H
#define TRACEZ_PROFILING_H

#include <tracez/environment.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TRACEZ_PROFILE_SECONDS_DEFAULT 30
#define TRACEZ_PROFILE_SECONDS_MAX 300

struct tracez_profiling;

struct tracez_profiling_config {
    size_t struct_bytes; /* set by tracez_profiling_config_init */

    bool enabled;        /* false: start does nothing. false */
    const char *address; /* borrowed. An IP address and a port, 0 for one that is free:
                            "127.0.0.1:6060", "[::1]:6060". 127.0.0.1:6060 */
};

/* Fills in the defaults. [any] */
#define tracez_profiling_config_init(config)                                                       \
    tracez_profiling_config_init_bytes((config), sizeof(struct tracez_profiling_config))
TRACEZ_API void tracez_profiling_config_init_bytes(struct tracez_profiling_config *config,
                                                   size_t struct_bytes);

/* ENABLE_PROFILING ("true", "false") and TRACEZ_PROFILING_ADDRESS. [setup] */
TRACEZ_API void
tracez_profiling_config_read_environment(struct tracez_profiling_config *config,
                                         const struct tracez_environment *environment);

/* Listens. *profiling is owned by the caller on TRACEZ_OK (NULL when it is not enabled: that is no
 * error), NULL otherwise. Errors: INVALID, NO_MEMORY, SYSTEM. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_profiling_start(const struct tracez_profiling_config *config,
                       struct tracez_profiling **profiling, struct tracez_error *error);

/* Where it listens: "127.0.0.1:6060". NULL for NULL. Lives as long as profiling. [any] */
TRACEZ_API const char *tracez_profiling_address(const struct tracez_profiling *profiling);

/* Ends a profile that is being taken, at once, and frees. NULL is fine. [setup] */
TRACEZ_API void tracez_profiling_stop(struct tracez_profiling *profiling);

#ifdef __cplusplus
}
#endif

#endif
