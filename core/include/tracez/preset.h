/* SPDX-License-Identifier: MIT
 *
 * Presets by environment: buffer, interval, tag size and rate as they suit production, staging and
 * development, in one word. Apply one after the defaults and before anything that is set by itself:
 * what comes later wins. Each library takes its own part of a preset: core in
 * tracez_config_apply_preset, the exporter in tracez_exporter_config_apply_preset. */
#ifndef TRACEZ_PRESET_H
#define TRACEZ_PRESET_H

#include <tracez/tracez.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tracez_preset {
    const char *name;       /* static: "production"; "unknown" for one that is none of them */
    uint32_t spans_max;     /* of the default collector */
    uint32_t interval_ms;   /* the exporter's */
    uint32_t max_tag_bytes; /* one string value */
    double sample_rate;     /* share of new traces to keep */
};

/* "production", "staging" or "development". Any other name (NULL is ""): INVALID with a text that
 * names these, and *preset is a cautious one for environments that nobody knows. [any] */
TRACEZ_API enum tracez_result tracez_preset_find(const char *name, struct tracez_preset *preset,
                                                 struct tracez_error *error);

/* Sets spans_max, max_tag_bytes and sample_rate. NULL or "", no name at all: changes nothing, and
 * tracez's own defaults hold. INVALID: the name is unknown; its cautious preset was applied all the
 * same, and tracez_preset_find has the sentence to warn with. [any] */
TRACEZ_API enum tracez_result tracez_config_apply_preset(struct tracez_config *config,
                                                         const char *name);

#ifdef __cplusplus
}
#endif

#endif
