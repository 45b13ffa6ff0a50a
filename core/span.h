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

/* The short way for an entry of a short value: no call, hence no registers to save. False, and
 * nothing done: take the long way. */
static inline bool span_append_short(struct slot *slot, uint32_t type, struct key key,
                                     const void *value, size_t value_bytes)
{
    uint32_t used = slot->record.entries_bytes;
    unsigned char *at = slot->entries + used;
    size_t bytes = entry_bytes_for(key, value_bytes);

    if (key.bytes > ENTRY_SHORT_BYTES || value_bytes > slot->short_bytes_max ||
        bytes > slot->entries_capacity - used) {
        return false;
    }
    entry_header_write(
        at, (struct entry_header){(uint8_t)type, key.id, key.bytes, (uint16_t)value_bytes});
    entry_copy_short(at + ENTRY_HEADER_BYTES, key.text, key.bytes);
    entry_copy_short(at + ENTRY_HEADER_BYTES + key.bytes, value, value_bytes);
    slot->record.entries_bytes = used + (uint32_t)bytes;
    return true;
}

/* The same for a tag of a well-known key that the span does not have yet. */
static inline bool span_append_tag_short(struct slot *slot, uint32_t key_id, uint32_t type,
                                         const void *value, size_t value_bytes)
{
    uint64_t bit = KEY_BIT(key_id);

    if ((slot->known_keys & bit) != 0 || slot->record.tag_count >= TRACEZ_TAGS_MAX ||
        !span_append_short(slot, type, key_of_id(key_id), value, value_bytes)) {
        return false;
    }
    slot->known_keys |= bit;
    slot->record.tag_count++;
    return true;
}

/* Sets a tag on a locked slot. */
void span_set_tag_locked(struct slot *slot, const struct tracez_tag *tag);

/* Sets the one entry of this type (name, tracestate, status message): append where there is none
 * yet, set to replace what may be there. One that does not fit is left out. */
void span_append_entry(struct slot *slot, enum tracez_entry_type type, struct tracez_text value);
void span_set_entry(struct slot *slot, enum tracez_entry_type type, struct tracez_text value);

#endif
