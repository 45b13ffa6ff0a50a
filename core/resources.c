/* SPDX-License-Identifier: MIT
 *
 * Adding to and reading the table of resources. A row is complete before the count that makes it
 * visible is published, and never changes afterwards; readers check each row against the table's
 * bounds. */
#include "resources.h"

#include "attributes.h"
#include "entry.h"
#include "result.h"

static bool has_tag(const struct tracez_resource *resource, const char *key)
{
    size_t i = 0;

    while (i < resource->tag_count &&
           (resource->tags[i].key == NULL || strcmp(resource->tags[i].key, key) != 0)) {
        i++;
    }
    return i < resource->tag_count;
}

/* Takes out what the resource's own tags say. */
static void remove_replaced(struct attributes *attributes, const struct tracez_resource *resource)
{
    size_t kept = 0;

    for (size_t i = 0; i < attributes->count; i++) {
        if (!has_tag(resource, attributes->tags[i].key)) {
            attributes->tags[kept++] = attributes->tags[i];
        }
    }
    attributes->count = kept;
}

static size_t encode(const struct tracez_resource *resource, unsigned char *at, uint32_t *refused)
{
    struct attributes attributes;

    (void)attributes_read(&attributes, resource->attributes); /* it was checked */
    remove_replaced(&attributes, resource);
    const char *name = resource->service_name != NULL    ? resource->service_name
                       : attributes.service_name != NULL ? attributes.service_name
                                                         : "unknown_service";
    const struct tracez_tag service = {
        .key = TRACEZ_KEY(SERVICE_NAME),
        .type = TRACEZ_TAG_STRING,
        .value.string = {name, strlen(name)},
    };
    const struct tag_list lists[] = {
        {&service, 1, RESOURCE_TAG_BYTES_MAX},
        {attributes.tags, attributes.count, RESOURCE_TAG_BYTES_MAX},
        {resource->tags, resource->tag_count, RESOURCE_TAG_BYTES_MAX},
    };
    size_t bytes = 0;

    keys_init(); /* who formats a buffer need not have a tracer, but encodes as one does */
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        bytes += tag_list_write(&lists[i], at + bytes, RESOURCE_BYTES_MAX - bytes, refused);
    }
    return bytes;
}

bool resource_table_get(const struct resource_table *table, uint32_t row,
                        const unsigned char **entries, size_t *entries_bytes)
{
    /* Acquire: pairs with the release in resource_table_add; rows below the count are complete. */
    uint32_t count = atomic_load_explicit(&table->count, memory_order_acquire);

    if (row >= count || row >= RESOURCE_ROWS_MAX) {
        return false;
    }
    uint32_t offset = table->rows[row].offset;
    uint32_t bytes = table->rows[row].bytes;
    if (offset > RESOURCE_TABLE_ENTRIES_BYTES || bytes > RESOURCE_TABLE_ENTRIES_BYTES - offset) {
        return false;
    }
    *entries = table->entries + offset;
    *entries_bytes = bytes;
    return true;
}

bool resource_table_is_sound(const struct resource_table *table)
{
    /* Acquire: pairs with the release in resource_table_add. */
    uint32_t count = atomic_load_explicit(&table->count, memory_order_acquire);
    uint64_t end = 0;

    if (count > RESOURCE_ROWS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (table->rows[i].offset != end) {
            return false;
        }
        end += table->rows[i].bytes;
    }
    return end <= RESOURCE_TABLE_ENTRIES_BYTES;
}

static bool find_encoded(const struct resource_table *table, const unsigned char *encoded,
                         size_t encoded_bytes, uint32_t *row)
{
    const unsigned char *entries;
    size_t entries_bytes;

    for (uint32_t i = 0; resource_table_get(table, i, &entries, &entries_bytes); i++) {
        if (entries_bytes == encoded_bytes && memcmp(entries, encoded, encoded_bytes) == 0) {
            *row = i;
            return true;
        }
    }
    return false;
}

bool resource_table_find(const struct resource_table *table, const struct tracez_resource *resource,
                         uint32_t *row)
{
    unsigned char encoded[RESOURCE_BYTES_MAX];
    uint32_t refused = 0;

    return find_encoded(table, encoded, encode(resource, encoded, &refused), row);
}

enum tracez_result resource_table_add(struct resource_table *table,
                                      const struct tracez_resource *resource, uint32_t *row,
                                      struct tracez_error *error)
{
    unsigned char encoded[RESOURCE_BYTES_MAX];
    uint32_t refused = 0;
    size_t bytes = encode(resource, encoded, &refused);
    /* Relaxed: this process is the only one that adds. */
    uint32_t count = atomic_load_explicit(&table->count, memory_order_relaxed);
    uint64_t end = 0; /* 64 bits: the rows may be garbage that somebody else wrote */

    if (refused > 0) {
        return fail(
            error, TRACEZ_INVALID,
            "resource with %zu tags rejected: %u of them have a bad key, or are more than %d "
            "or %d bytes in all",
            resource->tag_count, refused, TRACEZ_TAGS_MAX, RESOURCE_BYTES_MAX);
    }
    if (find_encoded(table, encoded, bytes, row)) {
        return TRACEZ_OK;
    }
    if (count > 0 && count < RESOURCE_ROWS_MAX) {
        end = (uint64_t)table->rows[count - 1].offset + table->rows[count - 1].bytes;
    }
    if (count >= RESOURCE_ROWS_MAX || end > RESOURCE_TABLE_ENTRIES_BYTES - bytes) {
        return fail(
            error, TRACEZ_INVALID,
            "no room for another resource: %u are kept of all configurations since the buffer "
            "was made; a restart empties the table",
            count);
    }
    memcpy(table->entries + end, encoded, bytes);
    table->rows[count].offset = (uint32_t)end;
    table->rows[count].bytes = (uint32_t)bytes;
    /* Release: pairs with the acquire in resource_table_get. */
    atomic_store_explicit(&table->count, count + 1, memory_order_release);
    *row = count;
    return TRACEZ_OK;
}
