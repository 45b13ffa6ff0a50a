/* SPDX-License-Identifier: MIT
 *
 * Goal: each bad value is refused by everything that takes a configuration, with an error that
 * names the value and what would be allowed; and each bound itself is fine. Method: a table of one
 * change each to the default configuration. Bounds are tried where no memory is needed, as the
 * largest configuration takes more than a small machine gives. */
#include "spans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLLECTOR_SPANS_MAX (1U << 24)
#define NAME_OF_63 "123456789 123456789 123456789 123456789 123456789 123456789 123"

/* What a row may point its configuration at. */
struct parts {
    struct tracez_config config;
    struct tracez_collector_config collectors[TRACEZ_COLLECTORS_MAX + 1];
    struct tracez_resource resources[TRACEZ_RESOURCES_MAX + 1];
    char names[TRACEZ_COLLECTORS_MAX + 1][4];
    _Alignas(64) unsigned char memory[64];
};

struct row {
    const char *name;
    void (*change)(struct parts *parts);
    const char *value; /* what the error must name: the value, */
    const char *range; /* and what would be allowed */
};

static uint64_t some_ns(void *state)
{
    (void)state;
    return 1;
}

static void set_collectors(struct parts *parts, size_t count)
{
    for (size_t i = 0; i <= TRACEZ_COLLECTORS_MAX; i++) {
        parts->names[i][0] = (char)('a' + (char)i);
        parts->collectors[i].name = parts->names[i];
        parts->collectors[i].spans_max = 1;
    }
    parts->config.collectors = parts->collectors;
    parts->config.collector_count = count;
}

static void set_resources(struct parts *parts, size_t count)
{
    parts->config.resources = parts->resources;
    parts->config.resource_count = count;
}

/* One function for each row of a table: CHANGE(name, statement) makes change_<name>. */
#define CHANGE(name, statement)                                                                    \
    static void change_##name(struct parts *parts)                                                 \
    {                                                                                              \
        statement;                                                                                 \
    }

CHANGE(struct_bytes_0, parts->config.struct_bytes = 0)
CHANGE(struct_bytes_off, parts->config.struct_bytes += 8)
CHANGE(spans_0, parts->config.spans_max = 0)
CHANGE(spans_over, parts->config.spans_max = COLLECTOR_SPANS_MAX + 1)
CHANGE(spans_huge, parts->config.spans_max = UINT32_MAX)
CHANGE(live_0, parts->config.live_spans_max = 0)
CHANGE(live_over, parts->config.live_spans_max = (1U << 20) + 1)
CHANGE(span_bytes_under, parts->config.span_bytes_max = 2047)
CHANGE(span_bytes_over, parts->config.span_bytes_max = 65537)
CHANGE(tag_bytes_under, parts->config.max_tag_bytes = 15)
CHANGE(tag_bytes_over, parts->config.max_tag_bytes = 32001)
CHANGE(rate_under, parts->config.sample_rate = -0.001)
CHANGE(rate_over, parts->config.sample_rate = 1.001)
CHANGE(rate_nan, parts->config.sample_rate = (double)NAN)
CHANGE(rate_limit_over, parts->config.max_spans_per_second = 1000000001)
CHANGE(memory_1, parts->config.max_memory = 1)
CHANGE(memory_under, parts->config.max_memory = tracez_memory_bytes_min(&parts->config, NULL) - 1)
CHANGE(attributes_bad, parts->config.resource_attributes = "a=b,c")
CHANGE(clock_half, parts->config.clock.monotonic_ns = some_ns)
CHANGE(clock_other_half, parts->config.clock.unix_ns = some_ns)
CHANGE(collectors_none, set_collectors(parts, 0))
CHANGE(collectors_over, set_collectors(parts, TRACEZ_COLLECTORS_MAX + 1))
CHANGE(collectors_huge, set_collectors(parts, SIZE_MAX))
CHANGE(name_none, set_collectors(parts, 2); parts->collectors[1].name = NULL)
CHANGE(name_empty, set_collectors(parts, 1); parts->collectors[0].name = "")
CHANGE(name_long, set_collectors(parts, 1); parts->collectors[0].name = NAME_OF_63 "4")
CHANGE(name_twice, set_collectors(parts, 3); parts->collectors[2].name = "a")
CHANGE(collector_spans, set_collectors(parts, 1);
       parts->collectors[0].spans_max = COLLECTOR_SPANS_MAX + 1)
