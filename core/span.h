/* SPDX-License-Identifier: MIT
 *
 * What span.c and span_tags.c share: getting from a handle to its locked slot, and changing its
 * entries. */
#ifndef TRACEZ_CORE_SPAN_H
#define TRACEZ_CORE_SPAN_H

#include "entry.h"
#include "tracer.h"

/* Waits for another thread's call on the span; NULL when it is over (counted as misuse). */
struct slot *span_lock_contended(struct tracez_span span);

/* The handle's slot, locked, or NULL: it records nothing, or is over (counted as misuse). */
static inline struct slot *span_lock(struct tracez_span span)
{
    struct slot *slot = span.slot;

    return slot == NULL || slot_try_lock(slot, span.generation) ? slot : span_lock_contended(span);
}

static inline void span_unlock(struct slot *slot, struct tracez_span span)
{
    slot_unlock(slot, span.generation);
}

/* Counts a tag, event or link that was refused, in the span and in the ledger. */
void span_refuse(struct slot *slot, uint16_t *refused, uint32_t count);

/* Sets a tag on a locked slot. */
void span_set_tag_locked(struct slot *slot, const struct tracez_tag *tag);

/* Sets the one entry of this type (name, tracestate, status message): append where there is none
 * yet, set to replace what may be there. One that does not fit is left out. */
void span_append_entry(struct slot *slot, enum tracez_entry_type type, struct tracez_text value);
void span_set_entry(struct slot *slot, enum tracez_entry_type type, struct tracez_text value);

#endif
