/* SPDX-License-Identifier: MIT
 *
 * Loaded into nginx before everything else by a test (LD_PRELOAD): a wall clock that jumps. It is
 * the system's, plus the seconds (an int64_t) in the file that TRACEZ_WALL named when nginx was
 * started, and that all its processes map. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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

/* Not through the C library: a sanitizer's may not be ready when the first one asks. */
int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int status = (int)syscall(SYS_clock_gettime, clock_id, tp);

    if (status == 0 && (clock_id == CLOCK_REALTIME || clock_id == CLOCK_REALTIME_COARSE)) {
        tp->tv_sec += jumped();
    }
    return status;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec now;

    (void)tz;
    clock_gettime(CLOCK_REALTIME, &now);
    *tv = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *timer)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (timer != NULL) {
        *timer = now.tv_sec;
    }
    return now.tv_sec;
}
