/* SPDX-License-Identifier: MIT
 *
 * A sampler that goes by the span's name: a short list, looked through from its start. */
#include "result.h"
#include "sampler.h"
#include "text.h"

#include <tracez/sampler.h>

/* "GET /admin*" fits all that begins so. */
static bool fits(const char *pattern, struct tracez_text name)
{
    size_t bytes = strlen(pattern);

    if (bytes > 0 && pattern[bytes - 1] == '*') {
        bytes--; /* 0: also a name that is none */
        return bytes == 0 || (name.bytes >= bytes && memcmp(name.text, pattern, bytes) == 0);
    }
    return text_equals(name, pattern);
}

static void decide_by_name(const struct tracez_sampler *sampler,
                           const struct tracez_sampling_query *query,
                           struct tracez_sampling_decision *decision)
{
    const struct tracez_name_rates *names = sampler->state;

    for (size_t i = 0; i < names->count; i++) {
        double rate = names->rates[i].rate;

        if (fits(names->rates[i].name, query->name)) {
            *decision = sampler_by_threshold(query, sampler_threshold(rate), rate);
            decision->strategy = "name";
            decision->reason = "name";
            return;
        }
    }
    if (names->other != NULL) {
        names->other->decide(names->other, query, decision);
    } else {
        *decision = sampler_always();
    }
}

enum tracez_result tracez_sampler_by_name(const struct tracez_name_rates *names,
                                          struct tracez_sampler *sampler,
                                          struct tracez_error *error)
{
    if (names->count > TRACEZ_NAME_RATES_MAX) {
        return fail(error, TRACEZ_INVALID, "%zu names with rates rejected: up to %d", names->count,
                    TRACEZ_NAME_RATES_MAX);
    }
    for (size_t i = 0; i < names->count; i++) {
        const struct tracez_name_rate *row = &names->rates[i];

        if (row->name == NULL || row->name[0] == '\0') {
            return fail(error, TRACEZ_INVALID, "name %zu with a rate rejected: it is empty", i + 1);
        }
        if (!(row->rate >= 0 && row->rate <= 1)) {
            return fail(error, TRACEZ_INVALID, "rate %g of name \"%.80s\" rejected: 0 to 1",
                        row->rate, row->name);
        }
    }
    *sampler = (struct tracez_sampler){.decide = decide_by_name,
                                       .state = names,
                                       .rate = names->other != NULL ? names->other->rate : 1.0};
    return TRACEZ_OK;
}
