/* SPDX-License-Identifier: MIT
 *
 * Keep rules at the end of a span; see tracez/sampler.h. */
#ifndef TRACEZ_CORE_KEEP_H
#define TRACEZ_CORE_KEEP_H

#include "slots.h"

/* May a span that is to be decided on now, locked and over, be kept? Tags it with the reason. */
bool keep_decide(struct slot *slot, uint64_t duration_ns);

#endif
