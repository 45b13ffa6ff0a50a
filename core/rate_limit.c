/* SPDX-License-Identifier: MIT
 *
 * A sampler that lets through only so many a second. */
#include "rate_limit.h"

#include "bucket.h"
#include "result.h"
#include "sampler.h"
#include "tracer.h"

_Static_assert(sizeof(struct bucket) == sizeof(uint64_t), "a bucket is one word");

enum tracez_result rate_limit_check(const struct tracez_rate_limit *limit,
                                    struct tracez_error *error)
{
    if (!(limit->per_second >= BUCKET_RATE_MIN && limit->per_second <= BUCKET_RATE_MAX)) {
        return fail(error, TRACEZ_INVALID, "per_second %g rejected: %g to %g", limit->per_second,
                    BUCKET_RATE_MIN, BUCKET_RATE_MAX);
    }
    if (limit->burst != 0 && !(limit->burst >= 1 && limit->burst <= BUCKET_RATE_MAX)) {
        return fail(error, TRACEZ_INVALID, "burst %g rejected: 1 to %g, or 0 for the usual one",
                    limit->burst, BUCKET_RATE_MAX);
    }
    if (limit->bucket == NULL || (uintptr_t)limit->bucket % sizeof(uint64_t) != 0) {
        return fail(error, TRACEZ_INVALID, "bucket %p rejected: a word, aligned to %zu bytes",
                    (void *)limit->bucket, sizeof(uint64_t));
    }
    return TRACEZ_OK;
}

bool rate_limit_take(const struct tracez_rate_limit *limit, const struct tracez_tracer *tracer)
{
    const struct bucket_rate rate = bucket_rate_of(limit->per_second, limit->burst);

    return bucket_take((struct bucket *)(void *)limit->bucket, &rate, &tracer->clock);
}

static void decide_rate_limited(const struct tracez_sampler *sampler,
                                const struct tracez_sampling_query *query,
                                struct tracez_sampling_decision *decision)
{
    const struct tracez_rate_limit *limit = sampler->state;

    if (limit->sampler != NULL) {
        limit->sampler->decide(limit->sampler, query, decision);
    } else {
        *decision = sampler_always();
    }
    if (decision->record && !rate_limit_take(limit, query->tracer)) {
        double rate = decision->rate;
        *decision = sampler_never();
        decision->rate = rate;
        decision->reason = "rate_limit";
    }
}

enum tracez_result tracez_sampler_rate_limited(const struct tracez_rate_limit *limit,
                                               struct tracez_sampler *sampler,
                                               struct tracez_error *error)
{
    enum tracez_result result = rate_limit_check(limit, error);

    if (result == TRACEZ_OK) {
        *sampler =
            (struct tracez_sampler){.decide = decide_rate_limited,
                                    .state = limit,
                                    .rate = limit->sampler != NULL ? limit->sampler->rate : 1.0};
    }
    return result;
}
