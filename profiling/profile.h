/* SPDX-License-Identifier: MIT
 *
 * One CPU profile of this process, by gperftools, which takes one at a time. */
#ifndef TRACEZ_PROFILING_PROFILE_H
#define TRACEZ_PROFILING_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

enum profile_result { PROFILE_BEGUN, PROFILE_BUSY, PROFILE_NO_MEMORY };

/* Begins one, which will lie in *fd, a file without a name, from its beginning. BUSY: another is
 * being taken. */
enum profile_result profile_begin(int *fd);

/* Ends it; returns its bytes. */
size_t profile_end(int fd);

#endif
