/* SPDX-License-Identifier: MIT
 *
 * Goal: tags keep their type and value, a later value replaces an earlier one, and every limit
 * holds exactly: 128 tags, max_tag_bytes with a cut at a UTF-8 boundary, span_bytes_max. Method:
 * limits and refusals first. Each test sets tags on one span, finishes it, and looks at the record
 * that came out; what was refused must be counted on the span and in the ledger. */
#include "spans.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "...[truncated]"

static struct tracez_tracer *tracer;
static struct tracez_span span;
static struct spans spans;

static void start(void)
{
    tracer = tracer_create_default();
    span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "tags", NULL, NULL);
    ck_assert(tracez_span_is_recording(span));
}

static void start_limited(uint32_t max_tag_bytes, uint32_t span_bytes_max)
{
    struct tracez_config config;

    tracez_tracer_destroy(tracer);
    tracez_config_init(&config);
    config.max_tag_bytes = max_tag_bytes;
    config.span_bytes_max = span_bytes_max;
    tracer = tracer_create(&config);
    span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "tags", NULL, NULL);
}

static void stop(void)
{
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    tracer = NULL;
}

/* Finishes the span and returns its record. */
static const struct tracez_record *finish(void)
{
    tracez_span_finish(span);
    spans = spans_drain_first(tracer);
    ck_assert_uint_eq(spans.count, 1);
    books(tracer);
    return &spans.records[0];
}

START_TEST(the_129th_tag_is_refused_and_counted_and_the_128th_is_not)
{
    char key[16];

    for (int i = 0; i < TRACEZ_TAGS_MAX + 1; i++) {
        snprintf(key, sizeof(key), "key%03d", i);
        tracez_span_set_int(span, key, i);
    }
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, TRACEZ_TAGS_MAX);
    ck_assert_uint_eq(record->tags_refused, 1);
    ck_assert_uint_eq(books(tracer).tags_refused, 1);
    assert_tag_int(record, "key127", 127);
    assert_no_tag(record, "key128");
}
END_TEST

START_TEST(a_full_span_still_takes_a_new_value_for_a_key_it_has)
{
    char key[16];

    for (int i = 0; i < TRACEZ_TAGS_MAX; i++) {
        snprintf(key, sizeof(key), "key%03d", i);
        tracez_span_set_int(span, key, i);
    }
    tracez_span_set_int(span, "key000", -1);
    tracez_span_remove_tag(span, "key001");
    tracez_span_set_int(span, "another", 7);
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, TRACEZ_TAGS_MAX);
    ck_assert_uint_eq(record->tags_refused, 0);
    assert_tag_int(record, "key000", -1);
    assert_no_tag(record, "key001");
    assert_tag_int(record, "another", 7);
}
END_TEST

START_TEST(a_key_that_is_null_empty_or_over_255_bytes_is_refused_and_counted)
{
    char key[257];

    memset(key, 'k', sizeof(key));
    key[256] = '\0';
    tracez_span_set_int(span, NULL, 1);
    tracez_span_set_int(span, "", 1);
    tracez_span_set_int(span, key, 1);
    key[255] = '\0';
    tracez_span_set_int(span, key, 255);
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, 1);
    ck_assert_uint_eq(record->tags_refused, 3);
    assert_tag_int(record, key, 255);
}
END_TEST

START_TEST(a_null_string_value_does_no_harm)
{
    tracez_span_set_string(span, "string", NULL);
    tracez_span_set_bytes(span, "bytes", NULL, 0);
    tracez_span_set_int(span, "after", 1);
    const struct tracez_record *record = finish();

    assert_tag_int(record, "after", 1);
}
END_TEST

START_TEST(what_no_longer_fits_into_the_span_is_refused_and_counted)
{
    char value[1000];
    char key[16];

    start_limited(1000, 2048);
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        tracez_span_set_bytes(span, key, value, sizeof(value));
    }
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count + record->tags_refused, 10);
    ck_assert_uint_ge(record->tag_count, 1);
    ck_assert_uint_ge(record->tags_refused, 8);
    ck_assert_uint_le(record->entries_bytes, 2048);
    ck_assert_uint_eq(books(tracer).tags_refused, record->tags_refused);
}
END_TEST

