/* SPDX-License-Identifier: MIT
 *
 * Variables of the environment, and what reading them told of bad ones. */
#ifndef TRACEZ_TESTS_TOLD_H
#define TRACEZ_TESTS_TOLD_H

#include <tracez/environment.h>

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

struct told {
    int count;
    char text[600]; /* the last one */
};

/* What notes it, from nothing on; told must live as long. */
struct tracez_environment told_begin(struct told *told);

/* One warning, which begins with the variable's name and has the reason in it. */
void assert_told(const struct told *told, const char *name, const char *reason);

/* A fixture. */
void clear_environment(void);

#endif
