/* SPDX-License-Identifier: MIT
 *
 * Taking, finding and giving back places; see table.h. */
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GROUPS_TRIED 4
#define SPARE 2 /* places for each connection */

bool table_init(struct table *table, uint32_t connections_max)
{
    size_t wanted = ((size_t)connections_max * SPARE + TABLE_GROUP_PLACES - 1) / TABLE_GROUP_PLACES;
    unsigned bits = 2; /* GROUPS_TRIED must be different ones */

    while ((size_t)1 << bits < wanted) {
        bits++;
    }
    table->group_count = (size_t)1 << bits;
    table->hash_shift = 64 - bits;
    table->groups =
        aligned_alloc(sizeof(struct table_group), table->group_count * sizeof(struct table_group));
    if (table->groups == NULL) {
        return false;
    }
    memset(table->groups, 0, table->group_count * sizeof(struct table_group));
    void *places = mmap(NULL, table->group_count * TABLE_GROUP_PLACES * TABLE_PLACE_BYTES,
                        PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    table->places = places == MAP_FAILED ? NULL : places;
    return table->places != NULL;
}

void table_deinit(struct table *table)
{
    free(table->groups);
    if (table->places != NULL) {
        munmap(table->places, table->group_count * TABLE_GROUP_PLACES * TABLE_PLACE_BYTES);
    }
    *table = (struct table){0};
}

static size_t home_of(const struct table *table, uintptr_t key)
{
    return (size_t)((uint64_t)key * 0x9e3779b97f4a7c15U >> table->hash_shift);
}

static struct table_group *group_at(const struct table *table, size_t home, size_t tried)
{
    return &table->groups[(home + tried) & (table->group_count - 1)];
}

static void *place_at(const struct table *table, const struct table_group *group, size_t column)
{
    size_t index = (size_t)(group - table->groups) * TABLE_GROUP_PLACES + column;

    return table->places + index * TABLE_PLACE_BYTES;
}

static void *claim(const struct table *table, struct table_group *group, uintptr_t key)
{
    for (size_t column = 0; column < TABLE_GROUP_PLACES; column++) {
        uintptr_t free_key = 0;

        /* Relaxed: only a guess, the exchange decides. Acquire: pairs with the release in
         * table_give_back; the last user is done with the place. */
        if (atomic_load_explicit(&group->keys[column], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&group->keys[column], &free_key, key,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return place_at(table, group, column);
        }
    }
    return NULL;
}

void *table_take(struct table *table, const struct MHD_Connection *connection)
{
    uintptr_t key = (uintptr_t)connection;
    size_t home = home_of(table, key);
    struct table_group *group = group_at(table, home, 0);
    void *place = claim(table, group, key);

    for (size_t tried = 1; place == NULL && tried < GROUPS_TRIED; tried++) {
        place = claim(table, group_at(table, home, tried), key);
        if (place != NULL) {
            /* Relaxed: who looks for this connection knows of it through libmicrohttpd. */
            atomic_fetch_add_explicit(&group->displaced, 1, memory_order_relaxed);
        }
    }
    return place;
}

static void *find_in(const struct table *table, const struct table_group *group, uintptr_t key)
{
    for (size_t column = 0; column < TABLE_GROUP_PLACES; column++) {
        /* Relaxed: only the connection's own key is of interest, and who asks for it knows of it
         * through libmicrohttpd. */
        if (atomic_load_explicit(&group->keys[column], memory_order_relaxed) == key) {
            return place_at(table, group, column);
        }
    }
    return NULL;
}

void *table_find(const struct table *table, const struct MHD_Connection *connection)
{
    uintptr_t key = (uintptr_t)connection;
    size_t home = home_of(table, key);
    struct table_group *group = group_at(table, home, 0);
    void *place = find_in(table, group, key);

    if (place != NULL || atomic_load_explicit(&group->displaced, memory_order_relaxed) == 0) {
        return place;
    }
    for (size_t tried = 1; place == NULL && tried < GROUPS_TRIED; tried++) {
        place = find_in(table, group_at(table, home, tried), key);
    }
    return place;
}

void table_give_back(struct table *table, void *place)
{
    size_t index = (size_t)((unsigned char *)place - table->places) / TABLE_PLACE_BYTES;
    struct table_group *group = &table->groups[index / TABLE_GROUP_PLACES];
    _Atomic uintptr_t *key = &group->keys[index % TABLE_GROUP_PLACES];
    struct table_group *home =
        group_at(table, home_of(table, atomic_load_explicit(key, memory_order_relaxed)), 0);

    if (home != group) {
        atomic_fetch_sub_explicit(&home->displaced, 1, memory_order_relaxed);
    }
    /* Release: pairs with the acquire in claim. */
    atomic_store_explicit(key, 0, memory_order_release);
}

void table_each(struct table *table, void (*fn)(void *place, void *state), void *state)
{
    size_t count = table->groups == NULL ? 0 : table->group_count * TABLE_GROUP_PLACES;

    for (size_t i = 0; i < count; i++) {
        struct table_group *group = &table->groups[i / TABLE_GROUP_PLACES];
        size_t column = i % TABLE_GROUP_PLACES;

        /* Acquire: pairs with nobody's release; set-up calls come after all users stopped. */
        if (atomic_load_explicit(&group->keys[column], memory_order_acquire) != 0) {
            fn(place_at(table, group, column), state);
        }
    }
}
