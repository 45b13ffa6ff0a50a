/* SPDX-License-Identifier: MIT
 *
 * A record: a finished span as position-independent bytes. A fixed header, then entries (entry.h).
 * It may be read by another process, after a crash, under another configuration: it holds no
 * pointers, and its resource is a row of the table in the same memory. */
#ifndef TRACEZ_CORE_RECORD_H
#define TRACEZ_CORE_RECORD_H

#include <tracez/reader.h>

#define RECORD_VERSION 1
#define RECORD_ALIGNMENT 8
#define RECORD_PARENT_IS_REMOTE 0x80 /* in the status byte */

struct record_header {     /* its entries lie behind it */
    uint32_t record_bytes; /* all of it, a multiple of RECORD_ALIGNMENT */
    uint8_t version;
    uint8_t kind;
    uint8_t status; /* enum tracez_status, and RECORD_PARENT_IS_REMOTE */
    uint8_t flags;
    uint8_t trace_id[TRACEZ_TRACE_ID_BYTES];
    uint8_t span_id[TRACEZ_SPAN_ID_BYTES];
    uint8_t parent_span_id[TRACEZ_SPAN_ID_BYTES];
    uint64_t start_unix_ns;
    uint64_t duration_ns;
    uint32_t entries_bytes;
    uint16_t tag_count;
    uint8_t event_count;
    uint8_t link_count;
    uint16_t tags_refused;
    uint16_t events_refused;
    uint16_t links_refused;
    uint16_t resource;
};

_Static_assert(sizeof(struct record_header) == 72, "shared between versions");

static inline uint32_t record_bytes_for(uint32_t entries_bytes)
{
    uint32_t bytes = (uint32_t)sizeof(struct record_header) + entries_bytes;
    return (bytes + RECORD_ALIGNMENT - 1) & ~(uint32_t)(RECORD_ALIGNMENT - 1);
}

/* Fills the view: numbers from header, ids and entries where they lie, at place, which is the
 * header itself or what it was copied from. False when header or an entry contradicts itself. */
bool record_view(const struct record_header *header, const struct record_header *place,
                 struct tracez_record *record);

/* tracez_record_parse that returns the record's bytes; 0 for what is none. What it says holds also
 * where somebody writes to these bytes meanwhile. */
size_t record_parse(const void *bytes, size_t available_bytes, struct tracez_record *record);

#endif
