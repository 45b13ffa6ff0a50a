/* SPDX-License-Identifier: MIT
 *
 * Goal: whatever somebody writes into the shared memory, who reads and writes spans there neither
 * crashes nor goes on for ever; memory that makes no sense is refused or mended, what was lost in
 * it is counted, and what comes after works. Method: each word of a buffer's own structures, and
 * then all of them, overwritten with values that have hurt somebody before; then everything that
 * processes do with a buffer, in a child's time. Not overwritten is a lock that is held: its words
 * belong to the C library, which believes them. */
#include "../stress/random.h"
#include "spans.h"
#include "tracer.h"

#include <stdlib.h>
#include <string.h>

#define WRITERS 2
#define LANES 2
#define SPANS 20

static const struct tracez_collector_config collector_config = {
    .name = "shared", .spans_max = 256, .writers = WRITERS};

/* Memory of one layout. Formatted again for each value. */
struct memory {
    struct tracez_config config; /* with the memory, for writer 0 */
    struct buffer_layout layout;
};

static void format(const struct memory *memory)
{
    const struct tracez_config *config = &memory->config;
    bool was_kept = true;

    memset(config->buffer_memory, 0, config->buffer_bytes);
    memset(config->ledger_memory, 0, config->ledger_bytes);
    ck_assert_int_eq(
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, &was_kept, NULL),
        TRACEZ_OK);
    ck_assert(!was_kept);
    ck_assert_int_eq(tracez_ledger_format(config->ledger_memory, config->ledger_bytes, NULL, NULL),
                     TRACEZ_OK);
}

static struct memory memory_create(void)
{
    struct memory memory;
    struct tracez_config *config = &memory.config;

    tracez_config_init(config);
    config->collectors = &collector_config;
    config->collector_count = 1;
    config->lanes = LANES;
    config->live_spans_max = 16;
    config->is_single_threaded = true;
    ck_assert_int_eq(buffer_plan(config, &memory.layout, NULL), TRACEZ_OK);
    config->buffer_bytes = memory.layout.bytes;
    config->ledger_bytes = (tracez_ledger_bytes() + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    config->buffer_memory = aligned_alloc(CACHE_LINE, config->buffer_bytes);
    config->ledger_memory = aligned_alloc(CACHE_LINE, config->ledger_bytes);
    ck_assert_ptr_nonnull(config->buffer_memory);
    ck_assert_ptr_nonnull(config->ledger_memory);
    format(&memory);
    return memory;
}

static void memory_destroy(struct memory *memory)
{
    free(memory->config.buffer_memory);
    free(memory->config.ledger_memory);
}

static struct collector_memory *collector_in(const struct memory *memory)
{
    return (void *)((unsigned char *)memory->config.buffer_memory + memory->layout.offset[0]);
}

static struct lane_memory *lane_in(const struct memory *memory, size_t index)
{
    return (struct lane_memory *)(collector_in(memory) + 1) + index;
}

static struct shard *shard_in(const struct memory *memory, size_t index)
{
    return (struct shard *)lane_in(memory, LANES) + index;
}

static struct tracez_tracer *attach(const struct memory *memory, uint32_t writer)
{
    struct tracez_config config = memory->config;
    struct tracez_tracer *tracer = NULL;

