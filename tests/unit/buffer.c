/* SPDX-License-Identifier: MIT
 *
 * Goal: memory that several tracers share is kept while its layout is, reset otherwise, refused
 * when too small or foreign; one ledger counts for all of them, to the last span; and whatever a
 * neighbour writes into it, readers drop and count instead of crashing.
 * Method: refusals and garbage first; then two tracers over the same memory, in one process and in
 * a forked child over a shared mapping. */
#include "record.h"
#include "spans.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Memory for one configuration; MAP_SHARED, so that a forked child sees the same. */
struct shared {
    void *buffer;
    size_t buffer_bytes;
    void *ledger;
    size_t ledger_bytes;
};

static void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static struct tracez_config config_of(uint32_t spans_max, const char *service_name)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.spans_max = spans_max;
    config.service_name = service_name;
    return config;
}

static struct shared map_for(const struct tracez_config *config)
{
    struct shared shared = {
        .buffer_bytes = tracez_buffer_bytes(config, NULL),
        .ledger_bytes = tracez_ledger_bytes(),
    };

    ck_assert_uint_gt(shared.buffer_bytes, 0);
    ck_assert_uint_gt(shared.ledger_bytes, 0);
    shared.buffer = map_shared(shared.buffer_bytes);
    shared.ledger = map_shared(shared.ledger_bytes);
    return shared;
}

static void unmap(struct shared *shared)
{
    munmap(shared->buffer, shared->buffer_bytes);
    munmap(shared->ledger, shared->ledger_bytes);
}

/* Formats both; returns whether the buffer was kept. */
static bool format(const struct tracez_config *config, const struct shared *shared)
{
    bool buffer_kept = false;
    bool ledger_kept = false;
    struct tracez_error error = {0};

    enum tracez_result result =
        tracez_buffer_format(config, shared->buffer, shared->buffer_bytes, &buffer_kept, &error);
    ck_assert_msg(result == TRACEZ_OK, "%s", error.text);
    result = tracez_ledger_format(shared->ledger, shared->ledger_bytes, &ledger_kept, &error);
    ck_assert_msg(result == TRACEZ_OK, "%s", error.text);
    return buffer_kept;
}

static struct tracez_config attached(const struct tracez_config *config,
                                     const struct shared *shared, uint32_t writer)
{
    struct tracez_config with_memory = *config;

    with_memory.buffer_memory = shared->buffer;
    with_memory.buffer_bytes = shared->buffer_bytes;
    with_memory.ledger_memory = shared->ledger;
    with_memory.ledger_bytes = shared->ledger_bytes;
    with_memory.writer = writer;
    return with_memory;
}

static struct tracez_tracer *attach(const struct tracez_config *config, const struct shared *shared,
                                    uint32_t writer)
{
    struct tracez_config with_memory = attached(config, shared, writer);

    return tracer_create(&with_memory);
}

START_TEST(memory_that_is_too_small_is_refused)
{
    struct tracez_config config = config_of(100, NULL);
    struct shared shared = map_for(&config);
    struct tracez_error error = {0};

    ck_assert_int_eq(
        tracez_buffer_format(&config, shared.buffer, shared.buffer_bytes - 1, NULL, &error),
        TRACEZ_INVALID);
    ck_assert_int_eq(error.result, TRACEZ_INVALID);
    ck_assert_str_ne(error.text, "");
    ck_assert_int_eq(tracez_buffer_format(&config, shared.buffer, 0, NULL, NULL), TRACEZ_INVALID);
    ck_assert_int_eq(tracez_buffer_format(&config, NULL, 0, NULL, NULL), TRACEZ_INVALID);
    ck_assert_int_eq(tracez_ledger_format(shared.ledger, shared.ledger_bytes - 1, NULL, &error),
                     TRACEZ_INVALID);
    unmap(&shared);
}
END_TEST

START_TEST(a_tracer_over_memory_that_was_not_formatted_is_refused_as_foreign)
{
    struct tracez_config config = config_of(100, NULL);
    struct shared shared = map_for(&config);
    struct tracez_config with_memory = attached(&config, &shared, 0);
    struct tracez_tracer *tracer = (void *)1;
    struct tracez_error error = {0};

    enum tracez_result result = tracez_tracer_create(&with_memory, &tracer, &error);

    ck_assert_int_eq(result, TRACEZ_FOREIGN);
    ck_assert_ptr_null(tracer);
    ck_assert_str_ne(error.text, "");
    unmap(&shared);
}
END_TEST

