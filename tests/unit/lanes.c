/* SPDX-License-Identifier: MIT
 *
 * Goal: of a collector with several lanes each shard is read in exactly one, each lane has a reader
 * of its own, and the books are those of the whole; what a dead process began in one lane is ended
 * before its line of the ledger is used again.
 * Method: two tracers over the same memory, each of which writes into one lane by preference. */
#include "spans.h"
#include "tracer.h"

#include <stdlib.h>
#include <string.h>

enum { WRITERS = 4, LANES = 2, SPANS_MAX = 1024 };

struct fixture {
    struct tracez_config config;
    struct tracez_tracer *tracers[WRITERS];
};

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(CACHE_LINE, (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

    ck_assert_ptr_nonnull(memory);
    memset(memory, 0, bytes);
    return memory;
}

static struct fixture setup(uint32_t lanes)
{
    static const struct tracez_collector_config collector = {
        .name = "shared", .spans_max = SPANS_MAX, .writers = WRITERS};
    struct fixture fixture;
    struct tracez_config *config = &fixture.config;

    tracez_config_init(config);
    config->collectors = &collector;
    config->collector_count = 1;
    config->lanes = lanes;
    config->is_single_threaded = true;
    config->buffer_bytes = tracez_buffer_bytes(config, NULL);
    config->ledger_bytes = tracez_ledger_bytes();
    config->buffer_memory = allocate(config->buffer_bytes);
    config->ledger_memory = allocate(config->ledger_bytes);
    ck_assert_int_eq(
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, NULL, NULL),
        TRACEZ_OK);
    ck_assert_int_eq(tracez_ledger_format(config->ledger_memory, config->ledger_bytes, NULL, NULL),
                     TRACEZ_OK);
    for (uint32_t i = 0; i < WRITERS; i++) {
        config->writer = i;
        fixture.tracers[i] = tracer_create(config);
    }
    return fixture;
}

static void teardown(struct fixture *fixture)
{
    for (uint32_t i = 0; i < WRITERS; i++) {
        tracez_tracer_destroy(fixture->tracers[i]);
    }
    free(fixture->config.buffer_memory);
    free(fixture->config.ledger_memory);
}

static struct tracez_lane *lane_for(struct fixture *fixture, uint32_t writer, size_t lane)
{
    return tracez_collector_lane(first_collector(fixture->tracers[writer]), lane);
}

/* Reads all of it and says it was exported; returns how many. */
static size_t deliver(struct tracez_lane *lane)
{
    struct spans spans = {0};
    struct tracez_outcome outcome = {0};
    struct tracez_mark mark;

    outcome.exported = tracez_lane_read(lane, SPANS_MAX, spans_read, &spans, &mark);
    tracez_lane_acknowledge(lane, &mark, &outcome);
    spans_free(&spans);
    return outcome.exported;
}

START_TEST(numbers_of_lanes_that_make_no_sense_are_refused)
{
    const uint32_t numbers[] = {0, TRACEZ_LANES_MAX + 1, UINT32_MAX};
    struct tracez_config config;
    struct tracez_error error;

    tracez_config_init(&config);
    ck_assert_uint_eq(config.lanes, 1);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        config.lanes = numbers[i];
        ck_assert_uint_eq(tracez_buffer_bytes(&config, &error), 0);
        ck_assert_int_eq(error.result, TRACEZ_INVALID);
        ck_assert_ptr_nonnull(strstr(error.text, "lanes"));
    }
    config.lanes = TRACEZ_LANES_MAX;
    ck_assert_uint_gt(tracez_buffer_bytes(&config, &error), 0);
}
END_TEST

START_TEST(a_collector_has_the_lanes_of_its_configuration_and_no_more)
{
    struct fixture fixture = setup(LANES);

    ck_assert_ptr_nonnull(lane_for(&fixture, 0, LANES - 1));
    ck_assert_ptr_null(lane_for(&fixture, 0, LANES));
    ck_assert_ptr_null(lane_for(&fixture, 0, SIZE_MAX));

    teardown(&fixture);
}
END_TEST

START_TEST(memory_of_another_number_of_lanes_is_foreign)
{
    struct fixture fixture = setup(LANES);
    struct tracez_config config = fixture.config;
    struct tracez_tracer *tracer = (void *)1;

    config.lanes = 1;
    ck_assert_int_eq(tracez_tracer_create(&config, &tracer, NULL), TRACEZ_FOREIGN);
    ck_assert_ptr_null(tracer);

    teardown(&fixture);
}
END_TEST