    config.writer = writer;
    enum tracez_result result = tracez_tracer_create(&config, &tracer, NULL);
    ck_assert(result == TRACEZ_OK || result == TRACEZ_FOREIGN);
    return tracer;
}

static enum tracez_result check_buffer(const struct memory *memory)
{
    return tracez_buffer_check(&memory->config, memory->config.buffer_memory,
                               memory->config.buffer_bytes, NULL);
}

static enum tracez_result check_ledger(const struct memory *memory)
{
    return tracez_ledger_check(memory->config.ledger_memory, memory->config.ledger_bytes, NULL);
}

/* ---- What processes do ----------------------------------------------------------------------- */

static struct tracez_stats look(const struct tracez_tracer *tracer)
{
    struct tracez_stats stats;

    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    return stats;
}

/* Writes, reads, acknowledges, takes over, looks: all of it bounded by the buffer's size. */
static void use(struct tracez_tracer *tracer)
{
    spans_pass(tracer, SPANS);
    collector_books(first_collector(tracer));
    for (int round = 0; round < 2; round++) {
        struct spans spans = spans_drain_first(tracer);
        ck_assert_uint_le(spans.count, collector_config.spans_max);
        spans_free(&spans);
    }
    tracez_tracer_take_over(tracer, 0);
    spans_pass(tracer, SPANS);
    look(tracer);
    tracez_tracer_audit(tracer, NULL, NULL);
    tracez_collector_unread(first_collector(tracer));
    tracez_collector_is_pressed(first_collector(tracer));
}

/* After use(): is the buffer one that takes and gives spans? */
static void assert_it_works_again(struct tracez_tracer *tracer)
{
    struct spans spans = spans_drain_first(tracer);

    spans_free(&spans);
    spans_pass(tracer, SPANS);
    spans = spans_drain_first(tracer);
    ck_assert_uint_eq(spans.count, SPANS);
    spans_free(&spans);
    tracez_tracer_audit(tracer, NULL, NULL);
}

static void use_by_two(const struct memory *memory, bool works_again)
{
    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        struct tracez_tracer *tracer = attach(memory, writer);
        if (tracer == NULL) {
            continue;
        }
        use(tracer);
        if (works_again) {
            assert_it_works_again(tracer);
            ck_assert_int_eq(check_buffer(memory), TRACEZ_OK);
        }
        tracez_tracer_destroy(tracer);
    }
}

/* ---- Words ----------------------------------------------------------------------------------- */

static const uint64_t values[] = {0, 1, UINT64_MAX, (uint64_t)UINT32_MAX << 32};

enum { FIXED = sizeof(values) / sizeof(values[0]), VALUES = FIXED + 1 };

static void fill(const struct memory *memory)
{
    struct tracez_tracer *tracer = attach(memory, 0);

    spans_pass(tracer, SPANS);
    tracez_tracer_destroy(tracer);
}

/* Each word of the range, with each value, in a buffer that holds spans. */
static void overwrite_each(const struct memory *memory, void *begin, size_t bytes, bool works_again)
{
    uint64_t random = 5;
    unsigned char *at = begin;

    for (size_t offset = 0; offset < bytes; offset += sizeof(uint64_t)) {
        for (unsigned kind = 0; kind < VALUES; kind++) {
            uint64_t value = kind < FIXED ? values[kind] : next_random(&random);
            format(memory);
            fill(memory);
            memcpy(at + offset, &value, sizeof(value));
            check_buffer(memory);
            use_by_two(memory, works_again);
        }
    }
}

START_TEST(any_word_of_the_header_and_the_resources)
{
    struct memory memory = memory_create();
    struct buffer *buffer = memory.config.buffer_memory;

    overwrite_each(&memory, buffer, CACHE_LINE, false);
    overwrite_each(&memory, &buffer->resources, 4 * sizeof(uint64_t), false);
    overwrite_each(&memory, buffer->resources.entries, 8 * sizeof(uint64_t), false);

    memory_destroy(&memory);
}
END_TEST

START_TEST(any_word_of_a_collector_and_its_lanes)
{
    struct memory memory = memory_create();

    overwrite_each(&memory, collector_in(&memory), sizeof(struct collector_memory), false);
    overwrite_each(&memory, lane_in(&memory, 0), sizeof(struct lane_memory), false);
    overwrite_each(&memory, lane_in(&memory, 1), 10 * sizeof(uint64_t), false);

    memory_destroy(&memory);
}
END_TEST

START_TEST(any_word_of_a_shard_after_which_it_works_again)
{
    struct memory memory = memory_create();

    overwrite_each(&memory, shard_in(&memory, 0), sizeof(struct shard), true);

    memory_destroy(&memory);
}
END_TEST

START_TEST(any_word_of_the_ring_after_which_it_works_again)
{
    struct memory memory = memory_create();

    overwrite_each(&memory, shard_in(&memory, WRITERS), 32 * sizeof(uint64_t), true);

    memory_destroy(&memory);
}
END_TEST

START_TEST(any_word_of_a_line_of_the_ledger)
{
    struct memory memory = memory_create();
    struct ledger *ledger = memory.config.ledger_memory;

    overwrite_each(&memory, ledger, CACHE_LINE + sizeof(uint64_t), false);
    overwrite_each(&memory, &ledger->lines[0], sizeof(ledger->lines[0]), false);
    overwrite_each(&memory, &ledger->deliveries[0][0], sizeof(ledger->deliveries[0][0]), false);

    memory_destroy(&memory);
}
END_TEST

/* ---- All of it ------------------------------------------------------------------------------- */