START_TEST(a_tracer_of_another_layout_is_refused_as_foreign)
{
    struct tracez_config config = config_of(200, NULL);
    struct tracez_config smaller = config_of(150, NULL);
    struct shared shared = map_for(&config);
    struct tracez_tracer *tracer = (void *)1;
    format(&config, &shared);

    struct tracez_config with_memory = attached(&smaller, &shared, 0);
    enum tracez_result result = tracez_tracer_create(&with_memory, &tracer, NULL);

    ck_assert_int_eq(result, TRACEZ_FOREIGN);
    ck_assert_ptr_null(tracer);
    unmap(&shared);
}
END_TEST

START_TEST(a_writer_number_beyond_the_ledger_is_refused)
{
    struct tracez_config config = config_of(100, NULL);
    struct shared shared = map_for(&config);
    struct tracez_tracer *tracer = (void *)1;
    format(&config, &shared);

    struct tracez_config with_memory = attached(&config, &shared, TRACEZ_WRITERS_MAX);
    ck_assert_int_eq(tracez_tracer_create(&with_memory, &tracer, NULL), TRACEZ_INVALID);
    ck_assert_ptr_null(tracer);

    tracez_tracer_destroy(attach(&config, &shared, TRACEZ_WRITERS_MAX - 1));
    unmap(&shared);
}
END_TEST

START_TEST(garbage_and_another_layout_are_reset)
{
    struct tracez_config config = config_of(200, NULL);
    struct tracez_config other = config_of(100, NULL);
    struct shared shared = map_for(&config);

    memset(shared.buffer, 0xa5, shared.buffer_bytes);
    memset(shared.ledger, 0x5a, shared.ledger_bytes);
    ck_assert(!format(&config, &shared));
    struct tracez_tracer *tracer = attach(&config, &shared, 0);
    spans_pass(tracer, 10);
    ck_assert_uint_eq(books(tracer).queued, 10);
    tracez_tracer_destroy(tracer);

    ck_assert(!format(&other, &shared));
    tracer = attach(&other, &shared, 0);
    ck_assert_uint_eq(tracez_collector_unread(first_collector(tracer)), 0);
    tracez_tracer_destroy(tracer);
    unmap(&shared);
}
END_TEST

START_TEST(a_buffer_of_the_same_layout_is_kept_with_its_spans)
{
    struct tracez_config config = config_of(200, "shop");
    struct shared shared = map_for(&config);

    ck_assert(!format(&config, &shared));
    struct tracez_tracer *tracer = attach(&config, &shared, 0);
    spans_pass(tracer, 10);
    tracez_tracer_destroy(tracer);
    ck_assert(format(&config, &shared));
    tracer = attach(&config, &shared, 1);

    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.recorded, 10);
    ck_assert_uint_eq(stats.queued, 10);
    struct spans spans = spans_drain_first(tracer);
    ck_assert_uint_eq(spans.count, 10);
    ck_assert_uint_eq(books(tracer).exported, 10);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    unmap(&shared);
}
END_TEST

static void assert_service(struct tracez_tracer *tracer, uint32_t resource, const char *expected)
{
    const unsigned char *entries;
    size_t entries_bytes;
    struct tracez_record as_record = {0};

    ck_assert(
        tracez_collector_resource(first_collector(tracer), resource, &entries, &entries_bytes));
    as_record.entries = entries;
    as_record.entries_bytes = entries_bytes;
    assert_tag_string(&as_record, "service.name", expected);
}

START_TEST(new_resources_are_added_and_old_records_keep_theirs)
{
    struct tracez_config first = config_of(200, "first");
    struct tracez_config second = config_of(200, "second");
    struct shared shared = map_for(&first);
    const unsigned char *entries;
    size_t entries_bytes;

    format(&first, &shared);
    struct tracez_tracer *tracer = attach(&first, &shared, 0);
    spans_pass(tracer, 1);
    tracez_tracer_destroy(tracer);
    ck_assert(format(&second, &shared));
    tracer = attach(&second, &shared, 0);
    spans_pass(tracer, 1);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 2);
    assert_service(tracer, spans.records[0].resource, "first");
    assert_service(tracer, spans.records[1].resource, "second");
    ck_assert(!tracez_collector_resource(first_collector(tracer), 2, &entries, &entries_bytes));
    ck_assert(
        !tracez_collector_resource(first_collector(tracer), UINT32_MAX, &entries, &entries_bytes));
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    unmap(&shared);
}
END_TEST

START_TEST(formatting_for_ever_new_resources_ends_in_invalid_and_not_beyond_the_table)
{
    char name[32] = "service";
    struct tracez_config config = config_of(100, name);
    struct shared shared = map_for(&config);
    enum tracez_result result = TRACEZ_OK;
    struct tracez_error error = {0};
    unsigned added = 0;

    for (; added < 100000 && result == TRACEZ_OK; added++) {
        snprintf(name, sizeof(name), "service-%u", added);
        result = tracez_buffer_format(&config, shared.buffer, shared.buffer_bytes, NULL, &error);
    }

    ck_assert_uint_ge(added, TRACEZ_RESOURCES_MAX);
    ck_assert_int_eq(result, TRACEZ_INVALID);
    ck_assert_str_ne(error.text, "");
    unmap(&shared);
}
END_TEST