CHANGE(collector_writers, set_collectors(parts, 1);
       parts->collectors[0].writers = TRACEZ_WRITERS_MAX + 1)
CHANGE(match_unknown, set_collectors(parts, 1);
       parts->collectors[0].match = (enum tracez_match)(TRACEZ_MATCH_NAMED_REST + 1))
CHANGE(match_no_name, set_collectors(parts, 1); parts->collectors[0].match = TRACEZ_MATCH_NAME)
CHANGE(match_no_fn, set_collectors(parts, 1); parts->collectors[0].match = TRACEZ_MATCH_CALLBACK)
CHANGE(resources_bad, (set_resources(parts, 2), parts->resources[1].attributes = "a=b,c"))
CHANGE(resources_none, set_resources(parts, 0))
CHANGE(resources_over, set_resources(parts, TRACEZ_RESOURCES_MAX + 1))
CHANGE(resources_huge, set_resources(parts, SIZE_MAX))
CHANGE(only_buffer, parts->config.buffer_memory = parts->memory)
CHANGE(only_ledger, parts->config.ledger_memory = parts->memory)
CHANGE(writer_over, parts->config.buffer_memory = parts->memory;
       parts->config.ledger_memory = parts->memory; parts->config.writer = TRACEZ_WRITERS_MAX)

#define ROW(name, value, range)                                                                    \
    {                                                                                              \
#name, change_##name, value, range                                                         \
    }

static const struct row bad_rows[] = {
    ROW(struct_bytes_0, "struct_bytes 0 ", "tracez_config_init"),
    ROW(struct_bytes_off, "struct_bytes ", "tracez_config_init"),
    ROW(spans_0, "spans_max 0 ", "1 to 16777216"),
    ROW(spans_over, "spans_max 16777217 ", "1 to 16777216"),
    ROW(spans_huge, "spans_max 4294967295 ", "1 to 16777216"),
    ROW(live_0, "live_spans_max 0 ", "1 to 1048576"),
    ROW(live_over, "live_spans_max 1048577 ", "1 to 1048576"),
    ROW(span_bytes_under, "span_bytes_max 2047 ", "2048 to 65536"),
    ROW(span_bytes_over, "span_bytes_max 65537 ", "2048 to 65536"),
    ROW(tag_bytes_under, "max_tag_bytes 15 ", "16 to 32000"),
    ROW(tag_bytes_over, "max_tag_bytes 32001 ", "16 to 32000"),
    ROW(rate_under, "sample_rate -0.001", "0 to 1"),
    ROW(rate_over, "sample_rate 1.001", "0 to 1"),
    ROW(rate_nan, "sample_rate ", "0 to 1"),
    ROW(rate_limit_over, "max_spans_per_second 1000000001 ", "0 to 1000000000"),
    ROW(memory_1, "max_memory 1 ", "at least "),
    ROW(memory_under, "max_memory ", "at least "),
    ROW(attributes_bad, "\"a=b,c\"", "key=value"),
    ROW(clock_half, "clock ", "both functions or neither"),
    ROW(clock_other_half, "clock ", "both functions or neither"),
    ROW(collectors_none, "collector_count 0 ", "1 to 16"),
    ROW(collectors_over, "collector_count 17 ", "1 to 16"),
    ROW(collectors_huge, "collector_count ", "1 to 16"),
    ROW(name_none, "collector 1 ", "name"),
    ROW(name_empty, "collector name \"\" ", "1 to 63 bytes"),
    ROW(name_long, "collector name \"" NAME_OF_63 "4\" ", "1 to 63 bytes"),
    ROW(name_twice, "collector name \"a\" ", "another one has it"),
    ROW(collector_spans, "spans_max 16777217 of collector \"a\" ", "1 to 16777216"),
    ROW(collector_writers, "writers 65 of collector \"a\" ", "1 to 64"),
    ROW(match_unknown, "match 6 of collector \"a\" ", "enum tracez_match"),
    ROW(match_no_name, "match 2 of collector \"a\" ", "match_name"),
    ROW(match_no_fn, "match 3 of collector \"a\" ", "match_fn"),
    ROW(resources_bad, "attributes \"a=b,c\" ", "key=value,key=value"),
    ROW(resources_none, "resource_count 0 ", "1 to 64"),
    ROW(resources_over, "resource_count 65 ", "1 to 64"),
    ROW(resources_huge, "resource_count ", "1 to 64"),
    ROW(only_buffer, "buffer_memory and ledger_memory ", "both or neither"),
    ROW(only_ledger, "buffer_memory and ledger_memory ", "both or neither"),
    ROW(writer_over, "writer 64 ", "0 to 63"),
};