START_TEST(a_long_span_moves_on_and_keeps_all_its_tags)
{
    char value[900];
    char key[16];

    for (int i = 0; i < 16; i++) {
        memset(value, 'a' + i, sizeof(value));
        snprintf(key, sizeof(key), "key%d", i);
        tracez_span_set_bytes(span, key, value, sizeof(value));
    }
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, 16);
    for (int i = 0; i < 16; i++) {
        struct tracez_entry entry;
        memset(value, 'a' + i, sizeof(value));
        snprintf(key, sizeof(key), "key%d", i);
        ck_assert(span_find_tag(record, key, &entry));
        ck_assert_uint_eq(entry.string.bytes, sizeof(value));
        ck_assert_mem_eq(entry.string.text, value, sizeof(value));
    }
}
END_TEST

START_TEST(a_value_over_max_tag_bytes_is_cut_and_marked_and_one_at_the_limit_is_not)
{
    char value[101];
    struct tracez_entry entry;

    start_limited(100, 16384);
    memset(value, 'v', sizeof(value));
    tracez_span_set_bytes(span, "limit", value, 100);
    tracez_span_set_bytes(span, "over", value, 101);
    const struct tracez_record *record = finish();

    ck_assert(span_find_tag(record, "limit", &entry));
    ck_assert_uint_eq(entry.string.bytes, 100);
    ck_assert_mem_eq(entry.string.text, value, 100);
    ck_assert(span_find_tag(record, "over", &entry));
    ck_assert_uint_le(entry.string.bytes, 100);
    ck_assert_uint_ge(entry.string.bytes, 100 - 3);
    ck_assert_mem_eq(entry.string.text + entry.string.bytes - strlen(MARK), MARK, strlen(MARK));
    ck_assert_mem_eq(entry.string.text, value, entry.string.bytes - strlen(MARK));
}
END_TEST

/* Is this UTF-8 of characters that each take this many bytes, all whole? */
static void assert_whole_characters(const char *text, size_t bytes, const char *character)
{
    size_t character_bytes = strlen(character);

    ck_assert_uint_eq(bytes % character_bytes, 0);
    for (size_t i = 0; i < bytes; i += character_bytes) {
        ck_assert_mem_eq(text + i, character, character_bytes);
    }
}

START_TEST(a_cut_never_splits_a_utf8_character)
{
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    for (uint32_t max = 16; max < 64; max++) {
        start_limited(max, 16384);
        for (size_t i = 0; i < 3; i++) {
            size_t bytes = strlen(characters[i]);
            char value[400] = "";
            char key[8] = {(char)('a' + i)};
            for (size_t j = 0; j < 90; j++) {
                memcpy(value + j * bytes, characters[i], bytes);
            }
            tracez_span_set_string(span, key, value);
        }
        const struct tracez_record *record = finish();

        for (size_t i = 0; i < 3; i++) {
            char key[8] = {(char)('a' + i)};
            struct tracez_entry entry;
            ck_assert(span_find_tag(record, key, &entry));
            ck_assert_uint_le(entry.string.bytes, max);
            size_t kept = entry.string.bytes - strlen(MARK);
            ck_assert_mem_eq(entry.string.text + kept, MARK, strlen(MARK));
            assert_whole_characters(entry.string.text, kept, characters[i]);
        }
        spans_free(&spans);
    }
}
END_TEST

