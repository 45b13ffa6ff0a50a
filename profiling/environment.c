/* SPDX-License-Identifier: MIT
 *
 * Reading the settings of profiling from the environment. */
#include "bind_address.h"

#include <tracez/profiling.h>

#include <string.h>

static bool is_one_of(const char *text, const char *word, const char *digit)
{
    return strcmp(text, word) == 0 || strcmp(text, digit) == 0;
}

static void read_enabled(struct tracez_profiling_config *config,
                         const struct tracez_environment *environment)
{
    static const char name[] = "ENABLE_PROFILING";
    const char *text = tracez_environment_text(name);

    if (text == NULL) {
        return;
    }
    if (is_one_of(text, "true", "1")) {
        config->enabled = true;
    } else if (is_one_of(text, "false", "0")) {
        config->enabled = false;
    } else {
        tracez_environment_ignore(environment, name, "true or false");
    }
}

static void read_address(struct tracez_profiling_config *config,
                         const struct tracez_environment *environment)
{
    static const char name[] = "TRACEZ_PROFILING_ADDRESS";
    const char *text = tracez_environment_text(name);
    union bind_address ignored;

    if (text == NULL) {
        return;
    }
    if (bind_address_parse(&ignored, text, NULL) == TRACEZ_OK) {
        config->address = text;
    } else {
        tracez_environment_ignore(environment, name,
                                  "an IP address and a port, as in 127.0.0.1:6060 or [::1]:6060");
    }
}

void tracez_profiling_config_read_environment(struct tracez_profiling_config *config,
                                              const struct tracez_environment *environment)
{
    read_enabled(config, environment);
    read_address(config, environment);
}