static struct parts *create_parts(void)
{
    struct parts *parts = aligned_alloc(64, sizeof(*parts));

    ck_assert_ptr_nonnull(parts);
    memset(parts, 0, sizeof(*parts));
    tracez_config_init(&parts->config);
    return parts;
}

static void assert_named(const struct row *row, const struct tracez_error *error)
{
    ck_assert_int_eq(error->result, TRACEZ_INVALID);
    ck_assert_msg(strstr(error->text, row->value) != NULL &&
                      strstr(error->text, row->range) != NULL,
                  "%s: \"%s\" does not name \"%s\" and \"%s\"", row->name, error->text, row->value,
                  row->range);
}

START_TEST(a_bad_value_is_refused_and_the_error_names_value_and_range)
{
    const struct row *row = &bad_rows[_i];
    struct parts *parts = create_parts();
    struct tracez_tracer *tracer = (void *)1;
    struct tracez_error error = {0};
    row->change(parts);

    ck_assert_int_eq(tracez_tracer_create(&parts->config, &tracer, &error), TRACEZ_INVALID);
    ck_assert_ptr_null(tracer);
    assert_named(row, &error);
    ck_assert_int_eq(tracez_tracer_create(&parts->config, &tracer, NULL), TRACEZ_INVALID);

    error = (struct tracez_error){0};
    ck_assert_uint_eq(tracez_buffer_bytes(&parts->config, &error), 0);
    assert_named(row, &error);
    error = (struct tracez_error){0};
    ck_assert_int_eq(
        tracez_buffer_format(&parts->config, parts->memory, sizeof(parts->memory), NULL, &error),
        TRACEZ_INVALID);
    assert_named(row, &error);
    free(parts);
}
END_TEST

CHANGE(spans_1, parts->config.spans_max = 1)
CHANGE(spans_max, parts->config.spans_max = COLLECTOR_SPANS_MAX)
CHANGE(live_1, parts->config.live_spans_max = 1)
CHANGE(live_max, parts->config.live_spans_max = 1U << 20)
CHANGE(span_bytes_min, parts->config.span_bytes_max = 2048)
CHANGE(span_bytes_max, parts->config.span_bytes_max = 65536)
CHANGE(tag_bytes_min, parts->config.max_tag_bytes = 16)
CHANGE(tag_bytes_max, parts->config.max_tag_bytes = 32000)
CHANGE(clock_whole, parts->config.clock.monotonic_ns = some_ns;
       parts->config.clock.unix_ns = some_ns)
CHANGE(collectors_1, set_collectors(parts, 1))
CHANGE(collectors_max, set_collectors(parts, TRACEZ_COLLECTORS_MAX))
CHANGE(name_of_63, set_collectors(parts, 1); parts->collectors[0].name = NAME_OF_63)
CHANGE(collector_spans_default, set_collectors(parts, 1); parts->collectors[0].spans_max = 0)
CHANGE(collector_spans_max, set_collectors(parts, 1);
       parts->collectors[0].spans_max = COLLECTOR_SPANS_MAX; parts->collectors[0].writers = 1)
CHANGE(writers_max, set_collectors(parts, 1); parts->collectors[0].spans_max = COLLECTOR_SPANS_MAX;
       parts->collectors[0].writers = TRACEZ_WRITERS_MAX)
CHANGE(match_named_only, set_collectors(parts, 1);
       parts->collectors[0].match = TRACEZ_MATCH_NAMED_ONLY)
CHANGE(match_empty_name, set_collectors(parts, 1); parts->collectors[0].match = TRACEZ_MATCH_NAME;
       parts->collectors[0].match_name = "")
