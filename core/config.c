/* SPDX-License-Identifier: MIT
 *
 * Defaults and ranges of a tracer's configuration. */
#include "config.h"

#include "attributes.h"
#include "result.h"

#include <string.h>

#define LIVE_SPANS_DEFAULT 4096
#define SPAN_BYTES_DEFAULT 16384
#define SPAN_BYTES_MIN 2048
#define SPAN_BYTES_MAX 65536
#define TAG_BYTES_DEFAULT 1000
#define SPANS_DEFAULT 8192

void tracez_config_init_bytes(struct tracez_config *config, size_t struct_bytes)
{
    struct tracez_config defaults = {
        .struct_bytes = struct_bytes,
        .spans_max = SPANS_DEFAULT,
        .live_spans_max = LIVE_SPANS_DEFAULT,
        .span_bytes_max = SPAN_BYTES_DEFAULT,
        .max_tag_bytes = TAG_BYTES_DEFAULT,
        .lanes = 1,
        .sample_rate = 1,
    };

    memset(config, 0, struct_bytes);
    memcpy(config, &defaults, struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
}

size_t config_collector_count(const struct tracez_config *config)
{
    return config->collectors == NULL ? 1 : config->collector_count;
}

const struct tracez_collector_config *config_collector(const struct tracez_config *config,
                                                       size_t index)
{
    static _Thread_local struct tracez_collector_config only;

    if (config->collectors != NULL) {
        return &config->collectors[index];
    }
    only = (struct tracez_collector_config){
        .name = COLLECTOR_NAME_DEFAULT,
        .spans_max = config->spans_max,
    };
    return &only;
}

size_t config_resource_count(const struct tracez_config *config)
{
    return config->resources == NULL ? 1 : config->resource_count;
}

struct tracez_resource config_resource(const struct tracez_config *config, size_t index)
{
    if (config->resources != NULL) {
        return config->resources[index];
    }
    return (struct tracez_resource){
        .service_name = config->service_name,
        .attributes = config->resource_attributes,
    };
}

static enum tracez_result check_range(const char *name, uint32_t value, uint32_t min, uint32_t max,
                                      struct tracez_error *error)
{
    if (value < min || value > max) {
        return fail(error, TRACEZ_INVALID, "%s %u rejected: %u to %u", name, value, min, max);
    }
    return TRACEZ_OK;
}

static enum tracez_result check_collectors(const struct tracez_config *config,
                                           struct tracez_error *error)
{
    for (size_t i = 0; i < config->collector_count; i++) {
        const struct tracez_collector_config *collector = &config->collectors[i];

        if (collector->name == NULL) {
            return fail(error, TRACEZ_INVALID, "collector %zu rejected: it has no name", i);
        }
        for (size_t other = 0; other < i; other++) {
            if (strcmp(collector->name, config->collectors[other].name) == 0) {
                return fail(error, TRACEZ_INVALID,
                            "collector name \"%.80s\" rejected: another one has it",
                            collector->name);
            }
        }
        if (collector->match > TRACEZ_MATCH_NAMED_REST ||
            (collector->match == TRACEZ_MATCH_NAME && collector->match_name == NULL) ||
            (collector->match == TRACEZ_MATCH_CALLBACK && collector->match_fn == NULL)) {
            return fail(error, TRACEZ_INVALID,
                        "match %d of collector \"%.80s\" rejected: one of enum tracez_match, with "
                        "its match_name or match_fn",
                        (int)collector->match, collector->name);
        }
    }
    return TRACEZ_OK;
}

static enum tracez_result check_attributes(const struct tracez_config *config,
                                           struct tracez_error *error)
{
    for (size_t i = 0; i < config_resource_count(config); i++) {
        struct attributes attributes;
        struct tracez_resource resource = config_resource(config, i);
        const char *wrong = attributes_read(&attributes, resource.attributes);

        if (wrong != NULL) {
            return fail(error, TRACEZ_INVALID,
                        "%s \"%.80s\" rejected: %s; it must be key=value,key=value",
                        config->resources == NULL ? "resource_attributes" : "attributes",
                        resource.attributes, wrong);
        }
    }
    return TRACEZ_OK;
}

static enum tracez_result check_memory(const struct tracez_config *config,
                                       struct tracez_error *error)
{
    if ((config->buffer_memory == NULL) != (config->ledger_memory == NULL)) {
        return fail(error, TRACEZ_INVALID,
                    "buffer_memory and ledger_memory rejected: give both or neither");
    }
    if (config->ledger_memory != NULL && config->writer >= TRACEZ_WRITERS_MAX) {
        return fail(error, TRACEZ_INVALID, "writer %u rejected: 0 to %d", config->writer,
                    TRACEZ_WRITERS_MAX - 1);
    }
    return TRACEZ_OK;
}

enum tracez_result config_check(const struct tracez_config *config, struct tracez_error *error)
{
    enum tracez_result result;

    if (config->struct_bytes != sizeof(*config)) {
        return fail(error, TRACEZ_INVALID,
                    "struct_bytes %zu rejected: call tracez_config_init first",
                    config->struct_bytes);
    }
    if (config->collectors == NULL) {
        result = check_range("spans_max", config->spans_max, SPANS_MIN, SPANS_MAX, error);
    } else {
        result = check_range(
            "collector_count",
            (uint32_t)(config->collector_count > UINT32_MAX ? UINT32_MAX : config->collector_count),
            1, TRACEZ_COLLECTORS_MAX, error);
        result = result != TRACEZ_OK ? result : check_collectors(config, error);
    }
    if (result == TRACEZ_OK && config->resources != NULL) {
        result = check_range(
            "resource_count",
            (uint32_t)(config->resource_count > UINT32_MAX ? UINT32_MAX : config->resource_count),
            1, TRACEZ_RESOURCES_MAX, error);
    }
    if (result == TRACEZ_OK) {
        result = check_range("live_spans_max", config->live_spans_max, LIVE_SPANS_MIN,
                             LIVE_SPANS_MAX, error);
    }
    if (result == TRACEZ_OK) {
        result = check_range("span_bytes_max", config->span_bytes_max, SPAN_BYTES_MIN,
                             SPAN_BYTES_MAX, error);
    }
    if (result == TRACEZ_OK) {
        result = check_range("max_tag_bytes", config->max_tag_bytes, TAG_BYTES_MIN, TAG_BYTES_MAX,
                             error);
    }
    if (result == TRACEZ_OK) {
        result = check_range("lanes", config->lanes, 1, TRACEZ_LANES_MAX, error);
    }
    if (result == TRACEZ_OK) {
        result = check_range("max_spans_per_second", config->max_spans_per_second, 0,
                             SPANS_PER_SECOND_MAX, error);
    }
    if (result == TRACEZ_OK && !(config->sample_rate >= 0 && config->sample_rate <= 1)) {
        result =
            fail(error, TRACEZ_INVALID, "sample_rate %g rejected: 0 to 1", config->sample_rate);
    }
    if (result == TRACEZ_OK &&
        (config->clock.monotonic_ns == NULL) != (config->clock.unix_ns == NULL)) {
        result = fail(error, TRACEZ_INVALID, "clock rejected: give both functions or neither");
    }
    result = result != TRACEZ_OK ? result : check_attributes(config, error);
    return result != TRACEZ_OK ? result : check_memory(config, error);
}
