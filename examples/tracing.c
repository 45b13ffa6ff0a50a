/* SPDX-License-Identifier: MIT */
#include "tracing.h"

#include <stdio.h>

static void warn(const char *text, void *state)
{
    fprintf(stderr, "%s: %s\n", (const char *)state, text);
}

static bool start(struct tracing *tracing, const char *service_name, struct tracez_error *error)
{
    const struct tracez_environment environment = {
        .warn = warn,
        .state = (void *)(uintptr_t)service_name,
    };
    struct tracez_config config;
    struct tracez_exporter_config exporter_config;
    struct tracez_mhd_config mhd_config;

    tracez_config_init(&config);
    config.service_name = service_name;
    tracez_config_read_environment(&config, &environment);
    if (tracez_tracer_create(&config, &tracing->tracer, error) != TRACEZ_OK) {
        return false;
    }
    tracez_exporter_config_init(&exporter_config);
    tracez_exporter_config_read_environment(&exporter_config, &environment);
    if (tracez_exporter_create(&exporter_config, tracing->tracer, &tracing->exporter, error) !=
            TRACEZ_OK ||
        tracez_exporter_start(tracing->exporter, error) != TRACEZ_OK) {
        return false;
    }
    tracez_mhd_config_init(&mhd_config);
    mhd_config.tracer = tracing->tracer;
    tracez_mhd_config_read_environment(&mhd_config, &environment);
    return tracez_mhd_create(&mhd_config, &tracing->mhd, error) == TRACEZ_OK;
}

bool tracing_start(struct tracing *tracing, const char *service_name)
{
    struct tracez_error error;

    *tracing = (struct tracing){0};
    if (!start(tracing, service_name, &error)) {
        fprintf(stderr, "%s: %s\n", service_name, error.text);
        tracing_stop(tracing);
        return false;
    }
    return true;
}

void tracing_stop(struct tracing *tracing)
{
    tracez_mhd_destroy(tracing->mhd);
    tracez_exporter_destroy(tracing->exporter);
    tracez_tracer_destroy(tracing->tracer);
}
