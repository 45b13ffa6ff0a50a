/* SPDX-License-Identifier: MIT
 *
 * Goal: a record's bytes are believed only after checking: whatever they are, parsing and walking
 * them ends, and never reads beyond them.
 * Method: one valid record with every kind of entry, then each truncation of it, each byte replaced
 * by every other, and random damage. Each is parsed from a heap copy of its exact size (so that
 * AddressSanitizer sees a read too far) and, when accepted, walked to the last byte. */
#include "record.h"
#include "spans.h"

#include <stdlib.h>
#include <string.h>

static unsigned char *valid;
static size_t valid_bytes;
static volatile unsigned sum_of_all_read; /* keeps the reads from being left out */

/* Reads every byte that the view shows. */
static unsigned sum_text(struct tracez_text text)
{
    unsigned sum = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        sum += (unsigned char)text.text[i];
    }
    return sum;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by depth */
static unsigned walk(const unsigned char *entries, size_t entries_bytes, unsigned depth)
{
    struct tracez_entry entry;
    struct tracez_text item;
    size_t position = 0;
    unsigned sum = 0;

    while (tracez_entry_next(entries, entries_bytes, &position, &entry)) {
        if (position > entries_bytes || depth > 3) {
            ck_abort_msg("walked to %zu of %zu bytes, %u deep", position, entries_bytes, depth);
        }
        sum += sum_text(entry.key) + sum_text(entry.string) + entry.key_id;
        if (entry.type == TRACEZ_TAG_STRINGS) {
            size_t strings_position = 0;
            while (tracez_strings_next(entry.string, &strings_position, &item)) {
                sum += sum_text(item);
            }
        }
        if (entry.type == TRACEZ_ENTRY_EVENT || entry.type == TRACEZ_ENTRY_LINK) {
            sum += walk(entry.nested, entry.nested_bytes, depth + 1);
        }
    }
    return sum;
}

/* Of exactly this size, so that AddressSanitizer sees a read too far. No assertions here or in what
 * calls it a million times: Check writes a line down for each. */
static unsigned char *copy_exact(const unsigned char *bytes, size_t count)
{
    unsigned char *exact = malloc(count == 0 ? 1 : count);

    if (exact == NULL) {
        ck_abort_msg("no memory");
    }
    memcpy(exact, bytes, count);
    return exact;
}

/* Parses an exact copy; when accepted, reads all of it. */
static bool parse_and_walk(const unsigned char *bytes, size_t count)
{
    unsigned char *exact = copy_exact(bytes, count);
    struct tracez_record record;

    bool parsed = tracez_record_parse(exact, count, &record);
    if (parsed) {
        unsigned sum = sum_text(record.name) + sum_text(record.tracestate) +
                       sum_text(record.status_message) +
                       walk(record.entries, record.entries_bytes, 0);
        for (int i = 0; i < TRACEZ_TRACE_ID_BYTES; i++) {
            sum += record.trace_id[i];
        }
        for (int i = 0; i < TRACEZ_SPAN_ID_BYTES; i++) {
            sum += (unsigned)record.span_id[i] + record.parent_span_id[i];
        }
        sum_of_all_read += sum;
        if (record.kind < TRACEZ_KIND_INTERNAL || record.kind > TRACEZ_KIND_CONSUMER ||
            record.status > TRACEZ_STATUS_ERROR) {
            ck_abort_msg("kind %d, status %d", (int)record.kind, (int)record.status);
        }
    }
    free(exact);
    return parsed;
}

/* The first record of a fresh shard lies in one piece, its header before its trace id. */
static void copy_bytes(const struct tracez_record *record, void *state)
{
    const unsigned char *bytes = record->trace_id - offsetof(struct record_header, trace_id);
    struct record_header header;

    (void)state;
    memcpy(&header, bytes, sizeof(header));
    valid_bytes = header.record_bytes;
    valid = malloc(valid_bytes);
    ck_assert_ptr_nonnull(valid);
    memcpy(valid, bytes, valid_bytes);
}

static void make_valid(void)
{
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_text items[] = {{"one", 3}, {"", 0}, {"three", 5}};
    const struct tracez_tag list = {
        .key = "list", .type = TRACEZ_TAG_STRINGS, .value.strings = {items, 3}};
    const struct tracez_tag nested = {
        .key = "nested", .type = TRACEZ_TAG_DOUBLE, .value.real = 0.5};
    const struct tracez_context other = {.trace_id = {1}, .span_id = {2}};
    struct tracez_context parent = {.trace_id = {3},
                                    .span_id = {4},
                                    .flags = TRACEZ_FLAG_SAMPLED,
                                    .is_remote = true,
                                    .tracestate = "a=1",
                                    .tracestate_bytes = 3};

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /", &parent, NULL);
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/");
    tracez_span_set_int(span, "number", 42);
    tracez_span_set_double(span, "real", 1.5);
    tracez_span_set_bool(span, "yes", true);
    tracez_span_set_tag(span, &list);
    tracez_span_add_event(span, "event", &list, 1);
    tracez_span_add_link(span, &other, &nested, 1);
    tracez_span_set_error(span, "timeout", "message");
    tracez_span_finish(span);
    ck_assert_uint_eq(tracez_collector_drain(first_collector(tracer), 1, copy_bytes, NULL), 1);
    tracez_tracer_destroy(tracer);
}

static void free_valid(void)
{
    free(valid);
    valid = NULL;
}

START_TEST(every_truncation_is_refused)
{
    for (size_t bytes = 0; bytes < valid_bytes; bytes++) {
        ck_assert_msg(!parse_and_walk(valid, bytes), "%zu of %zu bytes accepted", bytes,
                      valid_bytes);
    }
}
END_TEST

