/* SPDX-License-Identifier: MIT
 *
 * Reading finished spans in tests; see spans.h. */
#include "spans.h"

#include <stdlib.h>
#include <string.h>

#define CASE_SECONDS_MAX 120

struct tracez_tracer *tracer_create(const struct tracez_config *config)
{
    struct tracez_tracer *tracer = NULL;
    struct tracez_error error = {0};
    enum tracez_result result = tracez_tracer_create(config, &tracer, &error);

    ck_assert_msg(result == TRACEZ_OK, "no tracer: %s", error.text);
    ck_assert_ptr_nonnull(tracer);
    return tracer;
}

struct tracez_tracer *tracer_create_default(void)
{
    struct tracez_config config;
    struct tracez_collector_config collector = {.name = "default", .writers = 1};

    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    return tracer_create(&config);
}

struct tracez_collector *first_collector(struct tracez_tracer *tracer)
{
    struct tracez_collector *collector = tracez_tracer_collector(tracer, 0);

    ck_assert_ptr_nonnull(collector);
    return collector;
}

static void *copy_bytes(const void *bytes, size_t count)
{
    void *copy = malloc(count + 1); /* never 0, and a NUL for the debugger's sake */

    ck_assert_ptr_nonnull(copy);
    if (count > 0) {
        memcpy(copy, bytes, count);
    }
    ((char *)copy)[count] = '\0';
    return copy;
}

static struct tracez_text copy_text(struct tracez_text text)
{
    return (struct tracez_text){copy_bytes(text.text, text.bytes), text.bytes};
}

void spans_keep(const struct tracez_record *record, void *state)
{
    struct spans *spans = state;

    if (spans->count == spans->capacity) {
        spans->capacity = spans->capacity == 0 ? 16 : 2 * spans->capacity;
        spans->records = realloc(spans->records, spans->capacity * sizeof(spans->records[0]));
        ck_assert_ptr_nonnull(spans->records);
    }
    struct tracez_record *copy = &spans->records[spans->count++];
    *copy = *record;
    copy->trace_id = copy_bytes(record->trace_id, TRACEZ_TRACE_ID_BYTES);
    copy->span_id = copy_bytes(record->span_id, TRACEZ_SPAN_ID_BYTES);
    copy->parent_span_id = copy_bytes(record->parent_span_id, TRACEZ_SPAN_ID_BYTES);
    copy->name = copy_text(record->name);
    copy->tracestate = copy_text(record->tracestate);
    copy->status_message = copy_text(record->status_message);
    copy->entries = copy_bytes(record->entries, record->entries_bytes);
}

bool spans_read(const struct tracez_record *record, void *state)
{
    spans_keep(record, state);
    return true;
}

struct tracez_lane *lane_of(struct tracez_collector *collector)
{
    return tracez_collector_lane(collector, 0);
}

struct spans spans_drain(struct tracez_collector *collector)
{
    struct spans spans = {0};
    size_t drained = tracez_collector_drain(collector, SIZE_MAX, spans_keep, &spans);

    ck_assert_uint_eq(drained, spans.count);
    return spans;
}

struct spans spans_drain_first(struct tracez_tracer *tracer)
{
    return spans_drain(first_collector(tracer));
}

void spans_free(struct spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        const struct tracez_record *record = &spans->records[i];

        free((void *)(uintptr_t)record->trace_id);
        free((void *)(uintptr_t)record->span_id);
        free((void *)(uintptr_t)record->parent_span_id);
        free((void *)(uintptr_t)record->name.text);
        free((void *)(uintptr_t)record->tracestate.text);
        free((void *)(uintptr_t)record->status_message.text);
        free((void *)(uintptr_t)record->entries);
    }
    free(spans->records);
    *spans = (struct spans){0};
}

void span_pass(struct tracez_tracer *tracer, const char *name)
{
    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, name, NULL, NULL));
}

void spans_pass(struct tracez_tracer *tracer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        span_pass(tracer, "pass");
    }
}

bool span_find_tag(const struct tracez_record *record, const char *key, struct tracez_entry *entry)
{
    size_t key_bytes = strlen(key);
    size_t position = 0;
    bool found = false;

    while (tracez_entry_next(record->entries, record->entries_bytes, &position, entry)) {
        if (entry->type <= TRACEZ_TAG_STRINGS && entry->key.bytes == key_bytes &&
            memcmp(entry->key.text, key, key_bytes) == 0) {
            found = true;
            break;
        }
    }
    return found;
}

void assert_text(struct tracez_text text, const char *expected)
{
    ck_assert_msg(text.bytes == strlen(expected) &&
                      (text.bytes == 0 || memcmp(text.text, expected, text.bytes) == 0),
                  "\"%.*s\" (%zu bytes), expected \"%s\"", (int)text.bytes,
                  text.bytes == 0 ? "" : text.text, text.bytes, expected);
}

void assert_tag_string(const struct tracez_record *record, const char *key, const char *expected)
{
    struct tracez_entry entry = {0};

    ck_assert_msg(span_find_tag(record, key, &entry), "no tag %s", key);
    ck_assert_uint_eq(entry.type, TRACEZ_TAG_STRING);
    assert_text(entry.string, expected);
}

void assert_tag_int(const struct tracez_record *record, const char *key, int64_t expected)
{
    struct tracez_entry entry = {0};

    ck_assert_msg(span_find_tag(record, key, &entry), "no tag %s", key);
    ck_assert_uint_eq(entry.type, TRACEZ_TAG_INT);
    ck_assert_int_eq(entry.integer, expected);
}

void assert_no_tag(const struct tracez_record *record, const char *key)
{
    struct tracez_entry entry = {0};

    ck_assert_msg(!span_find_tag(record, key, &entry), "unexpected tag %s", key);
}

struct tracez_stats books(const struct tracez_tracer *tracer)
{
    struct tracez_stats stats;
    uint64_t ended = 0;

    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    for (size_t i = 0; i < TRACEZ_DROP_COUNT; i++) {
        ended += stats.dropped[i];
    }
    ended += stats.not_kept + stats.queued + stats.inflight + stats.exported;
    ck_assert_uint_eq(stats.requests, stats.traced + stats.not_traced);
    ck_assert_uint_eq(stats.started, stats.not_recorded + stats.recorded);
    ck_assert_uint_eq(stats.recorded, stats.live + ended);
    return stats;
}

struct tracez_collector_stats collector_books(const struct tracez_collector *collector)
{
    struct tracez_collector_stats stats;

    tracez_collector_stats_init(&stats);
    tracez_collector_stats(collector, &stats);
    ck_assert_uint_le(stats.pressure_percent, 100);
    return stats;
}

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

TCase *case_of(Suite *suite, const char *name)
{
    TCase *test_case = tcase_create(name);

    tcase_set_timeout(test_case, CASE_SECONDS_MAX);
    suite_add_tcase(suite, test_case);
    return test_case;
}
