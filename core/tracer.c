/* SPDX-License-Identifier: MIT
 *
 * Making and unmaking a tracer. Memory that the caller does not give is reserved as address space
 * and touched as it is used. destroy takes half-built tracers, which keeps create short. */
#include "tracer.h"

#include "config.h"
#include "keys.h"
#include "result.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DISABLED UINT_MAX /* more forks than there will be */

/* Memory of our own: formatted here, as others format memory that is shared. */
static enum tracez_result reserve_memory(struct tracez_tracer *tracer,
                                         const struct tracez_config *config,
                                         const struct buffer_layout *layout,
                                         struct tracez_error *error)
{
    tracer->owns_memory = true;
    tracer->buffer_bytes = layout->bytes;
    tracer->buffer = memory_reserve(layout->bytes);
    tracer->ledger = memory_reserve(sizeof(struct ledger));
    if (tracer->buffer == NULL || tracer->ledger == NULL) {
        return fail(error, TRACEZ_NO_MEMORY, "no memory for a buffer of %zu bytes", layout->bytes);
    }
    enum tracez_result result =
        tracez_ledger_format(tracer->ledger, sizeof(struct ledger), NULL, error);
    if (result == TRACEZ_OK) {
        result = tracez_buffer_format(config, tracer->buffer, layout->bytes, NULL, error);
    }
    return result;
}

static enum tracez_result attach_memory(struct tracez_tracer *tracer,
                                        const struct tracez_config *config,
                                        const struct buffer_layout *layout,
                                        struct tracez_error *error)
{
    if (!buffer_is_valid(config->buffer_memory, config->buffer_bytes, layout) ||
        !ledger_is_valid(config->ledger_memory, config->ledger_bytes)) {
        return fail(error, TRACEZ_FOREIGN,
                    "shared memory rejected: not formatted by tracez for this configuration");
    }
    tracer->buffer = config->buffer_memory;
    tracer->ledger = config->ledger_memory;
    tracer->has_fixed_writer = true;
    tracer->is_single_threaded = config->is_single_threaded;
    tracer->writer = config->writer;
    return TRACEZ_OK;
}

static enum tracez_result find_resources(struct tracez_tracer *tracer,
                                         const struct tracez_config *config,
                                         struct tracez_error *error)
{
    tracer->resource_count = (uint32_t)config_resource_count(config);
    for (uint32_t i = 0; i < tracer->resource_count; i++) {
        struct tracez_resource resource = config_resource(config, i);
        if (!resource_table_find(&tracer->buffer->resources, &resource,
                                 &tracer->resource_rows[i])) {
            return fail(
                error, TRACEZ_FOREIGN,
                "resource %u is not in the shared memory: format it with this configuration", i);
        }
    }
    return TRACEZ_OK;
}

static enum tracez_result init_collectors(struct tracez_tracer *tracer,
                                          const struct tracez_config *config,
                                          const struct buffer_layout *layout,
                                          struct tracez_error *error)
{
    for (uint32_t i = 0; i < layout->collector_count; i++) {
        struct tracez_collector *collector = &tracer->collectors[i];
        unsigned char *memory = (unsigned char *)tracer->buffer + layout->offset[i];

        tracer->collector_count = i + 1;
        enum tracez_result result =
            collector_init(collector, config_collector(config, i), &layout->geometry[i],
                           (struct collector_memory *)memory);
        if (result != TRACEZ_OK) {
            return fail(error, result, "no memory for collector %u", i);
        }
        collector->index = i;
        collector->writer = tracer->writer;
        collector->fork_count = tracer->fork_count;
        collector->ledger = tracer->ledger;
        collector->delivery = &tracer->ledger->deliveries[tracer->writer][i];
        collector->resources = &tracer->buffer->resources;
    }
    if (tracer->collectors[0].match == TRACEZ_MATCH_ALL) {
        tracer->takes_all = &tracer->collectors[0];
    }
    return TRACEZ_OK;
}

/* What the memory limit leaves for live spans. */
static uint64_t live_bytes_max(const struct tracez_config *config,
                               const struct buffer_layout *layout)
{
    return config->max_memory == 0 ? UINT64_MAX
                                   : config->max_memory - layout->bytes - sizeof(struct ledger);
}

static enum tracez_result build(struct tracez_tracer *tracer, const struct tracez_config *config,
                                struct tracez_error *error)
{
    struct buffer_layout layout;
    enum tracez_result result = buffer_plan(config, &layout, error);

    if (result == TRACEZ_OK) {
        result = config->buffer_memory == NULL ? reserve_memory(tracer, config, &layout, error)
                                               : attach_memory(tracer, config, &layout, error);
    }
    if (result == TRACEZ_OK) {
        result = find_resources(tracer, config, error);
    }
    if (result == TRACEZ_OK) {
        result = init_collectors(tracer, config, &layout, error);
    }
    if (result == TRACEZ_OK &&
        !slot_pool_init(&tracer->slots, tracer, config->live_spans_max, config->span_bytes_max,
                        live_bytes_max(config, &layout))) {
        result = fail(error, TRACEZ_NO_MEMORY, "no address space for %u live spans of %u bytes",
                      config->live_spans_max, config->span_bytes_max);
    }
    return result;
}

