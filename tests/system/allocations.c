/* SPDX-License-Identifier: MIT
 *
 * Loaded into nginx before everything else by a test (LD_PRELOAD): counts what the main thread of a
 * worker allocates and frees. The counters lie in the file that TRACEZ_ALLOCATIONS named when nginx
 * was started, where the test reads them; one worker at a time, for nothing here is atomic. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library's own, under the names by which it lets itself be replaced. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

struct counters {
    uint64_t allocated;
    uint64_t reallocated;
    uint64_t freed;
};

static struct counters nowhere;
static struct counters *counters = &nowhere;
static __thread bool is_counted __attribute__((tls_model("initial-exec")));

/* In the child, whose only thread this is. */
static void begin_worker(void)
{
    is_counted = true;
}

__attribute__((constructor)) static void open_counters(void)
{
    const char *path = getenv("TRACEZ_ALLOCATIONS");
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;

    if (fd >= 0 && ftruncate(fd, sizeof(*counters)) == 0) {
        void *mapped = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        counters = mapped != MAP_FAILED ? mapped : &nowhere;
        pthread_atfork(NULL, NULL, begin_worker);
    }
    if (fd >= 0) {
        close(fd);
    }
}

void *malloc(size_t size)
{
    counters->allocated += is_counted;
    return __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
    counters->allocated += is_counted;
    return __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
    counters->reallocated += is_counted;
    return __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    counters->allocated += is_counted;
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **memptr, size_t alignment, size_t size)
{
    *memptr = aligned_alloc(alignment, size);
    return *memptr != NULL ? 0 : ENOMEM;
}

void free(void *ptr)
{
    counters->freed += is_counted;
    __libc_free(ptr);
}
