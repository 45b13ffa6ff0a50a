/* SPDX-License-Identifier: MIT
 *
 * What hangs on a span: tags, events, links, and the entries that it has once (name, tracestate,
 * status message).
 *
 * Entries lie one after another behind the record. A new one is appended; one that replaces an
 * older value takes its place when the length is the same, else the old one is cut out first. Two
 * 64-bit filters in the slot tell, for nearly every new key, that it can't be there yet, so that
 * nothing needs to be searched. */
#include "span.h"

#include <errno.h>
#include <stdio.h>

#define FORMAT_BYTES_MAX 1024

/* ---- Entries of a locked slot ---------------------------------------------------------------- */

void span_refuse(struct slot *slot, uint16_t *refused, uint32_t count)
{
    struct ledger_writer writer = tracer_writer(slot->tracer);

    if (tracer_is_inert(slot->tracer)) {
        return;
    }
    for (; count > 0; count--) {
        if (*refused < UINT16_MAX) {
            ++*refused;
        }
        ledger_count(writer, &writer.line->tags_refused);
    }
}

static bool entry_has_key(const unsigned char *at, struct entry_header header, struct key key)
{
    return header.type <= TRACEZ_TAG_STRINGS && header.key_id == key.id &&
           header.key_bytes == key.bytes &&
           memcmp(at + ENTRY_HEADER_BYTES, key.text, key.bytes) == 0;
}

/* The filter that the key belongs to. */
static inline uint64_t *keys_present(struct slot *slot, struct key key)
{
    return key.id != 0 ? &slot->known_keys : &slot->text_keys;
}

static unsigned char *find_tag(struct slot *slot, struct key key)
{
    unsigned char *end = slot->entries + slot->record.entries_bytes;

    if ((*keys_present(slot, key) & KEY_BIT(key.filter)) == 0) {
        return NULL;
    }
    for (unsigned char *at = slot->entries; at < end; at += entry_bytes(entry_header_read(at))) {
        if (entry_has_key(at, entry_header_read(at), key)) {
            return at;
        }
    }
    return NULL;
}

static unsigned char *find_entry(const struct slot *slot, uint32_t type)
{
    unsigned char *end = slot->entries + slot->record.entries_bytes;

    for (unsigned char *at = slot->entries; at < end; at += entry_bytes(entry_header_read(at))) {
        if (*at == type) {
            return at;
        }
    }
    return NULL;
}

static void cut_out(struct slot *slot, unsigned char *at)
{
    size_t bytes = entry_bytes(entry_header_read(at));
    unsigned char *end = slot->entries + slot->record.entries_bytes;

    memmove(at, at + bytes, (size_t)(end - at) - bytes);
    slot->record.entries_bytes -= (uint32_t)bytes;
}

/* Room at the end for an entry; NULL when the span would grow beyond its bound. */
static inline unsigned char *append(struct slot *slot, size_t bytes)
{
    if (!slot_make_room(&slot->tracer->slots, slot, bytes)) {
        return NULL;
    }
    unsigned char *at = slot->entries + slot->record.entries_bytes;
    slot->record.entries_bytes += (uint32_t)bytes;
    return at;
}

void span_append_entry(struct slot *slot, enum tracez_entry_type type, struct tracez_text value)
{
    /* A tracestate is bounded by its own rules, and cutting it would break it. */
    size_t max_bytes =
        type == TRACEZ_ENTRY_TRACESTATE ? TRACEZ_TRACESTATE_TEXT_BYTES : slot->max_tag_bytes;

    if (value.text == NULL || value.bytes == 0) {
        return;
    }
    size_t value_bytes = string_bytes(value, max_bytes);
    unsigned char *at = append(slot, ENTRY_HEADER_BYTES + value_bytes);
    if (at != NULL) {
        string_write(value, max_bytes, entry_begin(at, type, key_none(), value_bytes));
    }
}

void span_set_entry(struct slot *slot, enum tracez_entry_type type, struct tracez_text value)
{
    unsigned char *old = find_entry(slot, type);

    if (old != NULL) {
        cut_out(slot, old);
    }
    span_append_entry(slot, type, value);
}

