/* SPDX-License-Identifier: MIT
 *
 * tracez's own format: an array of plain objects, for readers that are written in an afternoon.
 * docs/tracez-spans.schema.json says it in full. Times are RFC 3339 with nanoseconds, the duration
 * is in whole nanoseconds, all tags are strings, the resource's and the kind among them. */
#include "format.h"

#define NS_PER_S UINT64_C(1000000000)
#define SECONDS_PER_DAY 86400U
#define TIME_BYTES 32 /* with its quotes */

static bool build(struct envelope *envelope, const struct tracez_collector *collector,
                  uint32_t resource)
{
    const unsigned char *entries = NULL;
    size_t entries_bytes = 0;

    (void)envelope_resource(collector, resource, &entries, &entries_bytes);
    return resource_tags_init(&envelope->tags, entries, entries_bytes, true);
}

/* ---- Times ----------------------------------------------------------------------------------- */

/* Exactly so many digits. */
static char *put_digits(char *at, uint32_t value, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        at[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

/* "2026-11-25" from days since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms", civil_from_days): years begin in March, so that a leap day is the last one. */
static char *put_date(char *at, uint32_t days)
{
    const uint32_t days_per_era = 146097; /* 400 years */
    days += 719468;                       /* since 0000-03-01 */
    uint32_t era = days / days_per_era;
    uint32_t day = days % days_per_era;
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint32_t day_of_year = day - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * day_of_year + 2) / 153; /* from March */

    at = put_digits(at, year + era * 400 + (month >= 10), 4);
    *at++ = '-';
    at = put_digits(at, month < 10 ? month + 3 : month - 9, 2);
    *at++ = '-';
    return put_digits(at, day_of_year - (153 * month + 2) / 5 + 1, 2);
}

static void write_time(struct json_writer *json, uint64_t unix_ns)
{
    uint64_t seconds = unix_ns / NS_PER_S;
    uint32_t second = (uint32_t)(seconds % SECONDS_PER_DAY);

    if (!json_writer_reserve(json, TIME_BYTES)) {
        return;
    }
    char *at = json->text + json->bytes;
    *at++ = '"';
    at = put_date(at, (uint32_t)(seconds / SECONDS_PER_DAY));
    *at++ = 'T';
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    *at++ = '.';
    at = put_digits(at, (uint32_t)(unix_ns % NS_PER_S), 9);
    *at++ = 'Z';
    *at = '"';
    json->bytes += TIME_BYTES;
}

/* ---- A span ---------------------------------------------------------------------------------- */

static void write_ids(struct json_writer *json, const struct tracez_record *record)
{
    static const uint8_t none[TRACEZ_SPAN_ID_BYTES];

    JSON_WRITE(json, "{\"trace_id\":");
    json_write_hex(json, record->trace_id, TRACEZ_TRACE_ID_BYTES);
    JSON_WRITE(json, ",\"span_id\":");
    json_write_hex(json, record->span_id, TRACEZ_SPAN_ID_BYTES);
    if (memcmp(record->parent_span_id, none, sizeof(none)) != 0) {
        JSON_WRITE(json, ",\"parent_id\":");
        json_write_hex(json, record->parent_span_id, TRACEZ_SPAN_ID_BYTES);
    }
}

static void write_span(struct json_writer *json, const struct tracez_record *record,
                       const struct envelope *envelope)
{
    uint64_t end_unix_ns = record->start_unix_ns + record->duration_ns;

    write_ids(json, record);
    JSON_WRITE(json, ",\"name\":");
    json_write_string(json, record->name);
    JSON_WRITE(json, ",\"start_time\":");
    write_time(json, record->start_unix_ns);
    JSON_WRITE(json, ",\"end_time\":");
    write_time(json, end_unix_ns < record->start_unix_ns ? UINT64_MAX : end_unix_ns);
    JSON_WRITE(json, ",\"duration\":");
    json_write_unsigned(json, record->duration_ns);
    struct tags tags = tags_begin(json);
    tags_write_kind(&tags, record->kind);
    tags_write_all(&tags, record, &envelope->tags);
    tags_write_status(&tags, record);
    tags_write_dropped(&tags, "attributes", record->tags_refused);
    tags_write_dropped(&tags, "events", record->events_refused + record->event_count);
    tags_write_dropped(&tags, "links", record->links_refused + record->link_count);
    tags_end(&tags);
    JSON_WRITE(json, "}");
}

const struct format plain_format = {
    .endpoint = "http://localhost:4318",
    .path = "/",
    .opening = "[",
    .closing = "]",
    .build = build,
    .write_span = write_span,
};
