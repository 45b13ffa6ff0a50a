/* SPDX-License-Identifier: MIT
 *
 * Noting warnings; see told.h. */
#include "told.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(const char *text, void *state)
{
    struct told *told = state;

    told->count++;
    snprintf(told->text, sizeof(told->text), "%s", text);
}

struct tracez_environment told_begin(struct told *told)
{
    *told = (struct told){0};
    return (struct tracez_environment){.warn = note, .state = told};
}

void assert_told(const struct told *told, const char *name, const char *reason)
{
    ck_assert_msg(told->count == 1, "%s=%s: told %d times", name, getenv(name), told->count);
    ck_assert_ptr_eq(strstr(told->text, name), told->text);
    ck_assert_msg(strstr(told->text, reason) != NULL, "\"%s\"", told->text);
}

void clear_environment(void)
{
    clearenv();
}