/* ---- Tags ------------------------------------------------------------------------------------ */

/* Where the value goes that replaces an older one of the same length. An older one of another
 * length is cut out: then, and when there is none, NULL. */
static unsigned char *replace_tag(struct slot *slot, struct key key, uint32_t type,
                                  size_t value_bytes)
{
    unsigned char *at = find_tag(slot, key);

    if (at != NULL && entry_header_read(at).value_bytes != value_bytes) {
        cut_out(slot, at);
        slot->record.tag_count--;
        at = NULL;
    }
    return at == NULL ? NULL : entry_begin(at, type, key, value_bytes);
}

/* Where the value of a tag goes. NULL when it was refused. */
static __attribute__((noinline)) unsigned char *place_tag(struct slot *slot, struct key key,
                                                          uint32_t type, size_t value_bytes)
{
    uint64_t *present = keys_present(slot, key);
    unsigned char *at = NULL;

    if ((*present & KEY_BIT(key.filter)) != 0) {
        at = replace_tag(slot, key, type, value_bytes);
        if (at != NULL) {
            return at;
        }
    }
    if (slot->record.tag_count < TRACEZ_TAGS_MAX) {
        at = append(slot, entry_bytes_for(key, value_bytes));
    }
    if (at == NULL) {
        span_refuse(slot, &slot->record.tags_refused, 1);
        return NULL;
    }
    slot->record.tag_count++;
    *present |= KEY_BIT(key.filter);
    return entry_begin(at, type, key, value_bytes);
}

void span_set_tag_locked(struct slot *slot, const struct tracez_tag *tag)
{
    size_t max_bytes = slot->max_tag_bytes;
    size_t value_bytes = tag_value_bytes(tag, max_bytes);
    struct key key = key_resolve(tag->key);

    if (value_bytes > ENTRY_VALUE_BYTES_MAX || key.text == NULL) {
        span_refuse(slot, &slot->record.tags_refused, 1);
        return;
    }
    unsigned char *value = place_tag(slot, key, tag->type, value_bytes);
    if (value != NULL) {
        tag_value_write(tag, max_bytes, value);
    }
}

void tracez_span_set_tag(struct tracez_span span, const struct tracez_tag *tag)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        span_set_tag_locked(slot, tag);
        span_unlock(slot, span);
    }
}

/* The short way for a key that is not well known and that the span does not have yet. */
static inline bool append_text_tag(struct slot *slot, struct key key, uint32_t type,
                                   const void *value, size_t value_bytes)
{
    uint64_t bit = KEY_BIT(key.filter);

    if (key.id != 0 || (slot->text_keys & bit) != 0 || slot->record.tag_count >= TRACEZ_TAGS_MAX ||
        !span_append_short(slot, type, key, value, value_bytes)) {
        return false;
    }
    slot->text_keys |= bit;
    slot->record.tag_count++;
    return true;
}

/* A value that is stored as it is, byte for byte, and any key. */
static inline void set_plain_locked(struct slot *slot, struct key key, uint32_t type,
                                    const void *bytes, size_t byte_count)
{
    if (key.text == NULL) {
        span_refuse(slot, &slot->record.tags_refused, 1);
    } else if (!append_text_tag(slot, key, type, bytes, byte_count)) {
        unsigned char *value = place_tag(slot, key, type, byte_count);
        if (value != NULL) {
            entry_copy(value, bytes, byte_count);
        }
    }
}

static __attribute__((noinline)) void set_bytes_long(struct tracez_span span, const char *key_name,
                                                     const char *value, size_t value_bytes)
{
    struct key key = key_resolve(key_name);
    struct slot *slot = span_lock(span);

    if (slot == NULL) {
        return;
    }
    if (value_bytes <= slot->max_tag_bytes) {
        set_plain_locked(slot, key, TRACEZ_TAG_STRING, value, value_bytes);
    } else {
        const struct tracez_tag tag = {
            .key = key_name, .type = TRACEZ_TAG_STRING, .value.string = {value, value_bytes}};
        span_set_tag_locked(slot, &tag);
    }
    span_unlock(slot, span);
}

