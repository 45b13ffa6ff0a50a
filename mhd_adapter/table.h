/* SPDX-License-Identifier: MIT
 *
 * The requests that are being served, found by their connection: taking a place for a request and
 * finding it again are the same look-up, so nothing of ours needs to hang on the connection, and
 * con_cls stays the application's.
 *
 * Places stand in groups of seven, whose keys share one cache line. A connection's hash names its
 * group; when that is full, the next ones, GROUPS_TRIED in all. A group counts those of its
 * connections that had to go elsewhere, so that mostly one line tells that a connection is not
 * here. There are twice as many places as connections: none free in 28 is next to impossible, and
 * means untraced.
 *
 * Who may run beside whom ("-" freely, "x" never), on the same connection; on different ones all is
 * free:
 *                  take   find   give back
 *   take            x      x      x
 *   find            x      -      x
 *   give back       x      x      x
 *
 * libmicrohttpd keeps that: its callbacks for one connection never overlap, and other threads may
 * ask for a connection only while its request lives. */
#ifndef TRACEZ_MHD_TABLE_H
#define TRACEZ_MHD_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_PLACE_BYTES 4096
#define TABLE_GROUP_PLACES 7

struct MHD_Connection;

struct table_group {
    _Alignas(64) _Atomic uintptr_t keys[TABLE_GROUP_PLACES]; /* connections; 0: free */
    atomic_uint displaced; /* of this group's connections, those in other groups */
};

struct table {
    struct table_group *groups;
    unsigned char *places; /* address space, touched as it is used */
    size_t group_count;    /* a power of two */
    unsigned hash_shift;
};

/* False: no memory. deinit accepts zero. */
bool table_init(struct table *table, uint32_t connections_max);
void table_deinit(struct table *table);

/* A place of TABLE_PLACE_BYTES; take: NULL when none is free, find: NULL when the connection has
 * none. What is in a taken place is what its last user left, or zero. */
void *table_take(struct table *table, const struct MHD_Connection *connection);
void *table_find(const struct table *table, const struct MHD_Connection *connection);
void table_give_back(struct table *table, void *place);

/* Calls fn for each place in use, when nobody else uses the table. */
void table_each(struct table *table, void (*fn)(void *place, void *state), void *state);

#endif
