/* SPDX-License-Identifier: MIT
 *
 * Goal: however many writers, shards and readers meet in a collector, each record comes out whole
 * and once, in its writer's order within a shard, and what was pushed is what was read or refused,
 * to the last one.
 * Method: every byte of a record follows from its writer and number, so the reader makes it again
 * and compares: a torn or stale record can't pass. Writers push as fast as they can and push again
 * what a full collector refused, until all their records are in. Two readers fight for the lease,
 * keep several batches in flight, now and then refuse a record, and often release the lease with
 * batches that they did not acknowledge. A fifth wheel asks for the stats all the time. The rings
 * are small: each is gone round a dozen times or more. */
#include "collector.h"
#include "entry.h"
#include "random.h"
#include "spans.h"
#include "tracer.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITERS_MAX 16
#define READERS 2
#define SHARD_SPANS 128
#define BATCH_SPANS 50
#define WINDOW 3 /* batches in flight */
#define RECORDS_IN_ALL 36000
#define OVERSIZE_ENTRIES_BYTES                                                                     \
    40000 /* of a shard of 64 KiB more than half may not be one record                             \
           */
#define FILLER_BYTES_MAX 4000

/* A record's only tag; filler_bytes of filler follow. */
struct load {
    uint32_t writer;
    uint32_t number;
    uint32_t filler_bytes;
};

struct run {
    struct tracez_tracer *tracer;
    struct tracez_collector *collector;
    uint32_t writers;
    uint32_t each;       /* records of a writer */
    atomic_uint writing; /* writers that are not done */
    atomic_uint reading; /* readers likewise */
    atomic_ullong wakes;
    atomic_bool is_faulty;
    char fault[200]; /* by who set is_faulty */

    /* Only the holder of the lease touches these. */
    uint32_t acknowledged_next[WRITERS_MAX][TRACEZ_SHARDS_MAX]; /* the number that may come next */
    uint32_t read_next[WRITERS_MAX][TRACEZ_SHARDS_MAX];
    bool *is_done[WRITERS_MAX]; /* each record's: acknowledged */
    uint64_t exported;
    uint64_t rejected;
    uint64_t bytes;
};

/* Threads report here; Check's assertions are for the main thread. */
static TRACEZ_PRINTF(2, 3) void complain(struct run *run, const char *format, ...)
{
    va_list arguments;

    if (!atomic_exchange(&run->is_faulty, true)) {
        va_start(arguments, format);
        vsnprintf(run->fault, sizeof(run->fault), format, arguments);
        va_end(arguments);
    }
}

static uint64_t seed_of(uint32_t writer, uint32_t number)
{
    return (uint64_t)writer << 32 | number;
}

/* ---- Writers --------------------------------------------------------------------------------- */

struct writer {
    pthread_t thread;
    struct run *run;
    uint32_t index;
    uint64_t attempts;
    uint64_t oversize;
    struct record_header record; /* the entries lie behind it */
    unsigned char entries[OVERSIZE_ENTRIES_BYTES];
};

_Static_assert(offsetof(struct writer, entries) ==
                   offsetof(struct writer, record) + sizeof(struct record_header),
               "a record is one piece");

/* Most are short, some are of some thousand bytes. */
static uint32_t filler_bytes_of(uint32_t writer, uint32_t number)
{
    uint64_t state = ~seed_of(writer, number);
    uint64_t random = next_random(&state);

    return (uint32_t)(random % 8 == 0 ? random / 8 % FILLER_BYTES_MAX : random / 8 % 200);
}

static void make_record(struct writer *writer, uint32_t number)
{
    static const struct key key = {.text = "load", .bytes = 4};
    const struct load load = {writer->index, number, filler_bytes_of(writer->index, number)};
    size_t value_bytes = sizeof(load) + load.filler_bytes;
    unsigned char *value = entry_begin(writer->entries, TRACEZ_TAG_STRING, key, value_bytes);

    memcpy(value, &load, sizeof(load));
    fill_random(value + sizeof(load), load.filler_bytes, seed_of(writer->index, number));
    writer->record = (struct record_header){
        .version = RECORD_VERSION,
        .kind = TRACEZ_KIND_SERVER,
        .start_unix_ns = number,
        .entries_bytes = (uint32_t)entry_bytes_for(key, value_bytes),
        .tag_count = 1,
    };
    writer->record.record_bytes = record_bytes_for(writer->record.entries_bytes);
    fill_random(writer->record.trace_id, TRACEZ_TRACE_ID_BYTES, seed_of(writer->index, number));
    memcpy(writer->record.span_id, writer->record.trace_id, TRACEZ_SPAN_ID_BYTES);
}