START_TEST(two_tracers_over_the_same_memory_share_one_exact_ledger)
{
    struct tracez_config config = config_of(200, NULL);
    struct shared shared = map_for(&config);
    format(&config, &shared);
    struct tracez_tracer *one = attach(&config, &shared, 0);
    struct tracez_tracer *two = attach(&config, &shared, 1);

    spans_pass(one, 30);
    spans_pass(two, 40);
    struct tracez_span live = tracez_span_start(two, TRACEZ_KIND_SERVER, "live", NULL, NULL);
    struct tracez_stats before = books(one);
    struct spans spans = spans_drain_first(one);
    tracez_span_finish(live);
    spans_pass(one, 300);

    ck_assert_uint_eq(before.recorded, 71);
    ck_assert_uint_eq(before.live, 1);
    ck_assert_uint_eq(before.queued, 70);
    ck_assert_uint_eq(spans.count, 70);
    struct tracez_stats stats = books(two);
    ck_assert_uint_eq(stats.recorded, 371);
    ck_assert_uint_eq(stats.exported, 70);
    ck_assert_uint_eq(stats.queued, 200);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], 101);
    ck_assert_uint_eq(collector_books(first_collector(two)).dropped[TRACEZ_DROP_QUEUE_FULL], 101);
    spans_free(&spans);
    tracez_tracer_destroy(one);
    tracez_tracer_destroy(two);
    unmap(&shared);
}
END_TEST

START_TEST(a_lease_taken_through_one_tracer_is_busy_through_the_other)
{
    struct tracez_config config = config_of(200, NULL);
    struct shared shared = map_for(&config);
    format(&config, &shared);
    struct tracez_tracer *one = attach(&config, &shared, 0);
    struct tracez_tracer *two = attach(&config, &shared, 1);

    ck_assert_int_eq(tracez_lane_lease(lane_of(first_collector(one))), TRACEZ_OK);
    ck_assert_int_eq(tracez_lane_lease(lane_of(first_collector(two))), TRACEZ_BUSY);
    tracez_lane_release(lane_of(first_collector(one)));
    ck_assert_int_eq(tracez_lane_lease(lane_of(first_collector(two))), TRACEZ_OK);
    tracez_lane_release(lane_of(first_collector(two)));

    tracez_tracer_destroy(one);
    tracez_tracer_destroy(two);
    unmap(&shared);
}
END_TEST

/* What a child does with a tracer of its own over the parent's memory. */
static void work_in_child(const struct tracez_config *config, const struct shared *shared,
                          uint32_t writer)
{
    struct tracez_config with_memory = attached(config, shared, writer);
    struct tracez_tracer *tracer;

    if (tracez_tracer_create(&with_memory, &tracer, NULL) != TRACEZ_OK) {
        _exit(1);
    }
    for (int i = 0; i < 100; i++) {
        struct tracez_span span =
            tracez_span_start(tracer, TRACEZ_KIND_SERVER, "child", NULL, NULL);
        tracez_span_set_int(span, "pid", getpid());
        tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/child");
        tracez_span_finish(span);
    }
    _exit(0); /* without destroying: what is finished must survive that */
}

START_TEST(spans_of_forked_children_are_read_by_the_parent_with_exact_books)
{
    enum { CHILDREN = 4 };
    struct tracez_config config = config_of(8192, NULL);
    struct shared shared = map_for(&config);
    pid_t children[CHILDREN];
    format(&config, &shared);
    struct tracez_tracer *tracer = attach(&config, &shared, CHILDREN);

    for (uint32_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            work_in_child(&config, &shared, i);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    spans_pass(tracer, 50);
    struct tracez_stats before = books(tracer);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(before.recorded, 100UL * CHILDREN + 50);
    ck_assert_uint_eq(before.queued, 100UL * CHILDREN + 50);
    ck_assert_uint_eq(spans.count, 100UL * CHILDREN + 50);
    size_t of_children = 0;
    for (size_t i = 0; i < spans.count; i++) {
        if (spans.records[i].tag_count == 2) {
            assert_tag_string(&spans.records[i], "url.path", "/child");
            of_children++;
        }
    }
    ck_assert_uint_eq(of_children, 100UL * CHILDREN);
    ck_assert_uint_eq(books(tracer).exported, 100UL * CHILDREN + 50);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    unmap(&shared);
}
END_TEST

START_TEST(a_lease_holder_that_was_killed_leaves_its_batch_to_the_next)
{
    struct tracez_config config = config_of(200, NULL);
    struct shared shared = map_for(&config);
    format(&config, &shared);
    struct tracez_tracer *tracer = attach(&config, &shared, 0);
    spans_pass(tracer, 20);

    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct tracez_config with_memory = attached(&config, &shared, 1);
        struct tracez_tracer *own;
        struct tracez_mark mark;
        struct spans read = {0};
        if (tracez_tracer_create(&with_memory, &own, NULL) == TRACEZ_OK &&
            tracez_lane_lease(lane_of(tracez_tracer_collector(own, 0))) == TRACEZ_OK) {
            tracez_lane_read(lane_of(tracez_tracer_collector(own, 0)), 7, spans_read, &read, &mark);
        }
        raise(SIGKILL);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, 20);
    ck_assert_uint_eq(books(tracer).exported, 20);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    unmap(&shared);
}
END_TEST

