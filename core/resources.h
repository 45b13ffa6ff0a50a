/* SPDX-License-Identifier: MIT
 *
 * The table of resources in a buffer's memory: who sent a span, as entries. Rows are only ever
 * added, so what a record refers to stays, whatever configuration reads it. */
#ifndef TRACEZ_CORE_RESOURCES_H
#define TRACEZ_CORE_RESOURCES_H

#include <tracez/reader.h>

#include <stdatomic.h>

#define RESOURCE_ROWS_MAX 256
#define RESOURCE_TABLE_ENTRIES_BYTES 65536
#define RESOURCE_BYTES_MAX 16384 /* room for any text of attributes, and as much again */
#define RESOURCE_TAG_BYTES_MAX 1000

struct resource_table {
    _Atomic uint32_t count; /* published last */
    struct {
        uint32_t offset;
        uint32_t bytes;
    } rows[RESOURCE_ROWS_MAX];
    unsigned char entries[RESOURCE_TABLE_ENTRIES_BYTES];
};

/* Finds or adds a resource. One process at a time. */
enum tracez_result resource_table_add(struct resource_table *table,
                                      const struct tracez_resource *resource, uint32_t *row,
                                      struct tracez_error *error);

/* Finds one that was added before; false when it is not there. Any thread. */
bool resource_table_find(const struct resource_table *table, const struct tracez_resource *resource,
                         uint32_t *row);

/* Is it a table that resource_table_add may have made? */
bool resource_table_is_sound(const struct resource_table *table);

bool resource_table_get(const struct resource_table *table, uint32_t row,
                        const unsigned char **entries, size_t *entries_bytes);

#endif
