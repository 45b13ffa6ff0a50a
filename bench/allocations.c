/* SPDX-License-Identifier: MIT
 *
 * The allocation functions, counted. glibc calls the program's own where there are any. */
#include "allocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static _Atomic uint64_t count;

static void count_one(void)
{
    /* Relaxed: read when the threads that count have stopped. */
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
}

uint64_t allocations_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

void *malloc(size_t bytes)
{
    count_one();
    return __libc_malloc(bytes);
}

void *calloc(size_t members, size_t bytes)
{
    count_one();
    return __libc_calloc(members, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    count_one();
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    count_one();
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    count_one();
    *memory = __libc_memalign(alignment, bytes);
    return *memory == NULL ? ENOMEM : 0;
}
