/* SPDX-License-Identifier: MIT
 *
 * Samplers beyond the usual ones of tracez.h. They compose by pointing at each other, and are asked
 * from the outside in:
 *
 *   rate limited -> parent based -> by name -> adaptive
 *
 *   never more than so many a second; follow the caller; of the rest, these names at these rates,
 *   and of all others as many as can be exported
 *
 * What a sampler points at is borrowed for as long as it is in use. Where a decision was not the
 * plain configured rate, the span says so: tracez.sampling.strategy, .rate and .reason. */
#ifndef TRACEZ_SAMPLER_H
#define TRACEZ_SAMPLER_H

#include <tracez/tracez.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- By name --------------------------------------------------------------------------------- */

#define TRACEZ_NAME_RATES_MAX 64

struct tracez_name_rate {
    const char *name; /* a span's name at its start; "GET /admin*": all names that begin so */
    double rate;      /* 0 to 1 */
};

struct tracez_name_rates {
    const struct tracez_name_rate *rates; /* the first that fits decides */
    size_t count;                         /* up to TRACEZ_NAME_RATES_MAX */
    const struct tracez_sampler *other;   /* asked for all other names; NULL: they are kept */
};

/* Strategy "name". Errors: INVALID (a rate that is none, an empty name, too many); *sampler is as
 * it was. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_sampler_by_name(const struct tracez_name_rates *names, struct tracez_sampler *sampler,
                       struct tracez_error *error);

/* ---- Adaptive -------------------------------------------------------------------------------- */

/* Every interval the rate is multiplied by `down` when the tracer's collectors refused spans since
 * the last look, or one of them is over pressure_percent full and does not empty; it stays while
 * such a one empties, and is multiplied by `up` otherwise. */
struct tracez_adaptive_config {
    size_t struct_bytes;       /* set by tracez_adaptive_config_init */
    double rate;               /* to begin with, and the highest: 1; up to 1 */
    double rate_min;           /* 0.01; over 0, up to rate */
    double down;               /* 0.8; over 0, below 1 */
    double up;                 /* 1.1; over 1, up to 10 */
    uint32_t interval_ms;      /* 1000; 10 to 3,600,000 */
    uint32_t pressure_percent; /* 50; 1 to 100 */
};

/* Fills in the defaults. [any] */
#define tracez_adaptive_config_init(config)                                                        \
    tracez_adaptive_config_init_bytes((config), sizeof(struct tracez_adaptive_config))
TRACEZ_API void tracez_adaptive_config_init_bytes(struct tracez_adaptive_config *config,
                                                  size_t struct_bytes);

struct tracez_adaptive;

/* *adaptive is owned by the caller, for one tracer; config NULL: the defaults. Errors: INVALID,
 * NO_MEMORY. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_adaptive_create(const struct tracez_adaptive_config *config,
                       struct tracez_adaptive **adaptive, struct tracez_error *error);

/* After the tracer. NULL is fine. [setup] */
TRACEZ_API void tracez_adaptive_destroy(struct tracez_adaptive *adaptive);

/* Strategy "adaptive", where the rate is not the configured one. It decides by the trace id as
 * tracez_sampler_ratio does. [setup] */
TRACEZ_API struct tracez_sampler tracez_sampler_adaptive(struct tracez_adaptive *adaptive);

/* The rate now. [any] */
TRACEZ_API double tracez_adaptive_rate(const struct tracez_adaptive *adaptive);

/* ---- Rate limit ------------------------------------------------------------------------------ */

/* A token bucket. */
struct tracez_rate_limit {
    double per_second; /* 0.001 to 1e9 */
    double burst;      /* at once, after a pause: 1 to 1e9; 0: twice per_second, at least 1 */
    uint64_t *bucket;  /* a word that begins as 0. Who points at the same one shares the limit, also
                        * other processes when it lies in shared memory */
    const struct tracez_sampler *sampler; /* asked first: what it does not want costs nothing; NULL:
                                           * it wants all */
};

/* What is over the limit is not recorded and not sampled, whatever the caller forces; reason
 * "rate_limit". Errors: INVALID; *sampler is as it was. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_sampler_rate_limited(const struct tracez_rate_limit *limit, struct tracez_sampler *sampler,
                            struct tracez_error *error);

/* ---- Keeping at the end ---------------------------------------------------------------------- */

/* A span that the head sampler does not want is recorded all the same, and kept when it ended with
 * an error, was slow, or tracez_span_keep asked for it; else it counts as not_kept. Its context
 * says that it is not sampled: who is called decides as ever. */
struct tracez_keep {
    const struct tracez_sampler *head; /* asked first; NULL: nobody, all is decided at the end */
    bool errors;                       /* its status is error */
    uint64_t slow_ns;                  /* it took this long or longer; 0: however long */
    const struct tracez_rate_limit *limit; /* of what is kept (its sampler is not asked); NULL: none
                                            */
};

/* Strategy "keep", reason "error", the one of tracez_span_keep, or "slow"; the rate is head's.
 * Errors: INVALID (the limit); *sampler is as it was. [setup] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result tracez_sampler_keep(const struct tracez_keep *keep,
                                                                    struct tracez_sampler *sampler,
                                                                    struct tracez_error *error);

/* Keeps a span that would be decided on at its end; no-op on any other. reason: a static string, as
 * "retried"; the first one stays. [any] */
TRACEZ_API void tracez_span_keep(struct tracez_span span, const char *reason);

#ifdef __cplusplus
}
#endif

#endif
