/* SPDX-License-Identifier: MIT
 *
 * Rate limits of samplers; see tracez/sampler.h. */
#ifndef TRACEZ_CORE_RATE_LIMIT_H
#define TRACEZ_CORE_RATE_LIMIT_H

#include <tracez/sampler.h>

enum tracez_result rate_limit_check(const struct tracez_rate_limit *limit,
                                    struct tracez_error *error);

/* False: it is used up. */
bool rate_limit_take(const struct tracez_rate_limit *limit, const struct tracez_tracer *tracer);

#endif
