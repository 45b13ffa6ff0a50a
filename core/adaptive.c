/* SPDX-License-Identifier: MIT
 *
 * A sampler whose rate follows what the collectors can take: down when they refuse spans or fill
 * up, up again otherwise.
 *
 * There is no thread to look at them: the first decision after an interval does, and others go on
 * with the old rate meanwhile. Intervals without a decision count as quiet ones. */
#include "config.h"
#include "result.h"
#include "sampler.h"
#include "tracer.h"

#include <tracez/sampler.h>

#include <stdlib.h>
#include <string.h>

#define INTERVAL_MIN_MS 10
#define INTERVAL_MAX_MS 3600000
#define UP_MAX 10

struct tracez_adaptive {
    struct tracez_adaptive_config config;
    _Atomic double rate;
    _Atomic uint64_t threshold; /* of that rate */
    _Atomic uint64_t looked_ns; /* 0: not yet */
    _Atomic uint64_t refused;   /* by then */
    _Atomic uint64_t buffered;  /* then */
};

/* ---- Set-up ---------------------------------------------------------------------------------- */

void tracez_adaptive_config_init_bytes(struct tracez_adaptive_config *config, size_t struct_bytes)
{
    const struct tracez_adaptive_config defaults = {
        .rate = 1.0,
        .rate_min = 0.01,
        .down = 0.8,
        .up = 1.1,
        .interval_ms = 1000,
        .pressure_percent = 50,
    };

    memset(config, 0, struct_bytes);
    memcpy(config, &defaults, struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
    config->struct_bytes = struct_bytes;
}

static enum tracez_result check(const struct tracez_adaptive_config *config,
                                struct tracez_error *error)
{
    if (!(config->rate > 0 && config->rate <= 1)) {
        return fail(error, TRACEZ_INVALID, "rate %g rejected: over 0, up to 1", config->rate);
    }
    if (!(config->rate_min > 0 && config->rate_min <= config->rate)) {
        return fail(error, TRACEZ_INVALID, "rate_min %g rejected: over 0, up to rate, %g",
                    config->rate_min, config->rate);
    }
    if (!(config->down > 0 && config->down < 1)) {
        return fail(error, TRACEZ_INVALID, "down %g rejected: over 0, below 1", config->down);
    }
    if (!(config->up > 1 && config->up <= UP_MAX)) {
        return fail(error, TRACEZ_INVALID, "up %g rejected: over 1, up to %d", config->up, UP_MAX);
    }
    if (config->interval_ms < INTERVAL_MIN_MS || config->interval_ms > INTERVAL_MAX_MS) {
        return fail(error, TRACEZ_INVALID, "interval_ms %u rejected: %d to %d", config->interval_ms,
                    INTERVAL_MIN_MS, INTERVAL_MAX_MS);
    }
    if (config->pressure_percent < 1 || config->pressure_percent > 100) {
        return fail(error, TRACEZ_INVALID, "pressure_percent %u rejected: 1 to 100",
                    config->pressure_percent);
    }
    return TRACEZ_OK;
}

enum tracez_result tracez_adaptive_create(const struct tracez_adaptive_config *config,
                                          struct tracez_adaptive **adaptive,
                                          struct tracez_error *error)
{
    struct tracez_adaptive_config own;

    *adaptive = NULL;
    tracez_adaptive_config_init(&own);
    if (config != NULL) {
        memcpy(&own, config,
               config->struct_bytes < sizeof(own) ? config->struct_bytes : sizeof(own));
    }
    enum tracez_result result = check(&own, error);
    if (result != TRACEZ_OK) {
        return result;
    }
    struct tracez_adaptive *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return fail(error, TRACEZ_NO_MEMORY, "no memory for an adaptive sampler");
    }
    created->config = own;
    atomic_init(&created->rate, own.rate);
    atomic_init(&created->threshold, sampler_threshold(own.rate));
    *adaptive = created;
    return TRACEZ_OK;
}

void tracez_adaptive_destroy(struct tracez_adaptive *adaptive)
{
    free(adaptive);
}

