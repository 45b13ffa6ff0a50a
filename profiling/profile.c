/* SPDX-License-Identifier: MIT
 *
 * Taking a profile. gperftools wants a file's name: it gets that of an open descriptor to memory,
 * so that nothing lies on a disk, and nothing stays behind when the process dies. */
#include "profile.h"

#include <gperftools/profiler.h>

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum profile_result profile_begin(int *fd)
{
    char name[64];

    *fd = memfd_create("tracez-profile", MFD_CLOEXEC);
    if (*fd < 0) {
        return PROFILE_NO_MEMORY;
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", *fd);
    if (ProfilerStart(name) == 0) {
        close(*fd);
        return PROFILE_BUSY;
    }
    return PROFILE_BEGUN;
}

size_t profile_end(int fd)
{
    struct stat status;

    ProfilerStop();
    return fstat(fd, &status) == 0 ? (size_t)status.st_size : 0;
}
