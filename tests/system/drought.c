/* SPDX-License-Identifier: MIT
 *
 * Loaded into nginx before everything else by a test (LD_PRELOAD): while the first byte of the file
 * that TRACEZ_DROUGHT named when nginx was started is not 0, the exporter's threads get no memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The C library's own, under the names by which it lets itself be replaced. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

static const char nowhere;
static const volatile char *drought = &nowhere;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("TRACEZ_DROUGHT");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0) {
        close(fd);
    }
    if (memory != MAP_FAILED) {
        drought = memory;
    }
}

static bool fails(void)
{
    char name[16] = "";

    if (*drought == 0) {
        return false;
    }
    prctl(PR_GET_NAME, name);
    if (strcmp(name, "tracez") != 0) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
    return fails() ? NULL : __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __libc_realloc(ptr, size);
}