START_TEST(a_value_of_bytes_that_are_no_utf8_is_kept_and_cut_within_bounds)
{
    char value[500];
    struct tracez_entry entry;

    start_limited(100, 16384);
    memset(value, 0x80, sizeof(value)); /* nothing but continuation bytes */
    tracez_span_set_bytes(span, "short", value, 50);
    tracez_span_set_bytes(span, "long", value, sizeof(value));
    const struct tracez_record *record = finish();

    ck_assert(span_find_tag(record, "short", &entry));
    ck_assert_uint_eq(entry.string.bytes, 50);
    ck_assert(span_find_tag(record, "long", &entry));
    ck_assert_uint_le(entry.string.bytes, 100);
    ck_assert_mem_eq(entry.string.text + entry.string.bytes - strlen(MARK), MARK, strlen(MARK));
}
END_TEST

START_TEST(each_type_keeps_its_value)
{
    struct tracez_entry entry;

    tracez_span_set_string(span, "string", "text");
    tracez_span_set_string(span, "empty", "");
    tracez_span_set_bytes(span, "bytes", "a\0b", 3);
    tracez_span_set_int(span, "min", INT64_MIN);
    tracez_span_set_int(span, "max", INT64_MAX);
    tracez_span_set_double(span, "double", -0.125);
    tracez_span_set_double(span, "nan", (double)NAN);
    tracez_span_set_bool(span, "true", true);
    tracez_span_set_bool(span, "false", false);
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, 9);
    assert_tag_string(record, "string", "text");
    assert_tag_string(record, "empty", "");
    ck_assert(span_find_tag(record, "bytes", &entry));
    ck_assert_uint_eq(entry.string.bytes, 3);
    ck_assert_mem_eq(entry.string.text, "a\0b", 3);
    assert_tag_int(record, "min", INT64_MIN);
    assert_tag_int(record, "max", INT64_MAX);
    ck_assert(span_find_tag(record, "double", &entry));
    ck_assert_uint_eq(entry.type, TRACEZ_TAG_DOUBLE);
    ck_assert_double_eq(entry.real, -0.125);
    ck_assert(span_find_tag(record, "nan", &entry));
    ck_assert_double_nan(entry.real);
    ck_assert(span_find_tag(record, "true", &entry));
    ck_assert_uint_eq(entry.type, TRACEZ_TAG_BOOL);
    ck_assert_int_eq(entry.integer, 1);
    ck_assert(span_find_tag(record, "false", &entry));
    ck_assert_int_eq(entry.integer, 0);
}
END_TEST

START_TEST(an_array_of_strings_keeps_its_items)
{
    const struct tracez_text items[] = {{"one", 3}, {"", 0}, {"t\0o", 3}};
    const struct tracez_tag tag = {
        .key = "list", .type = TRACEZ_TAG_STRINGS, .value.strings = {items, 3}};
    const struct tracez_tag none = {
        .key = "none", .type = TRACEZ_TAG_STRINGS, .value.strings = {NULL, 0}};
    struct tracez_entry entry;
    struct tracez_text item;
    size_t position = 0;

    tracez_span_set_tag(span, &tag);
    tracez_span_set_tag(span, &none);
    const struct tracez_record *record = finish();

    ck_assert(span_find_tag(record, "list", &entry));
    ck_assert_uint_eq(entry.type, TRACEZ_TAG_STRINGS);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(tracez_strings_next(entry.string, &position, &item));
        ck_assert_uint_eq(item.bytes, items[i].bytes);
        ck_assert_mem_eq(item.text, items[i].text, item.bytes);
    }
    ck_assert(!tracez_strings_next(entry.string, &position, &item));
    ck_assert(span_find_tag(record, "none", &entry));
    position = 0;
    ck_assert(!tracez_strings_next(entry.string, &position, &item));
}
END_TEST

START_TEST(a_tag_of_a_type_that_does_not_exist_is_refused)
{
    const struct tracez_tag tag = {.key = "key", .type = (enum tracez_tag_type)77};

    tracez_span_set_tag(span, &tag);
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, 0);
    ck_assert_uint_eq(record->tags_refused, 1);
}
END_TEST

