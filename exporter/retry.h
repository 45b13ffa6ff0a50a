/* SPDX-License-Identifier: MIT
 *
 * When to try again: what an attempt's end means for its batch, and how long an endpoint that fails
 * is left alone. Pure arithmetic on times that the caller passes in (monotonic clock).
 *
 * While attempts fail the endpoint is down, and one probe at a time is allowed, after a wait that
 * doubles with each failure (full jitter) or that the endpoint asked for. Attempts that began
 * before it went down, or before the last probe, say nothing new: each begins in a round, and only
 * those of the present round count. A pause that the endpoint asked for is kept whoever heard of
 * it, and whatever the others hear meanwhile. */
#ifndef TRACEZ_EXPORTER_RETRY_H
#define TRACEZ_EXPORTER_RETRY_H

#include "transport.h"

enum verdict { VERDICT_ACCEPTED, VERDICT_RETRY, VERDICT_FINAL };

enum verdict verdict_of(enum transport_ending ending, int status);

struct retry {
    uint32_t min_ms;
    uint32_t max_ms;
    uint64_t random;
    uint32_t failures; /* in a row; 0: the endpoint is up */
    uint32_t round;
    bool is_probing;
    uint64_t next_ns;  /* while down: no probe before */
    uint64_t asked_ns; /* no attempt at all before: the endpoint asked for it */
};

void retry_init(struct retry *retry, uint32_t min_ms, uint32_t max_ms, uint64_t seed);

bool retry_may_send(const struct retry *retry, uint64_t now_ns);

/* When it may, if nothing happens before; UINT64_MAX: not until the probe has ended. */
uint64_t retry_next_ns(const struct retry *retry);

/* An attempt begins; returns its round. */
uint32_t retry_begin(struct retry *retry);

/* An attempt of this round failed. retry_after_s: what the endpoint asked for; 0 leaves the wait to
 * us, and so does RETRY_AFTER_NONE. */
void retry_note_failure(struct retry *retry, uint32_t round, int64_t retry_after_s,
                        uint64_t now_ns);

/* The endpoint answered, with whatever final verdict: it is up. */
void retry_note_answer(struct retry *retry);

/* Allows a probe at once, once. */
void retry_hurry(struct retry *retry, uint64_t now_ns);

#endif