START_TEST(a_buffer_of_nothing_but_noise_behind_its_header)
{
    struct memory memory = memory_create();
    struct buffer *buffer = memory.config.buffer_memory;
    unsigned char *end = (unsigned char *)buffer + memory.config.buffer_bytes;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        unsigned char *from = seed % 2 == 0 ? (unsigned char *)&buffer->resources
                                            : (unsigned char *)shard_in(&memory, 0);
        format(&memory);
        fill(&memory);
        fill_random(from, (size_t)(end - from), seed);

        ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN);
        use_by_two(&memory, seed % 2 != 0);
    }
    memory_destroy(&memory);
}
END_TEST

START_TEST(shards_that_somebody_overwrites_while_they_are_read)
{
    struct memory memory = memory_create();
    struct tracez_collector *collector;
    const struct tracez_outcome ten = {.exported = 10};
    struct tracez_mark marks[2];

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct spans spans = {0};
        format(&memory);
        struct tracez_tracer *tracer = attach(&memory, 0);
        collector = first_collector(tracer);
        spans_pass(tracer, 30);
        ck_assert_int_eq(tracez_lane_lease(lane_of(collector)), TRACEZ_OK);
        ck_assert_uint_eq(tracez_lane_read(lane_of(collector), 10, spans_read, &spans, &marks[0]),
                          10);

        fill_random((unsigned char *)shard_in(&memory, 0), WRITERS * sizeof(struct shard), seed);
        tracez_lane_read(lane_of(collector), 10, spans_read, &spans, &marks[1]);
        spans_pass(tracer, 30);
        tracez_lane_acknowledge(lane_of(collector), &marks[0], &ten);
        tracez_lane_acknowledge(lane_of(collector), &marks[1], &(struct tracez_outcome){0});
        tracez_lane_release(lane_of(collector));
        spans_free(&spans);

        assert_it_works_again(tracer);
        books(tracer);
        ck_assert_uint_eq(look(tracer).queued, 0);
        tracez_tracer_destroy(tracer);
    }
    memory_destroy(&memory);
}
END_TEST

/* ---- Refused, mended, counted ---------------------------------------------------------------- */

START_TEST(a_check_takes_what_processes_leave_and_refuses_what_they_never_do)
{
    struct memory memory = memory_create();
    struct shard *shard = shard_in(&memory, 0);
    fill(&memory);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_OK);
    ck_assert_int_eq(check_ledger(&memory), TRACEZ_OK);

    uint64_t before = atomic_load(&shard->published);
    atomic_store(&shard->published, before + collector_config.spans_max);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN); /* more than it holds */
    atomic_store(&shard->published, before | UINT64_C(0xffffff00) << 32);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN); /* beyond the ring */
    atomic_store(&shard->published, before | UINT64_C(1) << 32);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN); /* between two records' alignments */
    atomic_store(&shard->published, before);
    atomic_store(&shard->acknowledged, before + 1);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN); /* freed before it was written */
    atomic_store(&shard->acknowledged, 0);
    atomic_store(&shard->lock, LEDGER_LINES + 1);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN); /* locked by nobody */
    atomic_store(&shard->lock, 0);
    atomic_store(&lane_in(&memory, 0)->redo.is_valid, 2);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN);
    atomic_store(&lane_in(&memory, 0)->redo.is_valid, 0);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_OK);
    memset(&lane_in(&memory, 1)->lease, 0, sizeof(pthread_mutex_t));
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_FOREIGN); /* a lock, but none that falls open */

    struct ledger *ledger = memory.config.ledger_memory;
    atomic_store(&ledger->lines[3].pushed, UINT64_C(1) << 40);
    ck_assert_int_eq(check_ledger(&memory), TRACEZ_FOREIGN); /* more than were recorded */
    atomic_store(&ledger->lines[3].recorded, UINT64_C(1) << 40);
    ck_assert_int_eq(check_ledger(&memory), TRACEZ_OK);
    atomic_store(&ledger->deliveries[3][0].exported, UINT64_C(1) << 41);
    ck_assert_int_eq(check_ledger(&memory), TRACEZ_FOREIGN); /* more than were buffered */
    memory_destroy(&memory);
}
END_TEST