START_TEST(each_lane_gives_its_own_writers_spans_whoever_reads_the_other)
{
    struct fixture fixture = setup(LANES);
    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        spans_pass(fixture.tracers[writer], 10 * (writer + 1));
    }
    struct tracez_lane *even = lane_for(&fixture, 0, 0);
    struct tracez_lane *odd = lane_for(&fixture, 1, 1);

    ck_assert_int_eq(tracez_lane_lease(even), TRACEZ_OK);
    ck_assert_int_eq(tracez_lane_lease(odd), TRACEZ_OK);
    ck_assert_int_eq(tracez_lane_lease(lane_for(&fixture, 2, 0)), TRACEZ_BUSY);
    ck_assert_uint_eq(tracez_lane_unread(even), 10 + 30);
    ck_assert_uint_eq(tracez_lane_unread(odd), 20 + 40);
    ck_assert_uint_eq(tracez_collector_unread(first_collector(fixture.tracers[3])), 100);
    ck_assert_uint_eq(deliver(odd), 20 + 40);
    ck_assert_uint_eq(tracez_lane_unread(even), 10 + 30);
    ck_assert_uint_eq(books(fixture.tracers[2]).exported, 60);
    ck_assert_uint_eq(deliver(even), 10 + 30);
    tracez_lane_release(even);
    tracez_lane_release(odd);

    ck_assert_uint_eq(books(fixture.tracers[0]).exported, 100);
    ck_assert_uint_eq(collector_books(first_collector(fixture.tracers[0])).exported, 100);
    teardown(&fixture);
}
END_TEST

START_TEST(acknowledging_in_one_lane_frees_nothing_of_the_other)
{
    struct fixture fixture = setup(LANES);
    struct tracez_lane *lanes[LANES] = {lane_for(&fixture, 0, 0), lane_for(&fixture, 0, 1)};
    struct spans spans = {0};
    struct tracez_mark mark;
    spans_pass(fixture.tracers[0], 10);
    spans_pass(fixture.tracers[1], 10);

    for (size_t i = 0; i < LANES; i++) {
        ck_assert_int_eq(tracez_lane_lease(lanes[i]), TRACEZ_OK);
    }
    tracez_lane_read(lanes[0], 10, spans_read, &spans, &mark);
    deliver(lanes[1]);

    struct tracez_stats stats = books(fixture.tracers[0]);
    ck_assert_uint_eq(stats.inflight, 10);
    ck_assert_uint_eq(stats.exported, 10);
    tracez_lane_rewind(lanes[0]);
    ck_assert_uint_eq(deliver(lanes[0]), 10);
    for (size_t i = 0; i < LANES; i++) {
        tracez_lane_release(lanes[i]);
    }
    spans_free(&spans);
    teardown(&fixture);
}
END_TEST

START_TEST(a_writer_whose_shard_is_full_goes_on_in_the_other_lane)
{
    struct fixture fixture = setup(LANES);

    spans_pass(fixture.tracers[0], SPANS_MAX + 1);

    ck_assert_uint_eq(tracez_lane_unread(lane_for(&fixture, 0, 0)), SPANS_MAX / LANES);
    ck_assert_uint_eq(tracez_lane_unread(lane_for(&fixture, 0, 1)), SPANS_MAX / LANES);
    ck_assert_uint_eq(books(fixture.tracers[0]).dropped[TRACEZ_DROP_QUEUE_FULL], 1);
    teardown(&fixture);
}
END_TEST

START_TEST(more_lanes_than_shards_leave_some_empty_and_lose_nothing)
{
    struct fixture fixture = setup(TRACEZ_LANES_MAX);
    spans_pass(fixture.tracers[0], SPANS_MAX);

    struct spans spans = spans_drain_first(fixture.tracers[0]);

    ck_assert_uint_eq(tracez_lane_unread(lane_for(&fixture, 0, TRACEZ_LANES_MAX - 1)), 0);
    ck_assert_uint_eq(spans.count, SPANS_MAX);
    ck_assert_uint_eq(books(fixture.tracers[0]).exported, SPANS_MAX);
    spans_free(&spans);
    teardown(&fixture);
}
END_TEST

START_TEST(draining_by_hand_takes_all_lanes_or_nothing)
{
    struct fixture fixture = setup(LANES);
    struct tracez_lane *odd = lane_for(&fixture, 1, 1);
    spans_pass(fixture.tracers[0], 10);
    spans_pass(fixture.tracers[1], 10);

    ck_assert_int_eq(tracez_lane_lease(odd), TRACEZ_OK);
    struct spans none = spans_drain_first(fixture.tracers[0]);
    tracez_lane_release(odd);
    struct spans all = spans_drain_first(fixture.tracers[0]);

    ck_assert_uint_eq(none.count, 0);
    ck_assert_uint_eq(all.count, 20);
    ck_assert_int_eq(tracez_lane_lease(lane_for(&fixture, 2, 0)), TRACEZ_OK);
    tracez_lane_release(lane_for(&fixture, 2, 0));
    spans_free(&none);
    spans_free(&all);
    teardown(&fixture);
}
END_TEST

static void note_lane(void *state, uint32_t lane)
{
    unsigned *wakes = state;

    wakes[lane]++;
}