START_TEST(a_later_value_replaces_the_earlier_one_whatever_their_types_and_sizes)
{
    tracez_span_set_string(span, "before", "stays");
    tracez_span_set_string(span, "key", "a long text, longer than what follows");
    tracez_span_set_string(span, "after", "stays too");
    tracez_span_set_int(span, "key", 1);
    tracez_span_set_string(span, "key", "last");
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, 3);
    assert_tag_string(record, "before", "stays");
    assert_tag_string(record, "key", "last");
    assert_tag_string(record, "after", "stays too");
}
END_TEST

START_TEST(a_constant_and_the_equal_text_are_the_same_key)
{
    char buffer[16];
    char text[] = "url.path"; /* not the constant's address */
    struct tracez_entry entry;

    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/constant");
    tracez_span_set_string(span, text, "/text");
    tracez_span_set_string(span, "http.route", "/by/text");
    int bytes = tracez_span_get(span, TRACEZ_KEY(HTTP_ROUTE), buffer, sizeof(buffer));
    const struct tracez_record *record = finish();

    ck_assert_int_eq(bytes, 8);
    ck_assert_str_eq(buffer, "/by/text");
    ck_assert_uint_eq(record->tag_count, 2);
    assert_tag_string(record, "url.path", "/text");
    ck_assert(span_find_tag(record, "url.path", &entry));
    ck_assert_uint_eq(entry.key_id, TRACEZ_KEY_ID_URL_PATH);
    ck_assert(span_find_tag(record, "http.route", &entry));
    ck_assert_uint_eq(entry.key_id, TRACEZ_KEY_ID_HTTP_ROUTE);
}
END_TEST

START_TEST(every_key_constant_reads_back_as_its_text)
{
    static const char *const texts[] = {NULL,
#define KEY_TEXT(name, text) text,
                                        TRACEZ_KEYS(KEY_TEXT)
#undef KEY_TEXT
    };

    for (int id = 1; id < TRACEZ_KEY_ID_COUNT; id++) {
        ck_assert_str_eq(tracez_keys[id], texts[id]);
        tracez_span_set_int(span, tracez_keys[id], id);
    }
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, TRACEZ_KEY_ID_COUNT - 1);
    for (int id = 1; id < TRACEZ_KEY_ID_COUNT; id++) {
        assert_tag_int(record, texts[id], id);
    }
}
END_TEST

START_TEST(a_pointer_into_the_middle_of_a_constant_is_plain_text)
{
    tracez_span_set_int(span, TRACEZ_KEY(URL_PATH) + 4, 1);
    tracez_span_set_int(span, tracez_keys[TRACEZ_KEY_ROWS - 1], 2); /* an empty row */
    const struct tracez_record *record = finish();

    assert_tag_int(record, "path", 1);
    assert_no_tag(record, "url.path");
    ck_assert_uint_eq(record->tags_refused, 1);
}
END_TEST

START_TEST(a_removed_tag_is_gone_and_removing_what_is_not_there_is_fine)
{
    tracez_span_set_int(span, "first", 1);
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/");
    tracez_span_set_int(span, "last", 3);
    tracez_span_remove_tag(span, "url.path");
    tracez_span_remove_tag(span, "url.path");
    tracez_span_remove_tag(span, "never there");
    const struct tracez_record *record = finish();

    ck_assert_uint_eq(record->tag_count, 2);
    ck_assert_uint_eq(record->tags_refused, 0);
    assert_tag_int(record, "first", 1);
    assert_no_tag(record, "url.path");
    assert_tag_int(record, "last", 3);
    ck_assert_uint_eq(books(tracer).misuse, 0);
}
END_TEST

START_TEST(get_returns_the_whole_length_and_cuts_what_does_not_fit)
{
    char buffer[5] = "....";

    tracez_span_set_string(span, "key", "longer");

    ck_assert_int_eq(tracez_span_get(span, "key", buffer, sizeof(buffer)), 6);
    ck_assert_str_eq(buffer, "long");
    ck_assert_int_eq(tracez_span_get(span, "key", buffer, 1), 6);
    ck_assert_str_eq(buffer, "");
    ck_assert_int_eq(tracez_span_get(span, "key", NULL, 0), 6);
    ck_assert_int_eq(tracez_span_get(span, "other", buffer, sizeof(buffer)), -1);
    ck_assert_int_eq(tracez_span_get((struct tracez_span){0}, "key", buffer, sizeof(buffer)), -1);
    tracez_span_finish(span);
    ck_assert_int_eq(tracez_span_get(span, "key", buffer, sizeof(buffer)), -1);
}
END_TEST

