/* SPDX-License-Identifier: MIT
 *
 * An appender: the short way for entries of short values that are stored as they are, behind each
 * other on a locked slot. It calls nothing, hence saves no registers, and keeps in them what
 * changes in the slot until its end. What it does not take goes the long way, by
 * span_set_tag_locked, after appender_end. */
#ifndef TRACEZ_CORE_APPENDER_H
#define TRACEZ_CORE_APPENDER_H

#include "entry.h"
#include "slots.h"

struct appender {
    unsigned char *at;   /* where the next entry goes */
    size_t room;         /* bytes from there to the end */
    size_t value_max;    /* longer ones are to be cut, or not short */
    uint64_t known_keys; /* as in the slot */
    uint32_t tag_count;
};

static inline struct appender appender_begin(const struct slot *slot)
{
    uint32_t used = slot->record.entries_bytes;

    return (struct appender){
        .at = slot->entries + used,
        .room = slot->entries_capacity - used,
        .value_max =
            slot->max_tag_bytes < ENTRY_SHORT_BYTES ? slot->max_tag_bytes : ENTRY_SHORT_BYTES,
        .known_keys = slot->known_keys,
        .tag_count = slot->record.tag_count,
    };
}

static inline void appender_end(const struct appender *appender, struct slot *slot)
{
    slot->record.entries_bytes = (uint32_t)(appender->at - slot->entries);
    slot->known_keys = appender->known_keys;
    slot->record.tag_count = (uint16_t)appender->tag_count;
}

/* False, and nothing done: take the long way. */
static inline bool appender_add(struct appender *appender, uint32_t type, struct key key,
                                const void *value, size_t value_bytes)
{
    size_t bytes = entry_bytes_for(key, value_bytes);

    if (key.bytes > ENTRY_SHORT_BYTES || value_bytes > appender->value_max ||
        bytes > appender->room) {
        return false;
    }
    entry_header_write(appender->at, (struct entry_header){(uint8_t)type, key.id, key.bytes,
                                                           (uint16_t)value_bytes});
    entry_copy_short(appender->at + ENTRY_HEADER_BYTES, key.text, key.bytes);
    entry_copy_short(appender->at + ENTRY_HEADER_BYTES + key.bytes, value, value_bytes);
    appender->at += bytes;
    appender->room -= bytes;
    return true;
}

/* A tag of a well-known key that the span does not have yet. */
static inline bool appender_add_tag(struct appender *appender, uint32_t key_id, uint32_t type,
                                    const void *value, size_t value_bytes)
{
    uint64_t bit = 1ULL << key_id % 64;

    if ((appender->known_keys & bit) != 0 || appender->tag_count >= TRACEZ_TAGS_MAX ||
        !appender_add(appender, type, key_of_id(key_id), value, value_bytes)) {
        return false;
    }
    appender->known_keys |= bit;
    appender->tag_count++;
    return true;
}

#endif