static void set_sampler(struct tracez_tracer *tracer, const struct tracez_config *config)
{
    tracer->root = tracez_sampler_ratio(config->sample_rate);
    tracer->sampler = config->sampler.decide != NULL ? config->sampler
                                                     : tracez_sampler_parent_based(&tracer->root);
}

enum tracez_result tracez_tracer_create(const struct tracez_config *config,
                                        struct tracez_tracer **tracer, struct tracez_error *error)
{
    enum tracez_result result = config_check(config, error);
    *tracer = NULL;
    if (result != TRACEZ_OK) {
        return result;
    }
    struct tracez_tracer *created = aligned_alloc(CACHE_LINE, sizeof(*created));
    if (created == NULL) {
        return fail(error, TRACEZ_NO_MEMORY, "no memory for a tracer");
    }
    process_init();
    keys_init();
    memset(created, 0, sizeof(*created));
    callbacks_init(&created->callbacks);
    clock_init(&created->clock, &config->clock);
    set_sampler(created, config);
    if (config->max_spans_per_second != 0) {
        created->spans_rate = bucket_rate_of(config->max_spans_per_second, config->spans_burst);
    }
    created->max_tag_bytes = config->max_tag_bytes;
    created->fork_count = process_fork_count();

    result = build(created, config, error);
    if (result != TRACEZ_OK) {
        tracez_tracer_destroy(created);
        return result;
    }
    if (config->is_disabled) {
        created->fork_count = DISABLED; /* the collectors keep theirs: exporters work as ever */
    }
    *tracer = created;
    return TRACEZ_OK;
}

void tracez_tracer_destroy(struct tracez_tracer *tracer)
{
    if (tracer == NULL) {
        return;
    }
    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        collector_deinit(&tracer->collectors[i]);
    }
    slot_pool_deinit(&tracer->slots);
    if (tracer->owns_memory) {
        memory_free(tracer->buffer, tracer->buffer_bytes);
        memory_free(tracer->ledger, sizeof(struct ledger));
    }
    callbacks_deinit(&tracer->callbacks);
    free(tracer);
}

struct tracez_collector *tracez_tracer_collector(struct tracez_tracer *tracer, size_t index)
{
    return index < tracer->collector_count ? &tracer->collectors[index] : NULL;
}

struct tracez_collector *tracez_tracer_find_collector(struct tracez_tracer *tracer,
                                                      const char *name)
{
    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        if (strcmp(tracer->collectors[i].name, name) == 0) {
            return &tracer->collectors[i];
        }
    }
    return NULL;
}

void tracez_tracer_stats(const struct tracez_tracer *tracer, struct tracez_stats *stats)
{
    struct tracez_stats sum = {.struct_bytes = stats->struct_bytes};
    struct tracez_collector_stats collector;

    ledger_sum(tracer->ledger, &sum);
    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        tracez_collector_stats_init(&collector);
        tracez_collector_stats(&tracer->collectors[i], &collector);
        sum.queued += collector.queued;
        sum.inflight += collector.inflight;
    }
    memcpy(stats, &sum, sum.struct_bytes < sizeof(sum) ? sum.struct_bytes : sizeof(sum));
}

uint64_t tracez_tracer_now_ns(const struct tracez_tracer *tracer)
{
    return clock_monotonic_ns(&tracer->clock);
}

void tracez_tracer_take_over(struct tracez_tracer *tracer, uint32_t writer)
{
    if (!tracer->has_fixed_writer || writer >= TRACEZ_WRITERS_MAX || tracer_is_inert(tracer)) {
        return;
    }
    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        collector_take_over(&tracer->collectors[i], writer);
    }
    ledger_take_over(&tracer->ledger->lines[writer]); /* after what it pushed is known */
}

uint64_t tracez_tracer_audit(struct tracez_tracer *tracer, tracez_alone_fn is_alone, void *state)
{
    /* In the order in which spans go: who was pushed by now is found in a shard or, if he left it
     * meanwhile, delivered. */
    uint64_t pushed = ledger_pushed(tracer->ledger);
    uint64_t buffered = 0;

    /* Whoever begins with another buffer from here on has pushed nothing of that. */
    if (is_alone != NULL && !is_alone(state)) {
        return 0;
    }
    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        buffered += collector_buffered(&tracer->collectors[i]);
    }
    return ledger_audit(tracer->ledger, pushed, buffered);
}

void tracez_tracer_count_request(struct tracez_tracer *tracer, bool traced)
{
    struct ledger_writer writer = tracer_writer(tracer);

    if (tracer_is_inert(tracer)) {
        return;
    }
    ledger_count(writer, traced ? &writer.line->traced : &writer.line->not_traced);
}