void tracez_span_set_bytes(struct tracez_span span, const char *key, const char *value,
                           size_t value_bytes)
{
    struct slot *slot = span.slot;
    uint32_t id = key_constant_id(key);

    if (slot == NULL) {
        return;
    }
    if (id != 0 && slot_try_lock(slot, span.generation)) {
        bool done = span_append_tag_short(slot, id, TRACEZ_TAG_STRING, value, value_bytes);
        span_unlock(slot, span);
        if (done) {
            return;
        }
    }
    set_bytes_long(span, key, value, value_bytes);
}

static __attribute__((noinline)) void set_int_long(struct tracez_span span, const char *key_name,
                                                   int64_t value)
{
    struct key key = key_resolve(key_name);
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        set_plain_locked(slot, key, TRACEZ_TAG_INT, &value, sizeof(value));
        span_unlock(slot, span);
    }
}

void tracez_span_set_int(struct tracez_span span, const char *key, int64_t value)
{
    struct slot *slot = span.slot;
    uint32_t id = key_constant_id(key);

    if (slot == NULL) {
        return;
    }
    if (id != 0 && slot_try_lock(slot, span.generation)) {
        bool done = span_append_tag_short(slot, id, TRACEZ_TAG_INT, &value, sizeof(value));
        span_unlock(slot, span);
        if (done) {
            return;
        }
    }
    set_int_long(span, key, value);
}

void tracez_span_set_double(struct tracez_span span, const char *key, double value)
{
    const struct tracez_tag tag = {.key = key, .type = TRACEZ_TAG_DOUBLE, .value.real = value};

    tracez_span_set_tag(span, &tag);
}

void tracez_span_set_bool(struct tracez_span span, const char *key, bool value)
{
    const struct tracez_tag tag = {.key = key, .type = TRACEZ_TAG_BOOL, .value.boolean = value};

    tracez_span_set_tag(span, &tag);
}

void tracez_span_set_format(struct tracez_span span, const char *key, const char *format, ...)
{
    char text[FORMAT_BYTES_MAX];
    va_list arguments;

    if (!tracez_span_is_recording(span)) {
        return;
    }
    int saved_errno = errno;
    va_start(arguments, format);
    int bytes = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    errno = saved_errno;
    if (bytes >= 0) {
        tracez_span_set_bytes(span, key, text,
                              (size_t)bytes < sizeof(text) ? (size_t)bytes : sizeof(text) - 1);
    }
}

void tracez_span_remove_tag(struct tracez_span span, const char *key_text_)
{
    struct slot *slot = span_lock(span);
    struct key key = key_resolve(key_text_);

    if (slot == NULL) {
        return;
    }
    unsigned char *at = key.text != NULL ? find_tag(slot, key) : NULL;
    if (at != NULL) {
        cut_out(slot, at);
        slot->record.tag_count--;
    }
    span_unlock(slot, span);
}

static int format_value(const struct tracez_entry *entry, char *buffer, size_t buffer_bytes)
{
    switch (entry->type) {
    case TRACEZ_TAG_INT:
        return snprintf(buffer, buffer_bytes, "%lld", (long long)entry->integer);
    case TRACEZ_TAG_DOUBLE:
        return snprintf(buffer, buffer_bytes, "%.17g", entry->real);
    case TRACEZ_TAG_BOOL:
        return snprintf(buffer, buffer_bytes, "%s", entry->integer != 0 ? "true" : "false");
    default:
        break;
    }
    if (buffer_bytes > 0) {
        size_t bytes = entry->string.bytes < buffer_bytes ? entry->string.bytes : buffer_bytes - 1;
        memcpy(buffer, entry->string.text, bytes);
        buffer[bytes] = '\0';
    }
    return (int)entry->string.bytes;
}

int tracez_span_get(struct tracez_span span, const char *key_text_, char *buffer,
                    size_t buffer_bytes)
{
    struct slot *slot = span_lock(span);
    struct key key = key_resolve(key_text_);
    struct tracez_entry entry;
    size_t position = 0;
    int bytes = -1;

    if (slot == NULL) {
        return -1;
    }
    const unsigned char *at = key.text != NULL ? find_tag(slot, key) : NULL;
    if (at != NULL &&
        tracez_entry_next(at, entry_bytes(entry_header_read(at)), &position, &entry)) {
        int saved_errno = errno;
        bytes = format_value(&entry, buffer, buffer_bytes);
        errno = saved_errno;
    }
    span_unlock(slot, span);
    return bytes;
}

