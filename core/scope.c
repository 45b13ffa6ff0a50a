/* SPDX-License-Identifier: MIT
 *
 * The thread's current span, for code that gets no parent passed. A scope holds what was current
 * before it, so that scopes nest without a stack of ours and without a bound. */
#include "process.h"
#include "tracer.h"

#include <tracez/tracez.h>

static THREAD_LOCAL struct tracez_scope current;

struct tracez_scope tracez_scope_enter(struct tracez_tracer *tracer, struct tracez_span span,
                                       const struct tracez_context *context)
{
    struct tracez_scope before = current;

    current.tracer = tracer;
    current.span = span;
    current.context = context != NULL ? *context : (struct tracez_context){0};
    return before;
}

void tracez_scope_leave(const struct tracez_scope *scope)
{
    current = *scope;
}

struct tracez_span tracez_current_span(void)
{
    return current.span;
}

bool tracez_current_context(struct tracez_context *context)
{
    *context = current.context;
    return tracez_context_is_valid(context);
}

struct tracez_tracer *tracez_current_tracer(void)
{
    return current.tracer != NULL && !tracer_is_inert(current.tracer) ? current.tracer : NULL;
}
