/* SPDX-License-Identifier: MIT
 *
 * Goal: the table of resources keeps each resource once, in a row that never moves, refuses what
 * does not fit instead of writing beyond its bounds, and believes nothing that it finds there.
 * Method: the table by itself, on the heap, so that AddressSanitizer sees a step too far; refusals
 * and garbage first. */
#include "resources.h"
#include "attributes.h"
#include "keys.h"
#include "spans.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct resource_table *create_table(void)
{
    struct resource_table *table = calloc(1, sizeof(*table));

    ck_assert_ptr_nonnull(table);
    return table;
}

static enum tracez_result add(struct resource_table *table, const char *service_name, uint32_t *row)
{
    const struct tracez_resource resource = {.service_name = service_name};

    return resource_table_add(table, &resource, row, NULL);
}

/* The row as a record, for assert_tag_string. */
static struct tracez_record row_of(const struct resource_table *table, uint32_t row)
{
    struct tracez_record record = {0};

    ck_assert(resource_table_get(table, row, &record.entries, &record.entries_bytes));
    return record;
}

static size_t entry_count(const struct tracez_record *record)
{
    struct tracez_entry entry;
    size_t count = 0;
    size_t at = 0;

    while (tracez_entry_next(record->entries, record->entries_bytes, &at, &entry)) {
        count++;
    }
    return count;
}

static struct tracez_tag text_tag(const char *key, const char *value)
{
    return (struct tracez_tag){
        .key = key, .type = TRACEZ_TAG_STRING, .value.string = {value, strlen(value)}};
}

START_TEST(a_resource_with_a_bad_key_is_refused_and_the_error_tells_how_many)
{
    struct resource_table *table = create_table();
    const struct tracez_tag tags[] = {text_tag("good", "1"), text_tag("", "2"),
                                      text_tag(NULL, "3")};
    const struct tracez_resource resource = {.tags = tags, .tag_count = 3};
    struct tracez_error error = {0};
    uint32_t row;

    ck_assert_int_eq(resource_table_add(table, &resource, &row, &error), TRACEZ_INVALID);

    ck_assert_ptr_nonnull(strstr(error.text, "3 tags"));
    ck_assert_ptr_nonnull(strstr(error.text, "2 of them"));
    ck_assert_uint_eq(table->count, 0);
    free(table);
}
END_TEST

START_TEST(a_resource_of_more_bytes_than_one_may_have_is_refused)
{
    struct resource_table *table = create_table();
    struct tracez_tag tags[17];
    char keys[17][16];
    char value[RESOURCE_TAG_BYTES_MAX + 1];
    uint32_t row;
    memset(value, 'v', RESOURCE_TAG_BYTES_MAX);
    value[RESOURCE_TAG_BYTES_MAX] = '\0';
    for (int i = 0; i < 17; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key%d", i);
        tags[i] = text_tag(keys[i], value);
    }

    const struct tracez_resource fits = {.tags = tags, .tag_count = 16};
    const struct tracez_resource does_not = {.tags = tags, .tag_count = 17};

    ck_assert_int_eq(resource_table_add(table, &does_not, &row, NULL), TRACEZ_INVALID);
    ck_assert_int_eq(resource_table_add(table, &fits, &row, NULL), TRACEZ_OK);
    free(table);
}
END_TEST

START_TEST(a_table_whose_rows_are_used_up_still_finds_them)
{
    struct resource_table *table = create_table();
    struct tracez_error error = {0};
    const struct tracez_resource one_more = {.service_name = "one more"};
    char name[16];
    uint32_t row;

    for (uint32_t i = 0; i < RESOURCE_ROWS_MAX; i++) {
        snprintf(name, sizeof(name), "service-%u", i);
        ck_assert_int_eq(add(table, name, &row), TRACEZ_OK);
        ck_assert_uint_eq(row, i);
    }

    ck_assert_int_eq(resource_table_add(table, &one_more, &row, &error), TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "256 are kept"));
    ck_assert_int_eq(add(table, "service-7", &row), TRACEZ_OK);
    ck_assert_uint_eq(row, 7);
    ck_assert(!resource_table_find(table, &one_more, &row));
    free(table);
}
END_TEST

