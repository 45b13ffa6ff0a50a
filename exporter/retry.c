/* SPDX-License-Identifier: MIT
 *
 * Verdicts by OTLP's rules (opentelemetry-proto specification, "OTLP/HTTP Response"), waits as in
 * "Exponential Backoff And Jitter": a random time up to a bound that doubles, so that many clients
 * of one backend do not come back together. */
#include "retry.h"

#define NS_PER_MS UINT64_C(1000000)
#define WAIT_MS_MIN 100
#define RETRY_AFTER_S_MAX 60

enum verdict verdict_of(enum transport_ending ending, int status)
{
    if (ending == TRANSPORT_UNANSWERED) {
        return VERDICT_RETRY;
    }
    if (ending == TRANSPORT_BROKEN) {
        return VERDICT_FINAL;
    }
    switch (status) {
    case 429:
    case 502:
    case 503:
    case 504:
        return VERDICT_RETRY;
    default:
        return status >= 200 && status <= 299 ? VERDICT_ACCEPTED : VERDICT_FINAL;
    }
}

void retry_init(struct retry *retry, uint32_t min_ms, uint32_t max_ms, uint64_t seed)
{
    *retry = (struct retry){.min_ms = min_ms, .max_ms = max_ms, .random = seed};
}

uint64_t retry_next_ns(const struct retry *retry)
{
    if (retry->is_probing) {
        return UINT64_MAX;
    }
    uint64_t next_ns = retry->failures > 0 ? retry->next_ns : 0;
    return next_ns > retry->asked_ns ? next_ns : retry->asked_ns;
}

bool retry_may_send(const struct retry *retry, uint64_t now_ns)
{
    return !retry->is_probing && now_ns >= retry_next_ns(retry);
}

uint32_t retry_begin(struct retry *retry)
{
    retry->is_probing = retry->failures > 0;
    return retry->round;
}

/* splitmix64 */
static uint64_t next_random(struct retry *retry)
{
    uint64_t mixed = retry->random += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* Full jitter, but never less than a hundred milliseconds (or min_ms, where that is less). */
static uint64_t backoff_ns(struct retry *retry)
{
    uint64_t bound_ms = retry->min_ms;
    uint64_t floor_ms = retry->min_ms < WAIT_MS_MIN ? retry->min_ms : WAIT_MS_MIN;

    for (uint32_t i = 1; i < retry->failures && bound_ms < retry->max_ms; i++) {
        bound_ms *= 2;
    }
    bound_ms = bound_ms < retry->max_ms ? bound_ms : retry->max_ms;
    return (floor_ms * NS_PER_MS) + next_random(retry) % ((bound_ms - floor_ms) * NS_PER_MS + 1);
}

/* The longest pause that anybody was asked for counts. */
static void note_asked(struct retry *retry, int64_t retry_after_s, uint64_t now_ns)
{
    uint64_t seconds =
        retry_after_s < RETRY_AFTER_S_MAX ? (uint64_t)retry_after_s : RETRY_AFTER_S_MAX;
    uint64_t wait_ms = seconds > 0 ? seconds * 1000 : WAIT_MS_MIN;
    uint64_t asked_ns = now_ns + wait_ms * NS_PER_MS;

    retry->asked_ns = asked_ns > retry->asked_ns ? asked_ns : retry->asked_ns;
}

void retry_note_failure(struct retry *retry, uint32_t round, int64_t retry_after_s, uint64_t now_ns)
{
    if (retry_after_s >= 0) {
        note_asked(retry, retry_after_s, now_ns);
    }
    if (round != retry->round) {
        return;
    }
    retry->failures += retry->failures < UINT32_MAX;
    retry->round++;
    retry->is_probing = false;
    retry->next_ns = now_ns + (retry_after_s > 0 ? 0 : backoff_ns(retry));
}

void retry_note_answer(struct retry *retry)
{
    if (retry->failures > 0) {
        retry->failures = 0;
        retry->round++;
        retry->is_probing = false;
    }
}

void retry_hurry(struct retry *retry, uint64_t now_ns)
{
    retry->next_ns = retry->next_ns > now_ns ? now_ns : retry->next_ns;
    retry->asked_ns = retry->asked_ns > now_ns ? now_ns : retry->asked_ns;
}