CHANGE(resources_1, set_resources(parts, 1))
CHANGE(resources_max, set_resources(parts, TRACEZ_RESOURCES_MAX))
CHANGE(writer_max, parts->config.buffer_memory = parts->memory;
       parts->config.ledger_memory = parts->memory; parts->config.writer = TRACEZ_WRITERS_MAX - 1)
CHANGE(nothing, (void)parts)

static void (*const good_changes[])(struct parts *parts) = {
    change_spans_1,
    change_spans_max,
    change_live_1,
    change_live_max,
    change_span_bytes_min,
    change_span_bytes_max,
    change_tag_bytes_min,
    change_tag_bytes_max,
    change_clock_whole,
    change_collectors_1,
    change_collectors_max,
    change_name_of_63,
    change_collector_spans_default,
    change_collector_spans_max,
    change_writers_max,
    change_match_named_only,
    change_match_empty_name,
    change_resources_1,
    change_resources_max,
    change_writer_max,
    change_nothing,
};

START_TEST(each_bound_itself_is_fine)
{
    struct parts *parts = create_parts();
    struct tracez_error error = {0};
    good_changes[_i](parts);

    size_t bytes = tracez_buffer_bytes(&parts->config, &error);

    ck_assert_msg(bytes > 0, "%s", error.text);
    ck_assert_int_eq(error.result, TRACEZ_OK);
    free(parts);
}
END_TEST

START_TEST(init_fills_a_configuration_that_makes_a_tracer)
{
    struct tracez_config config;
    memset(&config, 0xee, sizeof(config));

    tracez_config_init(&config);

    ck_assert_uint_eq(config.struct_bytes, sizeof(config));
    ck_assert_uint_eq(config.spans_max, 8192);
    ck_assert_uint_eq(config.live_spans_max, 4096);
    ck_assert_uint_eq(config.span_bytes_max, 16384);
    ck_assert_uint_eq(config.max_tag_bytes, 1000);
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_collector_stats stats = collector_books(first_collector(tracer));
    ck_assert_str_eq(stats.name, "default");
    ck_assert_uint_eq(stats.spans_max, 8192);
    ck_assert_ptr_null(tracez_tracer_collector(tracer, 1));
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(init_for_an_older_caller_writes_no_further_than_its_struct)
{
    struct tracez_config config;
    const size_t older_bytes = offsetof(struct tracez_config, sampler);
    memset(&config, 0xee, sizeof(config));

    tracez_config_init_bytes(&config, older_bytes);

    ck_assert_uint_eq(config.struct_bytes, older_bytes);
    ck_assert_uint_eq(config.max_tag_bytes, 1000);
    for (size_t i = older_bytes; i < sizeof(config); i++) {
        ck_assert_uint_eq(((const unsigned char *)&config)[i], 0xee);
    }
}
END_TEST

START_TEST(a_shorter_buffer_takes_less_memory_and_more_collectors_take_more)
{
    struct parts *parts = create_parts();
    size_t default_bytes = tracez_buffer_bytes(&parts->config, NULL);

    parts->config.spans_max = 100;
    size_t small_bytes = tracez_buffer_bytes(&parts->config, NULL);
    set_collectors(parts, 1);
    size_t one_bytes = tracez_buffer_bytes(&parts->config, NULL);
    set_collectors(parts, 2);
    size_t two_bytes = tracez_buffer_bytes(&parts->config, NULL);

    ck_assert_uint_ge(default_bytes, 8192 * 512);
    ck_assert_uint_lt(small_bytes, default_bytes);
    ck_assert_uint_ge(two_bytes, one_bytes + 65536);
    free(parts);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *refused = case_of(suite, "refused");
    TCase *fine = case_of(suite, "fine");

    tcase_add_loop_test(refused, a_bad_value_is_refused_and_the_error_names_value_and_range, 0,
                        sizeof(bad_rows) / sizeof(bad_rows[0]));
    tcase_add_loop_test(fine, each_bound_itself_is_fine, 0,
                        sizeof(good_changes) / sizeof(good_changes[0]));
    tcase_add_test(fine, init_fills_a_configuration_that_makes_a_tracer);
    tcase_add_test(fine, init_for_an_older_caller_writes_no_further_than_its_struct);
    tcase_add_test(fine, a_shorter_buffer_takes_less_memory_and_more_collectors_take_more);
    return run_suite(suite);
}