/* Counts the span like tracez_span_start and pushes it; false when it was refused. */
static bool push(struct writer *writer, enum tracez_drop refused_as)
{
    struct ledger_line *line = &writer->run->tracer->ledger->lines[writer->index];
    const struct ledger_writer of_ledger = {line, writer->index, true};
    /* Relaxed: nobody else writes this line. */
    uint64_t before = atomic_load_explicit(&line->dropped[refused_as], memory_order_relaxed);

    writer->attempts++;
    ledger_count(of_ledger, &line->recorded);
    collector_push(writer->run->collector, of_ledger, &writer->record);
    return atomic_load_explicit(&line->dropped[refused_as], memory_order_relaxed) == before;
}

static void push_oversize(struct writer *writer)
{
    writer->record = (struct record_header){
        .version = RECORD_VERSION,
        .kind = TRACEZ_KIND_SERVER,
        .entries_bytes = OVERSIZE_ENTRIES_BYTES,
        .record_bytes = record_bytes_for(OVERSIZE_ENTRIES_BYTES),
    };
    writer->oversize++;
    if (push(writer, TRACEZ_DROP_OVERSIZE)) {
        complain(writer->run, "writer %u: a record of %u bytes was taken", writer->index,
                 writer->record.record_bytes);
    }
}

static void *write_records(void *state)
{
    struct writer *writer = state;
    struct run *run = writer->run;

    for (uint32_t number = 0; number < run->each && !atomic_load(&run->is_faulty); number++) {
        if (number % 997 == 0) {
            push_oversize(writer);
        }
        make_record(writer, number);
        while (!push(writer, TRACEZ_DROP_QUEUE_FULL) && !atomic_load(&run->is_faulty)) {
            sched_yield();
        }
    }
    atomic_fetch_sub(&run->writing, 1);
    return NULL;
}

/* ---- Readers --------------------------------------------------------------------------------- */

struct batch {
    struct tracez_mark mark;
    size_t count;
    struct load loads[BATCH_SPANS];
    uint32_t read_next[WRITERS_MAX][TRACEZ_SHARDS_MAX]; /* as it was after this batch */
};

struct reader {
    pthread_t thread;
    struct run *run;
    uint64_t random;
    struct batch window[WINDOW];
    size_t first; /* the oldest batch in flight */
    size_t inflight;
    struct batch *filling;
};

static bool is_whole(struct run *run, const struct tracez_record *record, struct load *load)
{
    struct tracez_entry entry;
    size_t position = 0;

    if (record->tag_count != 1 ||
        !tracez_entry_next(record->entries, record->entries_bytes, &position, &entry) ||
        entry.string.bytes < sizeof(*load)) {
        return false;
    }
    memcpy(load, entry.string.text, sizeof(*load));
    const uint64_t seed = seed_of(load->writer, load->number);
    return load->writer < run->writers && load->number < run->each &&
           entry.string.bytes == sizeof(*load) + load->filler_bytes &&
           load->filler_bytes == filler_bytes_of(load->writer, load->number) &&
           record->start_unix_ns == load->number &&
           is_filled(record->trace_id, TRACEZ_TRACE_ID_BYTES, seed) &&
           is_filled((const unsigned char *)entry.string.text + sizeof(*load), load->filler_bytes,
                     seed);
}

static bool take_record(const struct tracez_record *record, void *state)
{
    struct reader *reader = state;
    struct run *run = reader->run;
    const struct tracez_collector *collector = run->collector;
    struct load load;

    if (next_random(&reader->random) % 512 == 0) {
        return false;
    }
    if (!is_whole(run, record, &load)) {
        complain(run, "a record is torn");
        return false;
    }
    size_t shard =
        (size_t)(record->entries - collector->shards[0].ring) / collector->geometry.ring_bytes;
    uint32_t *next = &run->read_next[load.writer][shard];
    /* In one shard nothing may be missing in between either. */
    if (load.number < *next || (collector->geometry.shard_count == 1 && load.number != *next)) {
        complain(run, "writer %u, shard %zu: %u came when %u was next", load.writer, shard,
                 load.number, *next);
        return false;
    }
    *next = load.number + 1;
    reader->filling->loads[reader->filling->count++] = load;
    return true;
}

