/* SPDX-License-Identifier: MIT
 *
 * Loaded into nginx before everything else by a test (LD_PRELOAD): a wall clock that jumps. It is
 * the system's, plus the seconds (an int64_t) in the file that TRACEZ_WALL named when nginx was
 * started, and that all its processes map. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *jumped_s;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("TRACEZ_WALL");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*jumped_s), PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0) {
        close(fd);
    }
    if (memory != MAP_FAILED) {
        jumped_s = (const volatile int64_t *)memory;
    }
}

static time_t jumped(void)
{
    return jumped_s != NULL ? *jumped_s : 0;
}

typedef int clock_gettime_fn(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int status = ((clock_gettime_fn *)dlsym(RTLD_NEXT, "clock_gettime"))(clock_id, tp);

    if (status == 0 && (clock_id == CLOCK_REALTIME || clock_id == CLOCK_REALTIME_COARSE)) {
        tp->tv_sec += jumped();
    }
    return status;
}

typedef int gettimeofday_fn(struct timeval *, void *);

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    int status = ((gettimeofday_fn *)dlsym(RTLD_NEXT, "gettimeofday"))(tv, tz);

    tv->tv_sec += status == 0 ? jumped() : 0;
    return status;
}

typedef time_t time_fn(time_t *);

time_t time(time_t *timer)
{
    time_t now = ((time_fn *)dlsym(RTLD_NEXT, "time"))(NULL) + jumped();

    if (timer != NULL) {
        *timer = now;
    }
    return now;
}
