/* SPDX-License-Identifier: MIT
 *
 * Which pace each collector has: from the configuration, by name. */
#include "pace.h"

#include "config.h"
#include "refusal.h"

#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

static enum tracez_result check_numbers(const struct tracez_collector_pace *pace,
                                        struct tracez_error *error)
{
    const struct {
        const char *name;
        uint32_t value;
        uint32_t min;
        uint32_t max;
    } numbers[] = {
        {"interval_ms", pace->interval_ms, INTERVAL_MS_MIN, INTERVAL_MS_MAX},
        {"batch_size", pace->batch_size, BATCH_SIZE_MIN, BATCH_SIZE_MAX},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (numbers[i].value != 0 &&
            (numbers[i].value < numbers[i].min || numbers[i].value > numbers[i].max)) {
            return refuse(error, TRACEZ_INVALID, "%s %u of collector \"%.63s\" rejected: %u to %u",
                          numbers[i].name, numbers[i].value, pace->collector, numbers[i].min,
                          numbers[i].max);
        }
    }
    return TRACEZ_OK;
}

static bool is_repeated(const struct tracez_exporter_config *config, size_t index)
{
    size_t first = 0;

    while (strcmp(config->paces[first].collector, config->paces[index].collector) != 0) {
        first++;
    }
    return first < index;
}

enum tracez_result paces_check(const struct tracez_exporter_config *config,
                               struct tracez_error *error)
{
    enum tracez_result result = TRACEZ_OK;

    if (config->pace_count > TRACEZ_COLLECTORS_MAX) {
        return refuse(error, TRACEZ_INVALID, "pace_count %zu rejected: 0 to %d", config->pace_count,
                      TRACEZ_COLLECTORS_MAX);
    }
    if (config->pace_count > 0 && config->paces == NULL) {
        return refuse(error, TRACEZ_INVALID, "paces rejected: pace_count is %zu, and there is none",
                      config->pace_count);
    }
    for (size_t i = 0; i < config->pace_count && result == TRACEZ_OK; i++) {
        const struct tracez_collector_pace *pace = &config->paces[i];

        if (pace->collector == NULL) {
            return refuse(error, TRACEZ_INVALID, "pace %zu rejected: it names no collector", i);
        }
        if (is_repeated(config, i)) {
            return refuse(error, TRACEZ_INVALID,
                          "pace of collector \"%.63s\" rejected: it has one already",
                          pace->collector);
        }
        result = check_numbers(pace, error);
    }
    return result;
}

static size_t find(struct tracez_tracer *tracer, const char *name)
{
    const struct tracez_collector *wanted = tracez_tracer_find_collector(tracer, name);
    size_t index = 0;

    while (tracez_tracer_collector(tracer, index) != wanted) {
        index++; /* one beyond the last is NULL, as what is not there */
    }
    return index;
}

enum tracez_result paces_init(struct pace paces[TRACEZ_COLLECTORS_MAX],
                              const struct tracez_exporter_config *config,
                              struct tracez_tracer *tracer, struct tracez_error *error)
{
    for (size_t i = 0; i < TRACEZ_COLLECTORS_MAX; i++) {
        paces[i] = (struct pace){
            .interval_ns = config->interval_ms * NS_PER_MS,
            .batch_size = config->batch_size,
        };
    }
    for (size_t i = 0; i < config->pace_count; i++) {
        const struct tracez_collector_pace *own = &config->paces[i];
        size_t index = find(tracer, own->collector);

        if (tracez_tracer_collector(tracer, index) == NULL) {
            return refuse(error, TRACEZ_INVALID,
                          "pace of collector \"%.63s\" rejected: the tracer has none of this name",
                          own->collector);
        }
        if (own->interval_ms != 0) {
            paces[index].interval_ns = own->interval_ms * NS_PER_MS;
        }
        if (own->batch_size != 0) {
            paces[index].batch_size = own->batch_size;
        }
    }
    return TRACEZ_OK;
}
