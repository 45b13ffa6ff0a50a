/* SPDX-License-Identifier: MIT
 *
 * Head samplers: record this span, or not, and why. Plain values that compose by pointing at each
 * other.
 *
 * Ratio follows OpenTelemetry's consistent probability sampling: keep when the trace's randomness
 * (its id's right-most 56 bits, or rv: in tracestate) is at least the threshold (1 - rate) x 2^56.
 * Whoever sees the same trace id decides alike, and a trace kept at a low rate is kept at every
 * higher one. */
#include "sampler.h"

#include "tracestate.h"

#define RANDOMNESS_BITS 56

void sampler_decide_always(const struct tracez_sampler *sampler,
                           const struct tracez_sampling_query *query,
                           struct tracez_sampling_decision *decision)
{
    (void)sampler;
    (void)query;
    *decision = sampler_always();
}

void sampler_decide_never(const struct tracez_sampler *sampler,
                          const struct tracez_sampling_query *query,
                          struct tracez_sampling_decision *decision)
{
    (void)sampler;
    (void)query;
    *decision = sampler_never();
}

static uint64_t randomness_of(const struct tracez_sampling_query *query)
{
    uint64_t randomness = 0;

    if (query->parent != NULL && query->parent->tracestate_bytes > 0 &&
        tracestate_randomness(query->parent->tracestate, query->parent->tracestate_bytes,
                              &randomness)) {
        return randomness;
    }
    for (int i = TRACEZ_TRACE_ID_BYTES - RANDOMNESS_BITS / 8; i < TRACEZ_TRACE_ID_BYTES; i++) {
        randomness = randomness << 8 | query->trace_id[i];
    }
    return randomness;
}

struct tracez_sampling_decision sampler_by_threshold(const struct tracez_sampling_query *query,
                                                     uint64_t threshold, double rate)
{
    bool keep = randomness_of(query) >= threshold;

    return (struct tracez_sampling_decision){.record = keep,
                                             .sampled = keep,
                                             .rate = rate,
                                             .threshold = keep ? threshold : 0,
                                             .reason = "ratio"};
}

static void decide_ratio(const struct tracez_sampler *sampler,
                         const struct tracez_sampling_query *query,
                         struct tracez_sampling_decision *decision)
{
    *decision = sampler_by_threshold(query, sampler->threshold, sampler->rate);
}

void sampler_decide_by_parent(const struct tracez_sampler *sampler,
                              const struct tracez_sampling_query *query,
                              struct tracez_sampling_decision *decision)
{
    const struct tracez_sampler *root = sampler->state;

    if (sampler_follows(query->parent)) {
        *decision = sampler_by_parent(query->parent);
    } else {
        root->decide(root, query, decision);
    }
}

struct tracez_sampler tracez_sampler_always(void)
{
    return (struct tracez_sampler){.decide = sampler_decide_always, .rate = 1.0};
}

struct tracez_sampler tracez_sampler_never(void)
{
    return (struct tracez_sampler){.decide = sampler_decide_never};
}

uint64_t sampler_threshold(double rate)
{
    const uint64_t none = 1ULL << RANDOMNESS_BITS;

    /* The smallest rate that a threshold can express is 2^-56; below it, and for NaN: never. */
    return rate >= 1.0 ? 0 : rate > 0.0 ? (uint64_t)((1.0 - rate) * (double)none) : none;
}

struct tracez_sampler tracez_sampler_ratio(double rate)
{
    uint64_t threshold = sampler_threshold(rate);

    if (threshold == 0) {
        return tracez_sampler_always();
    }
    if (threshold >= 1ULL << RANDOMNESS_BITS) {
        return tracez_sampler_never();
    }
    return (struct tracez_sampler){.decide = decide_ratio, .rate = rate, .threshold = threshold};
}

struct tracez_sampler tracez_sampler_parent_based(const struct tracez_sampler *root)
{
    static const struct tracez_sampler always = {.decide = sampler_decide_always, .rate = 1.0};

    root = root == NULL ? &always : root;
    return (struct tracez_sampler){
        .decide = sampler_decide_by_parent, .state = root, .rate = root->rate};
}
