/* SPDX-License-Identifier: MIT
 *
 * Samplers within the core. The usual ones are recognised by their functions' addresses, so that
 * most starts decide without a call; what they decide is written here once. */
#ifndef TRACEZ_CORE_SAMPLER_H
#define TRACEZ_CORE_SAMPLER_H

#include <tracez/tracez.h>

void sampler_decide_always(const struct tracez_sampler *sampler,
                           const struct tracez_sampling_query *query,
                           struct tracez_sampling_decision *decision);
void sampler_decide_never(const struct tracez_sampler *sampler,
                          const struct tracez_sampling_query *query,
                          struct tracez_sampling_decision *decision);
/* state is the sampler of roots. */
void sampler_decide_by_parent(const struct tracez_sampler *sampler,
                              const struct tracez_sampling_query *query,
                              struct tracez_sampling_decision *decision);

static inline struct tracez_sampling_decision sampler_always(void)
{
    return (struct tracez_sampling_decision){
        .record = true, .sampled = true, .rate = 1.0, .reason = "always"};
}

static inline struct tracez_sampling_decision sampler_never(void)
{
    return (struct tracez_sampling_decision){.reason = "never"};
}

static inline struct tracez_sampling_decision sampler_by_parent(const struct tracez_context *parent)
{
    bool keep = (parent->flags & TRACEZ_FLAG_SAMPLED) != 0;

    return (struct tracez_sampling_decision){
        .record = keep, .sampled = keep, .rate = keep ? 1.0 : 0.0, .reason = "parent"};
}

static inline bool sampler_follows(const struct tracez_context *parent)
{
    return parent != NULL && (parent->flags & TRACEZ_FLAG_UNDECIDED) == 0;
}

/* Keeps what the trace id's 56 bits put at the threshold or over it. */
struct tracez_sampling_decision sampler_by_threshold(const struct tracez_sampling_query *query,
                                                     uint64_t threshold, double rate);

/* 56 bits; 2^56: nothing is kept. */
uint64_t sampler_threshold(double rate);

/* False: the sampler has to be called. */
static inline bool sampler_is_usual(const struct tracez_sampler *sampler,
                                    const struct tracez_context *parent,
                                    struct tracez_sampling_decision *decision)
{
    if (sampler->decide == sampler_decide_by_parent) {
        if (sampler_follows(parent)) {
            *decision = sampler_by_parent(parent);
            return true;
        }
        sampler = sampler->state;
    }
    if (sampler->decide == sampler_decide_always) {
        *decision = sampler_always();
        return true;
    }
    if (sampler->decide == sampler_decide_never) {
        *decision = sampler_never();
        return true;
    }
    return false;
}

#endif
