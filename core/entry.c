/* SPDX-License-Identifier: MIT
 *
 * Writing tag values, and walking entries that somebody else wrote. The walkers believe no length
 * before it was checked against what is there: the bytes may come from shared memory that a dying
 * process left. */
#include "entry.h"

#include "text.h"

static const char truncation_mark[] = "...[truncated]";
#define MARK_BYTES (sizeof(truncation_mark) - 1)

/* ---- Writing --------------------------------------------------------------------------------- */

/* How much of a string that is too long stays before the mark. */
static size_t kept_bytes(struct tracez_text string, size_t max_bytes)
{
    return text_cut_bytes(string, max_bytes - MARK_BYTES);
}

size_t cut_string_bytes(struct tracez_text string, size_t max_bytes)
{
    return kept_bytes(string, max_bytes) + MARK_BYTES;
}

void cut_string_write(struct tracez_text string, size_t max_bytes, unsigned char *at)
{
    size_t kept = kept_bytes(string, max_bytes);

    memcpy(at, string.text, kept);
    memcpy(at + kept, truncation_mark, MARK_BYTES);
}

static size_t strings_bytes(const struct tracez_tag *tag, size_t max_tag_bytes)
{
    size_t bytes = 0;

    for (size_t i = 0; i < tag->value.strings.count && bytes <= ENTRY_VALUE_BYTES_MAX; i++) {
        bytes += 2 + string_bytes(tag->value.strings.items[i], max_tag_bytes);
    }
    return bytes;
}

size_t tag_value_bytes(const struct tracez_tag *tag, size_t max_tag_bytes)
{
    switch (tag->type) {
    case TRACEZ_TAG_STRING:
        return string_bytes(tag->value.string, max_tag_bytes);
    case TRACEZ_TAG_INT:
    case TRACEZ_TAG_DOUBLE:
        return 8;
    case TRACEZ_TAG_BOOL:
        return 1;
    case TRACEZ_TAG_STRINGS:
        return strings_bytes(tag, max_tag_bytes);
    }
    return SIZE_MAX;
}

void tag_value_write(const struct tracez_tag *tag, size_t max_tag_bytes, unsigned char *value)
{
    switch (tag->type) {
    case TRACEZ_TAG_STRING:
        string_write(tag->value.string, max_tag_bytes, value);
        break;
    case TRACEZ_TAG_INT:
        memcpy(value, &tag->value.integer, 8);
        break;
    case TRACEZ_TAG_DOUBLE:
        memcpy(value, &tag->value.real, 8);
        break;
    case TRACEZ_TAG_BOOL:
        *value = tag->value.boolean;
        break;
    case TRACEZ_TAG_STRINGS:
        for (size_t i = 0; i < tag->value.strings.count; i++) {
            struct tracez_text item = tag->value.strings.items[i];
            uint16_t bytes = (uint16_t)string_bytes(item, max_tag_bytes);
            memcpy(value, &bytes, 2);
            string_write(item, max_tag_bytes, value + 2);
            value += 2 + bytes;
        }
        break;
    }
}

size_t tag_list_write(const struct tag_list *list, unsigned char *at, size_t capacity,
                      uint32_t *refused)
{
    size_t written = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct tracez_tag *tag = &list->tags[i];
        size_t value_bytes = tag_value_bytes(tag, list->max_tag_bytes);
        struct key key = key_resolve(tag->key);
        if (i >= TRACEZ_TAGS_MAX || value_bytes > ENTRY_VALUE_BYTES_MAX || key.text == NULL ||
            entry_bytes_for(key, value_bytes) > capacity - written) {
            ++*refused;
            continue;
        }
        tag_value_write(tag, list->max_tag_bytes,
                        entry_begin(at + written, tag->type, key, value_bytes));
        written += entry_bytes_for(key, value_bytes);
    }
    return written;
}

/* ---- Walking --------------------------------------------------------------------------------- */

/* Sets what the type says about the value; false when its length does not fit its type. */
static bool read_value(struct tracez_entry *entry, const unsigned char *value, size_t value_bytes)
{
    entry->string = (struct tracez_text){(const char *)value, value_bytes};
    switch (entry->type) {
    case TRACEZ_TAG_INT:
        if (value_bytes == 8) {
            memcpy(&entry->integer, value, 8);
        }
        return value_bytes == 8;
    case TRACEZ_TAG_DOUBLE:
        if (value_bytes == 8) {
            memcpy(&entry->real, value, 8);
        }
        return value_bytes == 8;
    case TRACEZ_TAG_BOOL:
        entry->integer = value_bytes == 1 && *value != 0;
        return value_bytes == 1;
    case TRACEZ_ENTRY_EVENT:
        if (value_bytes < EVENT_TIME_BYTES) {
            return false;
        }
        memcpy(&entry->unix_ns, value, EVENT_TIME_BYTES);
        entry->nested = value + EVENT_TIME_BYTES;
        entry->nested_bytes = value_bytes - EVENT_TIME_BYTES;
        return true;
    case TRACEZ_ENTRY_LINK:
        if (value_bytes < LINK_CONTEXT_BYTES) {
            return false;
        }
        entry->context = (struct tracez_context){.flags = value[LINK_CONTEXT_BYTES - 1]};
        memcpy(entry->context.trace_id, value, TRACEZ_TRACE_ID_BYTES);
        memcpy(entry->context.span_id, value + TRACEZ_TRACE_ID_BYTES, TRACEZ_SPAN_ID_BYTES);
        entry->nested = value + LINK_CONTEXT_BYTES;
        entry->nested_bytes = value_bytes - LINK_CONTEXT_BYTES;
        return true;
    default:
        return (entry->type >= TRACEZ_TAG_STRING && entry->type <= TRACEZ_TAG_STRINGS) ||
               (entry->type >= TRACEZ_ENTRY_NAME && entry->type <= TRACEZ_ENTRY_LINK);
    }
}

bool tracez_entry_next(const unsigned char *entries, size_t entries_bytes, size_t *position,
                       struct tracez_entry *entry)
{
    if (*position > entries_bytes || entries_bytes - *position < ENTRY_HEADER_BYTES) {
        return false;
    }
    const unsigned char *at = entries + *position;
    struct entry_header header = entry_header_read(at);
    if (entry_bytes(header) > entries_bytes - *position) {
        return false;
    }
    at += ENTRY_HEADER_BYTES;
    /* Member by member: the context, a third of it, is for links only. */
    entry->type = header.type;
    entry->key_id = header.key_id;
    entry->integer = 0;
    entry->real = 0.0;
    entry->unix_ns = 0;
    entry->nested = NULL;
    entry->nested_bytes = 0;
    entry->key = header.key_id != 0 ? key_text(header.key_id)
                                    : (struct tracez_text){(const char *)at, header.key_bytes};
    *position += entry_bytes(header);
    return read_value(entry, at + header.key_bytes, header.value_bytes);
}

bool tracez_strings_next(struct tracez_text strings, size_t *position, struct tracez_text *item)
{
    uint16_t bytes;

    if (*position > strings.bytes || strings.bytes - *position < 2) {
        return false;
    }
    memcpy(&bytes, strings.text + *position, 2);
    if (bytes > strings.bytes - *position - 2) {
        return false;
    }
    *item = (struct tracez_text){strings.text + *position + 2, bytes};
    *position += 2 + (size_t)bytes;
    return true;
}
