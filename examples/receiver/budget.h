/* SPDX-License-Identifier: MIT
 *
 * The memory that requests may take together, for their bodies and for the JSON read from them: 64
 * MiB of "{},{},…" would take gigabytes otherwise. Beyond it an allocation fails. main() makes
 * jansson allocate here. Only the server's thread may call. */
#ifndef RECEIVER_BUDGET_H
#define RECEIVER_BUDGET_H

#include <stddef.h>

#define BUDGET_BYTES_MAX ((size_t)512 << 20)

/* Owned by the caller, freed by budget_free; NULL when it does not fit, or without memory. */
void *budget_allocate(size_t bytes);
void budget_free(void *memory);

/* How often an allocation was refused so far. */
size_t budget_refusal_count(void);

#endif
