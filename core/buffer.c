/* SPDX-License-Identifier: MIT
 *
 * Laying out, checking and formatting a buffer. Formatting is idempotent: a buffer of the same
 * layout is kept with all its spans, and only new resources are added; anything else is wiped. */
#include "buffer.h"

#include "config.h"
#include "result.h"
#include "slots.h"

#include <string.h>
#include <sys/mman.h>

#define BUFFER_MAGIC 0x316675627a637274U /* "trczbuf1" */
#define FNV_OFFSET 0xcbf29ce484222325U
#define FNV_PRIME 0x100000001b3U

void *memory_reserve(size_t bytes)
{
    /* Not reserved from the commit limit: most of it is never touched. */
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void memory_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, bytes);
    }
}

static uint64_t hash(uint64_t state, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < count; i++) {
        state = (state ^ at[i]) * FNV_PRIME;
    }
    return state;
}

static uint64_t fingerprint_of(const struct tracez_config *config,
                               const struct buffer_layout *layout)
{
    const uint32_t sizes[] = {RECORD_VERSION,
                              sizeof(struct buffer),
                              sizeof(struct collector_memory),
                              sizeof(struct lane_memory),
                              sizeof(struct shard),
                              layout->collector_count};
    uint64_t state = hash(FNV_OFFSET, sizes, sizeof(sizes));

    for (uint32_t i = 0; i < layout->collector_count; i++) {
        const struct tracez_collector_config *collector = config_collector(config, i);
        const uint64_t geometry[] = {layout->geometry[i].lane_count,
                                     layout->geometry[i].shard_count, layout->geometry[i].spans_max,
                                     layout->geometry[i].ring_bytes, layout->offset[i]};
        state = hash(state, geometry, sizeof(geometry));
        state = hash(state, collector->name, strlen(collector->name) + 1);
    }
    return state;
}

static enum tracez_result lay_out(const struct tracez_config *config, struct buffer_layout *layout,
                                  struct tracez_error *error)
{
    enum tracez_result result = config_check(config, error);
    size_t bytes = (sizeof(struct buffer) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

    if (result != TRACEZ_OK) {
        return result;
    }
    layout->collector_count = (uint32_t)config_collector_count(config);
    for (uint32_t i = 0; i < layout->collector_count; i++) {
        result =
            collector_plan(config_collector(config, i), config->lanes, &layout->geometry[i], error);
        if (result != TRACEZ_OK) {
            return result;
        }
        layout->offset[i] = bytes;
        bytes += layout->geometry[i].bytes;
    }
    layout->bytes = bytes;
    layout->fingerprint = fingerprint_of(config, layout);
    return TRACEZ_OK;
}

static size_t memory_min(const struct tracez_config *config, const struct buffer_layout *layout)
{
    return layout->bytes + sizeof(struct ledger) + SLOT_BYTES + config->span_bytes_max;
}

enum tracez_result buffer_plan(const struct tracez_config *config, struct buffer_layout *layout,
                               struct tracez_error *error)
{
    enum tracez_result result = lay_out(config, layout, error);

    if (result == TRACEZ_OK && config->max_memory != 0 &&
        config->max_memory < memory_min(config, layout)) {
        result = fail(error, TRACEZ_INVALID,
                      "max_memory %zu rejected: at least %zu bytes, %zu for finished spans and the "
                      "rest for live ones",
                      config->max_memory, memory_min(config, layout), layout->bytes);
    }
    return result;
}

size_t tracez_memory_bytes_min(const struct tracez_config *config, struct tracez_error *error)
{
    struct buffer_layout layout;

    return lay_out(config, &layout, error) == TRACEZ_OK ? memory_min(config, &layout) : 0;
}

size_t tracez_buffer_bytes(const struct tracez_config *config, struct tracez_error *error)
{
    struct buffer_layout layout;

    return buffer_plan(config, &layout, error) == TRACEZ_OK ? layout.bytes : 0;
}

bool buffer_is_valid(const void *memory, size_t memory_bytes, const struct buffer_layout *layout)
{
    const struct buffer *buffer = memory;

    return memory != NULL && (uintptr_t)memory % CACHE_LINE == 0 && memory_bytes >= layout->bytes &&
           buffer->magic == BUFFER_MAGIC && buffer->bytes == layout->bytes &&
           buffer->fingerprint == layout->fingerprint;
}

static struct collector_memory *collector_at(void *buffer, const struct buffer_layout *layout,
                                             uint32_t index)
{
    return (struct collector_memory *)((unsigned char *)buffer + layout->offset[index]);
}

bool buffer_is_sound(void *memory, size_t memory_bytes, const struct buffer_layout *layout)
{
    struct buffer *buffer = memory;
    bool is_sound = buffer_is_valid(memory, memory_bytes, layout) &&
                    resource_table_is_sound(&buffer->resources);

    for (uint32_t i = 0; i < layout->collector_count && is_sound; i++) {
        is_sound = collector_is_sound(collector_at(buffer, layout, i), &layout->geometry[i]);
    }
    return is_sound;
}

enum tracez_result tracez_buffer_check(const struct tracez_config *config, void *memory,
                                       size_t memory_bytes, struct tracez_error *error)
{
    struct buffer_layout layout;
    enum tracez_result result = buffer_plan(config, &layout, error);

    if (result == TRACEZ_OK && !buffer_is_sound(memory, memory_bytes, &layout)) {
        result = fail(error, TRACEZ_FOREIGN,
                      "buffer memory of %zu bytes at %p rejected: not formatted by tracez for this "
                      "configuration, or overwritten",
                      memory_bytes, memory);
    }
    return result;
}

static enum tracez_result reset(struct buffer *buffer, const struct buffer_layout *layout,
                                struct tracez_error *error)
{
    memset(buffer, 0, sizeof(*buffer));
    for (uint32_t i = 0; i < layout->collector_count; i++) {
        enum tracez_result result =
            collector_format(collector_at(buffer, layout, i), &layout->geometry[i], error);
        if (result != TRACEZ_OK) {
            return result;
        }
    }
    buffer->bytes = layout->bytes;
    buffer->fingerprint = layout->fingerprint;
    buffer->magic = BUFFER_MAGIC;
    return TRACEZ_OK;
}

enum tracez_result tracez_buffer_format(const struct tracez_config *config, void *memory,
                                        size_t memory_bytes, bool *was_kept,
                                        struct tracez_error *error)
{
    struct buffer_layout layout;
    struct buffer *buffer = memory;
    enum tracez_result result = buffer_plan(config, &layout, error);

    if (result != TRACEZ_OK) {
        return result;
    }
    if (memory == NULL || (uintptr_t)memory % CACHE_LINE != 0 || memory_bytes < layout.bytes) {
        return fail(error, TRACEZ_INVALID,
                    "buffer memory of %zu bytes at %p rejected: at least %zu bytes, aligned to %d",
                    memory_bytes, memory, layout.bytes, CACHE_LINE);
    }
    bool keep = buffer_is_sound(memory, memory_bytes, &layout);
    if (was_kept != NULL) {
        *was_kept = keep;
    }
    if (!keep) {
        result = reset(buffer, &layout, error);
    }
    for (size_t i = 0; i < config_resource_count(config) && result == TRACEZ_OK; i++) {
        struct tracez_resource resource = config_resource(config, i);
        uint32_t row;
        result = resource_table_add(&buffer->resources, &resource, &row, error);
    }
    return result;
}