START_TEST(a_batch_wakes_the_lane_that_it_is_in)
{
    struct fixture fixture = setup(LANES);
    unsigned wakes[LANES] = {0};

    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        tracez_collector_on_batch(first_collector(fixture.tracers[writer]), 10, note_lane, wakes);
    }
    spans_pass(fixture.tracers[0], 30);
    spans_pass(fixture.tracers[1], 10);
    spans_pass(fixture.tracers[3], 10);

    ck_assert_uint_eq(wakes[0], 3);
    ck_assert_uint_eq(wakes[1], 2);
    teardown(&fixture);
}
END_TEST

START_TEST(a_lane_is_asked_for_until_its_holder_has_heard)
{
    struct fixture fixture = setup(LANES);

    ck_assert(!tracez_lane_is_asked_for(lane_for(&fixture, 0, 1)));
    tracez_lane_ask(lane_for(&fixture, 1, 1));

    ck_assert(!tracez_lane_is_asked_for(lane_for(&fixture, 0, 0)));
    ck_assert(tracez_lane_is_asked_for(lane_for(&fixture, 0, 1)));
    ck_assert(!tracez_lane_is_asked_for(lane_for(&fixture, 0, 1)));
    teardown(&fixture);
}
END_TEST

/* What a process leaves that is killed just before it carries out the delivery of all in the lane.
 */
static void leave_note(struct tracez_lane *lane, uint32_t writer, uint64_t spans)
{
    struct acknowledge_redo *redo = &lane->memory->redo;
    struct tracez_collector *collector = lane->collector;

    memset(redo, 0, sizeof(*redo));
    redo->writer = writer;
    redo->exported = atomic_load(&lane->memory->exported) + spans;
    redo->delivery_exported =
        atomic_load(&collector->ledger->deliveries[writer][0].exported) + spans;
    for (uint32_t i = lane->index; i < collector->geometry.shard_count; i += LANES) {
        redo->position[i] = atomic_load(&collector->shards[i].shard->published);
    }
    atomic_store(&redo->is_valid, 1);
}

START_TEST(a_dead_process_is_taken_over_with_what_it_had_begun_in_every_lane)
{
    struct fixture fixture = setup(LANES);
    struct tracez_lane *even = lane_for(&fixture, 0, 0);
    struct tracez_lane *odd = lane_for(&fixture, 0, 1);
    spans_pass(fixture.tracers[0], 10);
    spans_pass(fixture.tracers[1], 20);
    leave_note(even, 3, 10);

    /* Who has its number now delivers in the other lane. */
    tracez_tracer_take_over(fixture.tracers[0], 3);
    struct tracez_lane *odd_of_heir = lane_for(&fixture, 3, 1);
    ck_assert_int_eq(tracez_lane_lease(odd_of_heir), TRACEZ_OK);
    ck_assert_uint_eq(deliver(odd_of_heir), 20);
    tracez_lane_release(odd_of_heir);
    ck_assert_int_eq(tracez_lane_lease(even), TRACEZ_OK);
    ck_assert_uint_eq(deliver(even), 0);
    tracez_lane_release(even);

    ck_assert_uint_eq(books(fixture.tracers[0]).exported, 30);
    ck_assert_uint_eq(tracez_lane_unread(odd), 0);
    teardown(&fixture);
}
END_TEST

START_TEST(a_note_of_a_process_that_lives_is_left_alone)
{
    struct fixture fixture = setup(LANES);
    struct tracez_lane *even = lane_for(&fixture, 0, 0);
    spans_pass(fixture.tracers[0], 10);
    leave_note(even, 2, 10);

    tracez_tracer_take_over(fixture.tracers[0], 3);

    ck_assert_uint_eq(atomic_load(&even->memory->redo.is_valid), 1);
    ck_assert_uint_eq(books(fixture.tracers[0]).queued, 10);
    teardown(&fixture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lanes");
    TCase *configured = case_of(suite, "configured");
    TCase *reading = case_of(suite, "reading");
    TCase *deaths = case_of(suite, "deaths");

    tcase_add_test(configured, numbers_of_lanes_that_make_no_sense_are_refused);
    tcase_add_test(configured, a_collector_has_the_lanes_of_its_configuration_and_no_more);
    tcase_add_test(configured, memory_of_another_number_of_lanes_is_foreign);
    tcase_add_test(reading, each_lane_gives_its_own_writers_spans_whoever_reads_the_other);
    tcase_add_test(reading, acknowledging_in_one_lane_frees_nothing_of_the_other);
    tcase_add_test(reading, a_writer_whose_shard_is_full_goes_on_in_the_other_lane);
    tcase_add_test(reading, more_lanes_than_shards_leave_some_empty_and_lose_nothing);
    tcase_add_test(reading, draining_by_hand_takes_all_lanes_or_nothing);
    tcase_add_test(reading, a_batch_wakes_the_lane_that_it_is_in);
    tcase_add_test(reading, a_lane_is_asked_for_until_its_holder_has_heard);
    tcase_add_test(deaths, a_dead_process_is_taken_over_with_what_it_had_begun_in_every_lane);
    tcase_add_test(deaths, a_note_of_a_process_that_lives_is_left_alone);
    return run_suite(suite);
}