static size_t read_batch(struct reader *reader)
{
    struct run *run = reader->run;
    struct batch *batch = &reader->window[(reader->first + reader->inflight) % WINDOW];

    batch->count = 0;
    reader->filling = batch;
    size_t taken =
        tracez_lane_read(lane_of(run->collector), BATCH_SPANS, take_record, reader, &batch->mark);
    if (taken != batch->count) {
        complain(run, "%zu read, %zu taken", batch->count, taken);
    }
    memcpy(batch->read_next, run->read_next, sizeof(batch->read_next));
    reader->inflight++;
    return taken;
}

/* Every fifth record of a batch is said to be rejected. */
static void acknowledge_oldest(struct reader *reader)
{
    struct run *run = reader->run;
    const struct batch *batch = &reader->window[reader->first];
    struct tracez_outcome outcome = {.exported = batch->count - batch->count / 5};

    outcome.dropped[TRACEZ_DROP_REJECTED] = batch->count / 5;
    for (size_t i = 0; i < batch->count; i++) {
        const struct load *load = &batch->loads[i];
        if (run->is_done[load->writer][load->number]) {
            complain(run, "writer %u: %u came twice", load->writer, load->number);
        }
        run->is_done[load->writer][load->number] = true;
        run->bytes += load->filler_bytes + sizeof(struct record_header);
    }
    run->exported += outcome.exported;
    run->rejected += outcome.dropped[TRACEZ_DROP_REJECTED];
    memcpy(run->acknowledged_next, batch->read_next, sizeof(run->acknowledged_next));
    tracez_lane_acknowledge(lane_of(run->collector), &batch->mark, &outcome);
    reader->first = (reader->first + 1) % WINDOW;
    reader->inflight--;
}

static void use_lease(struct reader *reader)
{
    struct run *run = reader->run;

    reader->inflight = 0; /* what was left unacknowledged is unread again */
    memcpy(run->read_next, run->acknowledged_next, sizeof(run->read_next));
    for (uint64_t batches = next_random(&reader->random) % 20; batches > 0; batches--) {
        if (reader->inflight == WINDOW) {
            acknowledge_oldest(reader);
        }
        if (read_batch(reader) == 0) {
            break;
        }
    }
    if (next_random(&reader->random) % 2 == 0) {
        while (reader->inflight > 0) {
            acknowledge_oldest(reader);
        }
    }
}

static bool is_over(struct run *run)
{
    bool none_writes = atomic_load(&run->writing) == 0;
    struct tracez_collector_stats stats;

    tracez_collector_stats_init(&stats);
    tracez_collector_stats(run->collector, &stats);
    return atomic_load(&run->is_faulty) || (none_writes && stats.queued + stats.inflight == 0);
}

static void *read_records(void *state)
{
    struct reader *reader = state;
    struct run *run = reader->run;

    while (!is_over(run)) {
        if (tracez_lane_lease(lane_of(run->collector)) == TRACEZ_OK) {
            use_lease(reader);
            tracez_lane_release(lane_of(run->collector));
        }
        sched_yield();
    }
    atomic_fetch_sub(&run->reading, 1);
    return NULL;
}

/* ---- Onlookers ------------------------------------------------------------------------------- */

static void *watch_stats(void *state)
{
    struct run *run = state;
    struct tracez_collector_stats stats;
    uint64_t exported = 0;

    while (atomic_load(&run->reading) > 0) {
        tracez_collector_stats_init(&stats);
        tracez_collector_stats(run->collector, &stats);
        /* A moment between its readings apart, but never a position seen beyond the next one. */
        if (stats.queued > RECORDS_IN_ALL || stats.inflight > RECORDS_IN_ALL ||
            stats.pressure_percent > 100 || stats.exported < exported) {
            complain(run, "stats: %llu queued, %llu inflight, %llu exported after %llu",
                     (unsigned long long)stats.queued, (unsigned long long)stats.inflight,
                     (unsigned long long)stats.exported, (unsigned long long)exported);
        }
        exported = stats.exported;
        sched_yield();
    }
    return NULL;
}