START_TEST(a_table_whose_bytes_are_used_up_refuses_and_keeps_what_it_has)
{
    struct resource_table *table = create_table();
    char name[RESOURCE_TAG_BYTES_MAX + 1];
    uint32_t row = 0;
    uint32_t added = 0;
    memset(name, 'n', RESOURCE_TAG_BYTES_MAX);
    name[RESOURCE_TAG_BYTES_MAX] = '\0';

    do {
        added++;
        snprintf(name, 8, "%07u", added);
        name[7] = 'n';
    } while (add(table, name, &row) == TRACEZ_OK);

    /* 6 bytes of header an entry */
    ck_assert_uint_eq(added - 1, RESOURCE_TABLE_ENTRIES_BYTES / (RESOURCE_TAG_BYTES_MAX + 6));
    ck_assert_int_eq(add(table, "short", &row), TRACEZ_OK);
    struct tracez_record last = row_of(table, row);
    assert_tag_string(&last, "service.name", "short");
    free(table);
}
END_TEST

START_TEST(a_table_full_of_garbage_is_never_followed_beyond_its_bounds)
{
    static const uint32_t garbage[] = {1,     2,          255,        256,        257,
                                       65536, 0x7fffffff, 0x80000000, UINT32_MAX, UINT32_MAX - 7};
    const size_t values = sizeof(garbage) / sizeof(garbage[0]);

    for (size_t i = 0; i < values * values * values; i++) {
        struct resource_table *table = create_table();
        struct tracez_record record = {0};
        uint32_t row;
        memset(table->entries, 0x11, sizeof(table->entries));
        for (size_t j = 0; j < RESOURCE_ROWS_MAX; j++) {
            table->rows[j].offset = garbage[i % values];
            table->rows[j].bytes = garbage[i / values % values];
        }
        table->count = garbage[i / values / values];

        enum tracez_result result = add(table, "service", &row);

        if (result == TRACEZ_OK) {
            record = row_of(table, row);
            assert_tag_string(&record, "service.name", "service");
        }
        if (resource_table_get(table, 0, &record.entries, &record.entries_bytes)) {
            assert_no_tag(&record, "no such key");
        }
        free(table);
    }
}
END_TEST

START_TEST(the_same_resource_gets_the_same_row_and_another_tag_another)
{
    struct resource_table *table = create_table();
    const struct tracez_tag tag = text_tag("deployment", "blue");
    const struct tracez_resource plain = {.service_name = "shop"};
    const struct tracez_resource tagged = {.service_name = "shop", .tags = &tag, .tag_count = 1};
    uint32_t first;
    uint32_t second;
    uint32_t again;

    ck_assert_int_eq(resource_table_add(table, &plain, &first, NULL), TRACEZ_OK);
    ck_assert_int_eq(resource_table_add(table, &tagged, &second, NULL), TRACEZ_OK);
    ck_assert_int_eq(resource_table_add(table, &plain, &again, NULL), TRACEZ_OK);

    ck_assert_uint_eq(first, 0);
    ck_assert_uint_eq(second, 1);
    ck_assert_uint_eq(again, 0);
    ck_assert_uint_eq(table->count, 2);
    struct tracez_record row = row_of(table, 1);
    assert_tag_string(&row, "service.name", "shop");
    assert_tag_string(&row, "deployment", "blue");
    free(table);
}
END_TEST

START_TEST(attributes_are_added_and_the_resources_own_name_and_tags_win)
{
    struct resource_table *table = create_table();
    const struct tracez_tag tag = text_tag("zone", "own");
    const struct tracez_resource own = {.service_name = "shop",
                                        .tags = &tag,
                                        .tag_count = 1,
                                        .attributes = "zone=b,service.name=x,rack=4%2C2"};
    const struct tracez_resource theirs = {.attributes = "zone=b,service.name=x"};
    uint32_t row;

    ck_assert_int_eq(resource_table_add(table, &own, &row, NULL), TRACEZ_OK);
    struct tracez_record record = row_of(table, row);
    assert_tag_string(&record, "service.name", "shop");
    assert_tag_string(&record, "zone", "own");
    assert_tag_string(&record, "rack", "4,2");
    ck_assert_uint_eq(entry_count(&record), 3);
    ck_assert_int_eq(resource_table_add(table, &theirs, &row, NULL), TRACEZ_OK);

    record = row_of(table, row);
    assert_tag_string(&record, "service.name", "x");
    assert_tag_string(&record, "zone", "b");
    free(table);
}
END_TEST

