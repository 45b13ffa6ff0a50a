/* SPDX-License-Identifier: MIT
 *
 * A buffer: the memory in which finished spans wait, in one piece. A header that tells whose it is
 * and how it is laid out, the table of resources, then the collectors. All offsets follow from the
 * configuration; the header's fingerprint only tells whether the memory was laid out for the same
 * one. */
#ifndef TRACEZ_CORE_BUFFER_H
#define TRACEZ_CORE_BUFFER_H

#include "collector.h"
#include "resources.h"

struct buffer {
    uint64_t magic; /* written last */
    uint64_t bytes;
    uint64_t fingerprint;
    _Alignas(CACHE_LINE) struct resource_table resources;
};

/* Where a configuration's collectors lie. */
struct buffer_layout {
    struct collector_geometry geometry[TRACEZ_COLLECTORS_MAX];
    size_t offset[TRACEZ_COLLECTORS_MAX];
    uint32_t collector_count;
    size_t bytes;
    uint64_t fingerprint;
};

enum tracez_result buffer_plan(const struct tracez_config *config, struct buffer_layout *layout,
                               struct tracez_error *error);

/* Is this a buffer of that layout? Only its header tells. */
bool buffer_is_valid(const void *memory, size_t memory_bytes, const struct buffer_layout *layout);

/* Does also all else in it make sense? */
bool buffer_is_sound(void *memory, size_t memory_bytes, const struct buffer_layout *layout);

/* Memory of this process's own, zeroed and untouched; NULL when there is none. */
void *memory_reserve(size_t bytes);
void memory_free(void *memory, size_t bytes);

#endif
