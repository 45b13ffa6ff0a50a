/* SPDX-License-Identifier: MIT
 *
 * Reading records. Every length, count and enum is checked before it is believed; a record that
 * contradicts itself anywhere is refused as a whole. */
#include "record.h"

#include <stdatomic.h>
#include <string.h>

/* Counts the entries and picks out those that a record has once. */
static bool view_entries(struct tracez_record *record)
{
    struct tracez_entry entry;
    uint32_t tags = 0;
    uint32_t events = 0;
    uint32_t links = 0;
    size_t position = 0;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, &entry)) {
        switch (entry.type) {
        case TRACEZ_ENTRY_NAME:
            record->name = entry.string;
            break;
        case TRACEZ_ENTRY_TRACESTATE:
            record->tracestate = entry.string;
            break;
        case TRACEZ_ENTRY_STATUS_MESSAGE:
            record->status_message = entry.string;
            break;
        case TRACEZ_ENTRY_EVENT:
            events++;
            break;
        case TRACEZ_ENTRY_LINK:
            links++;
            break;
        default:
            tags++;
        }
    }
    return position == record->entries_bytes && tags == record->tag_count &&
           events == record->event_count && links == record->link_count;
}

bool record_view(const struct record_header *header, const struct record_header *place,
                 struct tracez_record *record)
{
    uint8_t status = header->status & (uint8_t)~RECORD_PARENT_IS_REMOTE;

    if (header->version != RECORD_VERSION || header->kind < TRACEZ_KIND_INTERNAL ||
        header->kind > TRACEZ_KIND_CONSUMER || status > TRACEZ_STATUS_ERROR) {
        return false;
    }
    *record = (struct tracez_record){
        .trace_id = place->trace_id,
        .span_id = place->span_id,
        .parent_span_id = place->parent_span_id,
        .start_unix_ns = header->start_unix_ns,
        .duration_ns = header->duration_ns,
        .kind = (enum tracez_span_kind)header->kind,
        .status = (enum tracez_status)status,
        .flags = header->flags,
        .parent_is_remote = (header->status & RECORD_PARENT_IS_REMOTE) != 0,
        .resource = header->resource,
        .tag_count = header->tag_count,
        .event_count = header->event_count,
        .link_count = header->link_count,
        .tags_refused = header->tags_refused,
        .events_refused = header->events_refused,
        .links_refused = header->links_refused,
        .entries = (const unsigned char *)(place + 1),
        .entries_bytes = header->entries_bytes,
    };
    return view_entries(record);
}

size_t record_parse(const void *bytes, size_t available_bytes, struct tracez_record *record)
{
    struct record_header header;

    if (available_bytes < sizeof(header) || (uintptr_t)bytes % RECORD_ALIGNMENT != 0) {
        return 0;
    }
    /* What is checked must be what is used, whoever writes there meanwhile: it is read once. */
    memcpy(&header, bytes, sizeof(header));
    atomic_signal_fence(memory_order_seq_cst);
    if (header.record_bytes > available_bytes || header.record_bytes % RECORD_ALIGNMENT != 0 ||
        header.entries_bytes > header.record_bytes ||
        record_bytes_for(header.entries_bytes) != header.record_bytes ||
        !record_view(&header, bytes, record)) {
        return 0;
    }
    return header.record_bytes;
}

bool tracez_record_parse(const void *bytes, size_t available_bytes, struct tracez_record *record)
{
    return record_parse(bytes, available_bytes, record) != 0;
}