START_TEST(every_replaced_byte_is_refused_or_harmless)
{
    for (size_t at = 0; at < valid_bytes; at++) {
        unsigned char original = valid[at];
        for (unsigned value = 0; value < 256; value++) {
            valid[at] = (unsigned char)value;
            (void)parse_and_walk(valid, valid_bytes);
        }
        valid[at] = original;
    }
    ck_assert(parse_and_walk(valid, valid_bytes));
}
END_TEST

START_TEST(random_damage_is_refused_or_harmless)
{
    unsigned char *damaged = malloc(valid_bytes);
    unsigned refused = 0;

    ck_assert_ptr_nonnull(damaged);
    srandom(9);
    for (int round = 0; round < 20000; round++) {
        memcpy(damaged, valid, valid_bytes);
        for (long changes = random() % 8; changes >= 0; changes--) {
            damaged[(size_t)random() % valid_bytes] = (unsigned char)random();
        }
        refused += !parse_and_walk(damaged, valid_bytes);
    }

    ck_assert_uint_gt(refused, 0);
    free(damaged);
}
END_TEST

START_TEST(entries_of_random_bytes_are_walked_within_bounds)
{
    srandom(10);
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)random() % 64;
        unsigned char random_bytes[64];
        for (size_t i = 0; i < bytes; i++) {
            /* small numbers, so that types and lengths are often almost right */
            random_bytes[i] = (unsigned char)(random() % 3 == 0 ? random() : random() % 24);
        }
        unsigned char *exact = copy_exact(random_bytes, bytes);
        sum_of_all_read += walk(exact, bytes, 0);
        free(exact);
    }
}
END_TEST

static void assert_header_refused(size_t offset, const void *value, size_t bytes)
{
    unsigned char *changed = malloc(valid_bytes);

    ck_assert_ptr_nonnull(changed);
    memcpy(changed, valid, valid_bytes);
    memcpy(changed + offset, value, bytes);
    ck_assert_msg(!parse_and_walk(changed, valid_bytes), "header byte %zu", offset);
    free(changed);
}

START_TEST(a_header_that_contradicts_its_record_is_refused)
{
    static const uint32_t lengths[] = {0, 1, 7, 8, 72, UINT32_MAX, UINT32_MAX - 7, 0x80000000};
    const uint8_t bad_kind = 6;
    const uint8_t bad_status = 3;
    const uint8_t bad_version = 2;
    const uint16_t bad_count = 77;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        assert_header_refused(offsetof(struct record_header, record_bytes), &lengths[i], 4);
        assert_header_refused(offsetof(struct record_header, entries_bytes), &lengths[i], 4);
    }
    assert_header_refused(offsetof(struct record_header, kind), &bad_kind, 1);
    assert_header_refused(offsetof(struct record_header, status), &bad_status, 1);
    assert_header_refused(offsetof(struct record_header, version), &bad_version, 1);
    assert_header_refused(offsetof(struct record_header, tag_count), &bad_count, 2);
}
END_TEST

START_TEST(bytes_at_an_odd_address_are_refused_or_read_right)
{
    unsigned char *moved = malloc(valid_bytes + 1);
    struct tracez_record record;

    ck_assert_ptr_nonnull(moved);
    memcpy(moved + 1, valid, valid_bytes);
    if (tracez_record_parse(moved + 1, valid_bytes, &record)) {
        assert_text(record.name, "GET /");
    }
    free(moved);
}
END_TEST

START_TEST(a_valid_record_reads_back_whole_also_with_more_bytes_behind_it)
{
    unsigned char *longer = calloc(1, valid_bytes + 64);
    struct tracez_record record;

    ck_assert_ptr_nonnull(longer);
    memcpy(longer, valid, valid_bytes);
    bool parsed = tracez_record_parse(longer, valid_bytes + 64, &record);

    ck_assert(parsed);
    assert_text(record.name, "GET /");
    assert_text(record.tracestate, "a=1");
    assert_text(record.status_message, "message");
    ck_assert_uint_eq(record.tag_count, 6);
    ck_assert_uint_eq(record.event_count, 1);
    ck_assert_uint_eq(record.link_count, 1);
    assert_tag_int(&record, "number", 42);
    free(longer);
}
END_TEST

START_TEST(a_span_with_three_short_tags_takes_at_most_160_bytes)
{
    struct tracez_tracer *tracer = tracer_create_default();

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /", NULL, NULL);
    tracez_span_set_string(span, TRACEZ_KEY(HTTP_REQUEST_METHOD), "GET");
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/users/42");
    tracez_span_set_int(span, TRACEZ_KEY(HTTP_RESPONSE_STATUS_CODE), 200);
    tracez_span_finish(span);
    free_valid();
    tracez_collector_drain(first_collector(tracer), 1, copy_bytes, NULL);

    ck_assert_uint_le(valid_bytes, 160);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *hostile = case_of(suite, "hostile");
    TCase *sound = case_of(suite, "sound");

    tcase_add_checked_fixture(hostile, make_valid, free_valid);
    tcase_add_test(hostile, every_truncation_is_refused);
    tcase_add_test(hostile, every_replaced_byte_is_refused_or_harmless);
    tcase_add_test(hostile, random_damage_is_refused_or_harmless);
    tcase_add_test(hostile, entries_of_random_bytes_are_walked_within_bounds);
    tcase_add_test(hostile, a_header_that_contradicts_its_record_is_refused);
    tcase_add_test(hostile, bytes_at_an_odd_address_are_refused_or_read_right);
    tcase_add_checked_fixture(sound, make_valid, free_valid);
    tcase_add_test(sound, a_valid_record_reads_back_whole_also_with_more_bytes_behind_it);
    tcase_add_test(sound, a_span_with_three_short_tags_takes_at_most_160_bytes);
    return run_suite(suite);
}