double tracez_adaptive_rate(const struct tracez_adaptive *adaptive)
{
    /* Relaxed: it stands for itself. */
    return atomic_load_explicit(&adaptive->rate, memory_order_relaxed);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* What is there to see at the collectors. */
struct sight {
    uint64_t refused;          /* so far, by all */
    uint64_t buffered;         /* now, in all */
    uint32_t pressure_percent; /* of the fullest */
};

static struct sight look_at_collectors(const struct tracez_tracer *tracer)
{
    struct sight sight = {0};

    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        struct tracez_collector_stats stats;

        tracez_collector_stats_init(&stats);
        tracez_collector_stats(&tracer->collectors[i], &stats);
        sight.refused += stats.dropped[TRACEZ_DROP_QUEUE_FULL];
        sight.buffered += stats.queued + stats.inflight;
        if (stats.pressure_percent > sight.pressure_percent) {
            sight.pressure_percent = stats.pressure_percent;
        }
    }
    return sight;
}

static double rate_down(const struct tracez_adaptive_config *config, double rate)
{
    rate *= config->down;
    return rate > config->rate_min ? rate : config->rate_min;
}

static double rate_up(const struct tracez_adaptive_config *config, double rate, uint64_t intervals)
{
    double up = config->up;

    /* A power by squares: there may be a billion intervals, and somebody waits. */
    for (; intervals > 0 && rate < config->rate; intervals /= 2) {
        rate *= intervals % 2 != 0 ? up : 1;
        up *= up;
    }
    return rate < config->rate ? rate : config->rate;
}

/* By the one thread that won this interval. Relaxed throughout: each word stands for itself, and a
 * decision that meets the old rate is one of the moment before. */
static void look(struct tracez_adaptive *adaptive, const struct tracez_tracer *tracer,
                 uint64_t intervals)
{
    const struct tracez_adaptive_config *config = &adaptive->config;
    struct sight now = look_at_collectors(tracer);
    uint64_t refused =
        atomic_exchange_explicit(&adaptive->refused, now.refused, memory_order_relaxed);
    uint64_t buffered =
        atomic_exchange_explicit(&adaptive->buffered, now.buffered, memory_order_relaxed);
    double rate = tracez_adaptive_rate(adaptive);

    bool is_pressed = now.pressure_percent > config->pressure_percent;
    if (now.refused > refused || (is_pressed && now.buffered >= buffered)) {
        rate = rate_down(config, rate);
    } else if (!is_pressed) {
        rate = rate_up(config, rate, intervals);
    } /* else it empties by itself: still lower, the rate would have to climb for a minute */
    atomic_store_explicit(&adaptive->rate, rate, memory_order_relaxed);
    atomic_store_explicit(&adaptive->threshold, sampler_threshold(rate), memory_order_relaxed);
}

static void look_when_due(struct tracez_adaptive *adaptive, const struct tracez_tracer *tracer)
{
    uint64_t interval_ns = (uint64_t)adaptive->config.interval_ms * 1000000U;
    uint64_t now_ns = tracez_tracer_now_ns(tracer);
    /* Relaxed: the exchange decides who looks. */
    uint64_t looked_ns = atomic_load_explicit(&adaptive->looked_ns, memory_order_relaxed);

    if (now_ns < looked_ns || (looked_ns != 0 && now_ns - looked_ns < interval_ns) ||
        !atomic_compare_exchange_strong_explicit(&adaptive->looked_ns, &looked_ns, now_ns,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return;
    }
    if (looked_ns == 0) { /* what was refused before it was asked first does not count */
        struct sight now = look_at_collectors(tracer);
        atomic_store_explicit(&adaptive->refused, now.refused, memory_order_relaxed);
        atomic_store_explicit(&adaptive->buffered, now.buffered, memory_order_relaxed);
        return;
    }
    look(adaptive, tracer, (now_ns - looked_ns) / interval_ns);
}

/* ---- Deciding -------------------------------------------------------------------------------- */

static void decide_adaptive(const struct tracez_sampler *sampler,
                            const struct tracez_sampling_query *query,
                            struct tracez_sampling_decision *decision)
{
    /* The sampler is a value that many have; what it points at is one, and ours to change. */
    struct tracez_adaptive *adaptive = (struct tracez_adaptive *)(uintptr_t)sampler->state;

    if (query->tracer != NULL) {
        look_when_due(adaptive, query->tracer);
    }
    double rate = tracez_adaptive_rate(adaptive);
    *decision = sampler_by_threshold(
        query, atomic_load_explicit(&adaptive->threshold, memory_order_relaxed), rate);
    decision->reason = "adaptive";
    decision->strategy = rate < adaptive->config.rate ? "adaptive" : NULL;
}

struct tracez_sampler tracez_sampler_adaptive(struct tracez_adaptive *adaptive)
{
    return (struct tracez_sampler){
        .decide = decide_adaptive, .state = adaptive, .rate = adaptive->config.rate};
}