START_TEST(the_longest_attributes_fit_beside_a_name)
{
    struct resource_table *table = create_table();
    char text[ATTRIBUTES_TEXT_BYTES];
    size_t used = 0;
    uint32_t row;

    for (int i = 0; i < TRACEZ_TAGS_MAX; i++) { /* 64 bytes each with two NULs, 8 KiB in all */
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%sk%03d=%058d",
                                 i == 0 ? "" : ",", i, i);
    }
    const struct tracez_resource resource = {.service_name = "shop", .attributes = text};
    struct attributes attributes;
    ck_assert_ptr_null(attributes_read(&attributes, text));
    ck_assert_uint_eq(attributes.count, TRACEZ_TAGS_MAX);

    ck_assert_int_eq(resource_table_add(table, &resource, &row, NULL), TRACEZ_OK);

    struct tracez_record record = row_of(table, row);
    ck_assert_uint_eq(entry_count(&record), TRACEZ_TAGS_MAX + 1);
    free(table);
}
END_TEST

START_TEST(a_resource_that_was_added_before_there_was_a_tracer_is_found_by_one)
{
    struct resource_table *table = create_table();
    char key[] = "deployment.environment.name"; /* well known, but not by its address */
    const struct tracez_tag tag = text_tag(key, "test");
    const struct tracez_resource resource = {.tags = &tag, .tag_count = 1};
    uint32_t added = 7;
    uint32_t found = 8;

    ck_assert_int_eq(resource_table_add(table, &resource, &added, NULL), TRACEZ_OK);
    keys_init(); /* as tracez_tracer_create does */

    ck_assert(resource_table_find(table, &resource, &found));
    ck_assert_uint_eq(found, added);
    free(table);
}
END_TEST

START_TEST(a_resource_without_a_name_is_an_unknown_service)
{
    struct resource_table *table = create_table();
    uint32_t row;

    ck_assert_int_eq(add(table, NULL, &row), TRACEZ_OK);

    struct tracez_record record = row_of(table, row);
    assert_tag_string(&record, "service.name", "unknown_service");
    free(table);
}
END_TEST

/* Reads all rows until the table is full; returns the first row that is not whole, or NULL. */
static void *read_while_added(void *state)
{
    const struct resource_table *table = state;
    struct tracez_record record = {0};
    uint32_t rows = 0;

    while (rows < RESOURCE_ROWS_MAX) {
        struct tracez_entry entry;
        size_t position = 0;
        if (!resource_table_get(table, rows, &record.entries, &record.entries_bytes)) {
            rows = 0; /* again from the start, until there are more */
            continue;
        }
        if (!tracez_entry_next(record.entries, record.entries_bytes, &position, &entry) ||
            entry.string.bytes < strlen("service-0") ||
            memcmp(entry.string.text, "service-", strlen("service-")) != 0) {
            return (void *)record.entries;
        }
        rows++;
    }
    return NULL;
}

START_TEST(rows_may_be_read_while_others_are_added)
{
    struct resource_table *table = create_table();
    pthread_t reader;
    char name[24];
    void *broken;
    uint32_t row;

    ck_assert_int_eq(pthread_create(&reader, NULL, read_while_added, table), 0);
    for (uint32_t i = 0; i < RESOURCE_ROWS_MAX; i++) {
        snprintf(name, sizeof(name), "service-%u", i);
        ck_assert_int_eq(add(table, name, &row), TRACEZ_OK);
    }
    ck_assert_int_eq(pthread_join(reader, &broken), 0);

    ck_assert_ptr_null(broken);
    free(table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resources");
    TCase *refused = case_of(suite, "refused");
    TCase *kept = case_of(suite, "kept");

    tcase_add_test(refused, a_resource_with_a_bad_key_is_refused_and_the_error_tells_how_many);
    tcase_add_test(refused, a_resource_of_more_bytes_than_one_may_have_is_refused);
    tcase_add_test(refused, a_table_whose_rows_are_used_up_still_finds_them);
    tcase_add_test(refused, a_table_whose_bytes_are_used_up_refuses_and_keeps_what_it_has);
    tcase_add_test(refused, a_table_full_of_garbage_is_never_followed_beyond_its_bounds);
    tcase_add_test(kept, the_same_resource_gets_the_same_row_and_another_tag_another);
    tcase_add_test(kept, attributes_are_added_and_the_resources_own_name_and_tags_win);
    tcase_add_test(kept, the_longest_attributes_fit_beside_a_name);
    tcase_add_test(kept, a_resource_that_was_added_before_there_was_a_tracer_is_found_by_one);
    tcase_add_test(kept, a_resource_without_a_name_is_an_unknown_service);
    tcase_add_test(kept, rows_may_be_read_while_others_are_added);
    return run_suite(suite);
}
