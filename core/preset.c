/* SPDX-License-Identifier: MIT
 *
 * The presets: one table. Its interval is the exporter's, who asks for it here; nothing else in the
 * core knows it. */
#include "result.h"

#include <tracez/preset.h>

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct tracez_preset presets[] = {
    {"production", 15000, 30000, 500, 0.1},
    {"staging", 5000, 15000, 1000, 0.5},
    {"development", 1000, 5000, 2000, 1.0},
};

static const struct tracez_preset unknown = {"unknown", 1000, 10000, 1000, 0.1};

enum tracez_result tracez_preset_find(const char *name, struct tracez_preset *preset,
                                      struct tracez_error *error)
{
    name = name != NULL ? name : "";
    for (size_t i = 0; i < COUNT_OF(presets); i++) {
        if (strcmp(name, presets[i].name) == 0) {
            *preset = presets[i];
            return TRACEZ_OK;
        }
    }
    *preset = unknown;
    return fail(error, TRACEZ_INVALID,
                "environment \"%.80s\" is unknown: production, staging and development are known; "
                "it gets %u spans, %u s, %u bytes a tag and rate %g",
                name, unknown.spans_max, unknown.interval_ms / 1000, unknown.max_tag_bytes,
                unknown.sample_rate);
}

enum tracez_result tracez_config_apply_preset(struct tracez_config *config, const char *name)
{
    struct tracez_preset preset;

    if (name == NULL || name[0] == '\0') {
        return TRACEZ_OK;
    }
    enum tracez_result result = tracez_preset_find(name, &preset, NULL);
    config->spans_max = preset.spans_max;
    config->max_tag_bytes = preset.max_tag_bytes;
    config->sample_rate = preset.sample_rate;
    return result;
}