/* Where in the memory the records of this trace id begins. */
static unsigned char *find_record(const struct shared *shared, const struct tracez_context *own)
{
    unsigned char *at =
        memmem(shared->buffer, shared->buffer_bytes, own->trace_id, TRACEZ_TRACE_ID_BYTES);

    ck_assert_ptr_nonnull(at);
    return at - offsetof(struct record_header, trace_id);
}

START_TEST(a_record_that_a_neighbour_damaged_is_counted_as_corrupt_or_read_and_never_crashes)
{
    struct tracez_config config = config_of(100, NULL);
    struct shared shared = map_for(&config);
    const size_t header_bytes = sizeof(struct record_header);
    uint64_t corrupt = 0;

    for (size_t at = 0; at < header_bytes + 24; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct tracez_context own;
            memset(shared.ledger, 0, shared.ledger_bytes);
            memset(shared.buffer, 0, shared.buffer_bytes);
            format(&config, &shared);
            struct tracez_tracer *tracer = attach(&config, &shared, 0);
            spans_pass(tracer, 2);
            struct tracez_span span =
                tracez_span_start(tracer, TRACEZ_KIND_SERVER, "damaged", NULL, &own);
            tracez_span_set_string(span, "key", "value");
            tracez_span_finish(span);
            spans_pass(tracer, 2);

            find_record(&shared, &own)[at] ^= (unsigned char)(1U << bit);
            struct spans spans = spans_drain_first(tracer);
            struct spans rest = spans_drain_first(tracer);

            struct tracez_stats stats = books(tracer);
            ck_assert_uint_eq(stats.exported, spans.count + rest.count);
            ck_assert_uint_eq(stats.exported + stats.dropped[TRACEZ_DROP_CORRUPT], 5);
            corrupt += stats.dropped[TRACEZ_DROP_CORRUPT];
            spans_pass(tracer, 1); /* and the buffer works on */
            ck_assert_uint_eq(books(tracer).queued, 1);
            spans_free(&spans);
            spans_free(&rest);
            tracez_tracer_destroy(tracer);
        }
    }
    ck_assert_uint_gt(corrupt, 0);
    unmap(&shared);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buffer");
    TCase *refused = case_of(suite, "refused");
    TCase *kept = case_of(suite, "kept");
    TCase *shared = case_of(suite, "shared");

    tcase_add_test(refused, memory_that_is_too_small_is_refused);
    tcase_add_test(refused, a_tracer_over_memory_that_was_not_formatted_is_refused_as_foreign);
    tcase_add_test(refused, a_tracer_of_another_layout_is_refused_as_foreign);
    tcase_add_test(refused, a_writer_number_beyond_the_ledger_is_refused);
    tcase_add_test(refused, garbage_and_another_layout_are_reset);
    tcase_add_test(refused,
                   formatting_for_ever_new_resources_ends_in_invalid_and_not_beyond_the_table);
    tcase_add_test(
        refused, a_record_that_a_neighbour_damaged_is_counted_as_corrupt_or_read_and_never_crashes);
    tcase_add_test(kept, a_buffer_of_the_same_layout_is_kept_with_its_spans);
    tcase_add_test(kept, new_resources_are_added_and_old_records_keep_theirs);
    tcase_add_test(shared, two_tracers_over_the_same_memory_share_one_exact_ledger);
    tcase_add_test(shared, a_lease_taken_through_one_tracer_is_busy_through_the_other);
    tcase_add_test(shared, spans_of_forked_children_are_read_by_the_parent_with_exact_books);
    tcase_add_test(shared, a_lease_holder_that_was_killed_leaves_its_batch_to_the_next);
    return run_suite(suite);
}
