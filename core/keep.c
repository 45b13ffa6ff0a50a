/* SPDX-License-Identifier: MIT
 *
 * Deciding at the end: the head sampler's no becomes a "perhaps", and the span's own end decides.
 */
#include "keep.h"

#include "rate_limit.h"
#include "sampler.h"
#include "span.h"

#include <tracez/sampler.h>

#include <string.h>

static void decide_keep(const struct tracez_sampler *sampler,
                        const struct tracez_sampling_query *query,
                        struct tracez_sampling_decision *decision)
{
    const struct tracez_keep *keep = sampler->state;

    if (keep->head != NULL) {
        keep->head->decide(keep->head, query, decision);
    } else {
        *decision = sampler_never();
    }
    if (!decision->record) {
        decision->record = true;
        decision->keep = keep;
        decision->strategy = "keep";
    }
}

enum tracez_result tracez_sampler_keep(const struct tracez_keep *keep,
                                       struct tracez_sampler *sampler, struct tracez_error *error)
{
    enum tracez_result result =
        keep->limit != NULL ? rate_limit_check(keep->limit, error) : TRACEZ_OK;

    if (result == TRACEZ_OK) {
        *sampler = (struct tracez_sampler){.decide = decide_keep,
                                           .state = keep,
                                           .rate = keep->head != NULL ? keep->head->rate : 0.0};
    }
    return result;
}

void tracez_span_keep(struct tracez_span span, const char *reason)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        if (slot->keep != NULL && slot->keep_reason == NULL) {
            slot->keep_reason = reason;
        }
        span_unlock(slot, span);
    }
}

static const char *reason_of(const struct slot *slot, uint64_t duration_ns)
{
    const struct tracez_keep *keep = slot->keep;

    if (keep->errors && (slot->record.status & ~RECORD_PARENT_IS_REMOTE) == TRACEZ_STATUS_ERROR) {
        return "error";
    }
    if (slot->keep_reason != NULL) {
        return slot->keep_reason;
    }
    return keep->slow_ns != 0 && duration_ns >= keep->slow_ns ? "slow" : NULL;
}

bool keep_decide(struct slot *slot, uint64_t duration_ns)
{
    const char *reason = reason_of(slot, duration_ns);
    const struct tracez_rate_limit *limit = slot->keep->limit;

    if (reason == NULL || (limit != NULL && !rate_limit_take(limit, slot->tracer))) {
        return false;
    }
    const struct tracez_tag tag = {
        .key = TRACEZ_KEY(TRACEZ_SAMPLING_REASON),
        .type = TRACEZ_TAG_STRING,
        .value.string = {reason, strlen(reason)},
    };
    span_set_tag_locked(slot, &tag);
    return true;
}