static void count_wake(void *state, uint32_t lane)
{
    ck_assert_uint_eq(lane, 0);
    atomic_fetch_add((atomic_ullong *)state, 1);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static struct run *create_run(uint32_t writers, uint32_t shards)
{
    const struct tracez_collector_config collector = {
        .name = "stress", .spans_max = shards * SHARD_SPANS, .writers = shards};
    struct run *run = calloc(1, sizeof(*run));
    struct tracez_config config;

    ck_assert_ptr_nonnull(run);
    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    run->tracer = tracer_create(&config);
    run->collector = first_collector(run->tracer);
    ck_assert_uint_eq(run->collector->geometry.shard_count, shards);
    run->writers = writers;
    run->each = RECORDS_IN_ALL / writers;
    run->writing = writers;
    run->reading = READERS;
    for (uint32_t i = 0; i < writers; i++) {
        run->is_done[i] = calloc(run->each, sizeof(bool));
        ck_assert_ptr_nonnull(run->is_done[i]);
    }
    tracez_collector_on_batch(run->collector, BATCH_SPANS, count_wake, &run->wakes);
    return run;
}

static void destroy_run(struct run *run)
{
    for (uint32_t i = 0; i < run->writers; i++) {
        free(run->is_done[i]);
    }
    tracez_tracer_destroy(run->tracer);
    free(run);
}

static void start(pthread_t *thread, void *(*body)(void *), void *state)
{
    ck_assert_int_eq(pthread_create(thread, NULL, body, state), 0);
}

static void finish(pthread_t thread)
{
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void assert_conserved(const struct run *run, const struct writer *writers)
{
    struct tracez_stats stats = books(run->tracer);
    struct tracez_collector_stats of_collector = collector_books(run->collector);
    uint64_t records = (uint64_t)run->each * run->writers;
    uint64_t attempts = 0;
    uint64_t oversize = 0;
    uint64_t ring_bytes =
        (uint64_t)run->collector->geometry.ring_bytes * run->collector->geometry.shard_count;

    for (uint32_t i = 0; i < run->writers; i++) {
        attempts += writers[i].attempts;
        oversize += writers[i].oversize;
        ck_assert_ptr_null(memchr(run->is_done[i], 0, run->each * sizeof(bool)));
    }
    ck_assert_uint_eq(run->exported + run->rejected, records);
    ck_assert_uint_eq(stats.recorded, attempts);
    ck_assert_uint_eq(stats.exported, run->exported);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_REJECTED], run->rejected);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_OVERSIZE], oversize);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], attempts - records - oversize);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_CORRUPT], 0);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_eq(of_collector.exported, stats.exported);
    ck_assert_mem_eq(of_collector.dropped, stats.dropped, sizeof(stats.dropped));
    /* A shard's quarter, in spans or in bytes, is less than a batch here. */
    ck_assert_uint_le(run->wakes, records / (SHARD_SPANS / 4) + run->bytes / (SHARD_BYTES_MIN / 4));
    ck_assert_uint_ge(run->bytes, 10 * ring_bytes);
}

static const struct {
    uint32_t writers;
    uint32_t shards;
} rounds[] = {{1, 1}, {2, 1}, {2, 2}, {8, 3}, {16, 1}, {16, 4}, {16, 16}};

START_TEST(every_record_comes_out_whole_once_and_in_order_or_is_counted_as_refused)
{
    struct run *run = create_run(rounds[_i].writers, rounds[_i].shards);
    struct writer *writers = calloc(run->writers, sizeof(writers[0]));
    struct reader *readers = calloc(READERS, sizeof(readers[0]));
    pthread_t onlooker;
    ck_assert_ptr_nonnull(writers);
    ck_assert_ptr_nonnull(readers);

    start(&onlooker, watch_stats, run);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i].run = run;
        readers[i].random = i;
        start(&readers[i].thread, read_records, &readers[i]);
    }
    for (uint32_t i = 0; i < run->writers; i++) {
        writers[i].run = run;
        writers[i].index = i;
        start(&writers[i].thread, write_records, &writers[i]);
    }
    for (uint32_t i = 0; i < run->writers; i++) {
        finish(writers[i].thread);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        finish(readers[i].thread);
    }
    finish(onlooker);

    ck_assert_msg(!run->is_faulty, "%s", run->fault);
    assert_conserved(run, writers);
    free(writers);
    free(readers);
    destroy_run(run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collector under stress");
    TCase *threads = case_of(suite, "threads");

    tcase_add_loop_test(threads,
                        every_record_comes_out_whole_once_and_in_order_or_is_counted_as_refused, 0,
                        sizeof(rounds) / sizeof(rounds[0]));
    return run_suite(suite);
}
