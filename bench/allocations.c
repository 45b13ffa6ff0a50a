/* SPDX-License-Identifier: MIT
 *
 * The allocation functions, counted. glibc calls the program's own where there are any; parameters
 * have the names that glibc's headers give them. */
#include "allocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nmemb, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
/* NOLINTEND(bugprone-reserved-identifier) */

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

void *malloc(size_t size)
{
    count_one();
    return __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
    count_one();
    return __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
    count_one();
    return __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count_one();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memptr, size_t alignment, size_t size)
{
    count_one();
    *memptr = __libc_memalign(alignment, size);
    return *memptr == NULL ? ENOMEM : 0;
}