START_TEST(get_gives_numbers_and_booleans_as_text)
{
    char buffer[32];

    tracez_span_set_int(span, "int", -42);
    tracez_span_set_bool(span, "bool", true);
    tracez_span_set_double(span, "double", 0.5);

    ck_assert_int_eq(tracez_span_get(span, "int", buffer, sizeof(buffer)), 3);
    ck_assert_str_eq(buffer, "-42");
    ck_assert_int_eq(tracez_span_get(span, "bool", buffer, sizeof(buffer)), 4);
    ck_assert_str_eq(buffer, "true");
    ck_assert_int_gt(tracez_span_get(span, "double", buffer, sizeof(buffer)), 0);
    ck_assert_double_eq(strtod(buffer, NULL), 0.5);
    finish();
}
END_TEST

START_TEST(format_writes_what_printf_would_up_to_1023_bytes)
{
    struct tracez_entry entry;

    start_limited(32000, 16384);
    tracez_span_set_format(span, "short", "%s-%d-%%", "a", 7);
    tracez_span_set_format(span, "long", "%02000d", 1);
    const struct tracez_record *record = finish();

    assert_tag_string(record, "short", "a-7-%");
    ck_assert(span_find_tag(record, "long", &entry));
    ck_assert_uint_eq(entry.string.bytes, 1023);
}
END_TEST

static void add_limit_tests(Suite *suite)
{
    TCase *limits = case_of(suite, "limits");

    tcase_add_checked_fixture(limits, start, stop);
    tcase_add_test(limits, the_129th_tag_is_refused_and_counted_and_the_128th_is_not);
    tcase_add_test(limits, a_full_span_still_takes_a_new_value_for_a_key_it_has);
    tcase_add_test(limits, a_key_that_is_null_empty_or_over_255_bytes_is_refused_and_counted);
    tcase_add_test(limits, a_null_string_value_does_no_harm);
    tcase_add_test(limits, a_tag_of_a_type_that_does_not_exist_is_refused);
    tcase_add_test(limits, what_no_longer_fits_into_the_span_is_refused_and_counted);
    tcase_add_test(limits, a_long_span_moves_on_and_keeps_all_its_tags);
    tcase_add_test(limits,
                   a_value_over_max_tag_bytes_is_cut_and_marked_and_one_at_the_limit_is_not);
    tcase_add_test(limits, a_cut_never_splits_a_utf8_character);
    tcase_add_test(limits, a_value_of_bytes_that_are_no_utf8_is_kept_and_cut_within_bounds);
}

int main(void)
{
    Suite *suite = suite_create("tags");

    add_limit_tests(suite);
    TCase *values = case_of(suite, "values");
    tcase_add_checked_fixture(values, start, stop);
    tcase_add_test(values, each_type_keeps_its_value);
    tcase_add_test(values, an_array_of_strings_keeps_its_items);
    tcase_add_test(values, a_later_value_replaces_the_earlier_one_whatever_their_types_and_sizes);
    tcase_add_test(values, a_constant_and_the_equal_text_are_the_same_key);
    tcase_add_test(values, every_key_constant_reads_back_as_its_text);
    tcase_add_test(values, a_pointer_into_the_middle_of_a_constant_is_plain_text);
    tcase_add_test(values, a_removed_tag_is_gone_and_removing_what_is_not_there_is_fine);
    tcase_add_test(values, get_returns_the_whole_length_and_cuts_what_does_not_fit);
    tcase_add_test(values, get_gives_numbers_and_booleans_as_text);
    tcase_add_test(values, format_writes_what_printf_would_up_to_1023_bytes);
    return run_suite(suite);
}