START_TEST(memory_that_fails_the_check_is_formatted_anew)
{
    struct memory memory = memory_create();
    const struct tracez_config *config = &memory.config;
    bool was_kept = true;
    fill(&memory);
    fill_random((unsigned char *)shard_in(&memory, 0), WRITERS * sizeof(struct shard), 3);

    ck_assert_int_eq(
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, &was_kept, NULL),
        TRACEZ_OK);

    ck_assert(!was_kept);
    ck_assert_int_eq(check_buffer(&memory), TRACEZ_OK);
    use_by_two(&memory, true);
    memory_destroy(&memory);
}
END_TEST

START_TEST(an_audit_finds_what_was_lost_with_a_shard_and_nothing_else)
{
    struct memory memory = memory_create();
    struct tracez_tracer *tracer = attach(&memory, 0);
    struct tracez_tracer *other = attach(&memory, 1);
    spans_pass(tracer, 7);
    spans_pass(other, 5);
    uint64_t found_before = tracez_tracer_audit(tracer, NULL, NULL);

    atomic_store(&shard_in(&memory, 0)->published, UINT64_MAX);
    struct spans spans = spans_drain_first(other);
    uint64_t found = tracez_tracer_audit(other, NULL, NULL);
    uint64_t found_again = tracez_tracer_audit(tracer, NULL, NULL);

    ck_assert_uint_eq(found_before, 0);
    ck_assert_uint_eq(spans.count, 5);
    ck_assert_uint_eq(found, 7);
    ck_assert_uint_eq(found_again, 0);
    ck_assert_uint_eq(books(tracer).dropped[TRACEZ_DROP_CORRUPT], 7);
    ck_assert_uint_eq(books(tracer).exported, 5);
    assert_it_works_again(tracer);
    books(tracer);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    tracez_tracer_destroy(other);
    memory_destroy(&memory);
}
END_TEST

static bool is_not_alone(void *state)
{
    ++*(unsigned *)state;
    return false;
}

START_TEST(an_audit_counts_nothing_while_another_buffer_is_in_use)
{
    struct memory memory = memory_create();
    struct tracez_tracer *tracer = attach(&memory, 0);
    unsigned asked = 0;
    spans_pass(tracer, 7);
    atomic_store(&shard_in(&memory, 0)->published, UINT64_MAX);

    ck_assert_uint_eq(tracez_tracer_audit(tracer, is_not_alone, &asked), 0);

    ck_assert_uint_eq(asked, 1);
    ck_assert_uint_eq(look(tracer).dropped[TRACEZ_DROP_CORRUPT], 0);
    tracez_tracer_destroy(tracer);
    memory_destroy(&memory);
}
END_TEST

START_TEST(a_redo_note_that_nobody_made_is_not_carried_out)
{
    struct memory memory = memory_create();
    struct acknowledge_redo *redo = &lane_in(&memory, 0)->redo;
    struct tracez_tracer *tracer = attach(&memory, 0);
    spans_pass(tracer, SPANS);
    fill_random((unsigned char *)redo, sizeof(*redo), 11);
    redo->writer = 1;
    atomic_store(&redo->is_valid, 1);

    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(spans.count, SPANS);
    ck_assert_uint_eq(books(tracer).exported, SPANS);
    ck_assert_uint_eq(collector_books(first_collector(tracer)).exported, SPANS);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
    memory_destroy(&memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("garbage");
    TCase *words = case_of(suite, "words");
    TCase *noise = case_of(suite, "noise");
    TCase *counted = case_of(suite, "counted");

    tcase_add_test(words, any_word_of_the_header_and_the_resources);
    tcase_add_test(words, any_word_of_a_collector_and_its_lanes);
    tcase_add_test(words, any_word_of_a_shard_after_which_it_works_again);
    tcase_add_test(words, any_word_of_the_ring_after_which_it_works_again);
    tcase_add_test(words, any_word_of_a_line_of_the_ledger);
    tcase_add_test(noise, a_buffer_of_nothing_but_noise_behind_its_header);
    tcase_add_test(noise, shards_that_somebody_overwrites_while_they_are_read);
    tcase_add_test(counted, a_check_takes_what_processes_leave_and_refuses_what_they_never_do);
    tcase_add_test(counted, memory_that_fails_the_check_is_formatted_anew);
    tcase_add_test(counted, an_audit_finds_what_was_lost_with_a_shard_and_nothing_else);
    tcase_add_test(counted, an_audit_counts_nothing_while_another_buffer_is_in_use);
    tcase_add_test(counted, a_redo_note_that_nobody_made_is_not_carried_out);
    return run_suite(suite);
}