/* ---- Events and links ------------------------------------------------------------------------ */

/* Appends an entry whose value is a fixed head and nested tags. False when it does not fit; tags
 * that are refused by themselves are left out. */
static bool append_nested(struct slot *slot, uint32_t type, struct key key, struct tracez_text head,
                          const struct tag_list *list)
{
    size_t nested_bytes = 0;
    uint32_t refused = 0;

    for (size_t i = 0; i < list->count && i < TRACEZ_TAGS_MAX; i++) {
        size_t value_bytes = tag_value_bytes(&list->tags[i], list->max_tag_bytes);
        struct key tag_key = key_resolve(list->tags[i].key);
        if (value_bytes <= ENTRY_VALUE_BYTES_MAX && tag_key.text != NULL) {
            nested_bytes += entry_bytes_for(tag_key, value_bytes);
        }
    }
    size_t value_bytes = head.bytes + nested_bytes;
    unsigned char *at = value_bytes > ENTRY_VALUE_BYTES_MAX
                            ? NULL
                            : append(slot, entry_bytes_for(key, value_bytes));
    if (at == NULL) {
        return false;
    }
    unsigned char *value = entry_begin(at, type, key, value_bytes);
    memcpy(value, head.text, head.bytes);
    tag_list_write(list, value + head.bytes, nested_bytes, &refused);
    span_refuse(slot, &slot->record.tags_refused, refused);
    return true;
}

static uint64_t unix_now_ns(const struct slot *slot)
{
    uint64_t now_ns = clock_monotonic_ns(&slot->tracer->clock);
    uint64_t start_ns = slot->start_monotonic_ns;

    return slot->record.start_unix_ns + (now_ns > start_ns ? now_ns - start_ns : 0);
}

void tracez_span_add_event(struct tracez_span span, const char *name, const struct tracez_tag *tags,
                           size_t tag_count)
{
    struct slot *slot = span_lock(span);

    if (slot == NULL) {
        return;
    }
    uint64_t unix_ns = unix_now_ns(slot);
    const struct key key = {.text = name == NULL ? "" : name,
                            .bytes = (uint16_t)(name == NULL ? 0 : strnlen(name, KEY_BYTES_MAX))};
    const struct tracez_text head = {(const char *)&unix_ns, EVENT_TIME_BYTES};
    const struct tag_list list = {tags, tag_count, slot->max_tag_bytes};

    if (slot->record.event_count < TRACEZ_EVENTS_MAX &&
        append_nested(slot, TRACEZ_ENTRY_EVENT, key, head, &list)) {
        slot->record.event_count++;
    } else {
        span_refuse(slot, &slot->record.events_refused, 1);
    }
    span_unlock(slot, span);
}

void tracez_span_add_link(struct tracez_span span, const struct tracez_context *target,
                          const struct tracez_tag *tags, size_t tag_count)
{
    struct slot *slot = span_lock(span);
    unsigned char context[LINK_CONTEXT_BYTES];

    if (slot == NULL) {
        return;
    }
    if (tracez_context_is_valid(target) && slot->record.link_count < TRACEZ_LINKS_MAX) {
        memcpy(context, target->trace_id, TRACEZ_TRACE_ID_BYTES);
        memcpy(context + TRACEZ_TRACE_ID_BYTES, target->span_id, TRACEZ_SPAN_ID_BYTES);
        context[LINK_CONTEXT_BYTES - 1] = target->flags;
        const struct tracez_text head = {(const char *)context, sizeof(context)};
        const struct tag_list list = {tags, tag_count, slot->max_tag_bytes};
        if (append_nested(slot, TRACEZ_ENTRY_LINK, key_none(), head, &list)) {
            slot->record.link_count++;
            span_unlock(slot, span);
            return;
        }
    }
    span_refuse(slot, &slot->record.links_refused, 1);
    span_unlock(slot, span);
}
