/* SPDX-License-Identifier: MIT
 *
 * Goal: processes that share one buffer and one ledger lose nothing and count exactly, also when
 * readers are killed in the middle of whatever they do.
 * Method: forked writers finish spans through the public API; forked readers take the lease in
 * turn, note each span on a board in shared memory (that is their backend) and acknowledge; one
 * reader at a time is killed with SIGKILL and replaced, as soon as some more spans were noted.
 * Delivery is at least once: a killed reader may have noted a batch that it did not acknowledge any
 * more, and nothing else may come twice. */
#include "random.h"
#include "spans.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 4
#define READERS 2
#define SPANS_EACH 10000
#define BATCH_SPANS 64
#define KILLS 20
#define FILLER_BYTES_MAX 600

/* Shared by all processes. */
struct board {
    atomic_uint writing; /* writers that are not done */
    atomic_bool is_over; /* they have ended, and no reader will be killed any more */
    atomic_ullong noted; /* in all, also what came twice */
    atomic_uint torn;
    _Atomic unsigned char seen[WRITERS][SPANS_EACH];
};

struct shared {
    struct tracez_config config;
    struct board *board;
};

static void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static struct shared create_shared(uint32_t shards, uint32_t lanes)
{
    static struct tracez_collector_config collector;
    struct shared shared = {.board = map_shared(sizeof(struct board))};
    struct tracez_config *config = &shared.config;

    collector = (struct tracez_collector_config){
        .name = "shared", .spans_max = shards * 128, .writers = shards};
    tracez_config_init(config);
    config->collectors = &collector;
    config->collector_count = 1;
    config->lanes = lanes;
    config->buffer_bytes = tracez_buffer_bytes(config, NULL);
    config->ledger_bytes = tracez_ledger_bytes();
    config->buffer_memory = map_shared(config->buffer_bytes);
    config->ledger_memory = map_shared(config->ledger_bytes);
    ck_assert_int_eq(
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, NULL, NULL),
        TRACEZ_OK);
    ck_assert_int_eq(tracez_ledger_format(config->ledger_memory, config->ledger_bytes, NULL, NULL),
                     TRACEZ_OK);
    return shared;
}

static void unmap(const struct shared *shared)
{
    munmap(shared->config.buffer_memory, shared->config.buffer_bytes);
    munmap(shared->config.ledger_memory, shared->config.ledger_bytes);
    munmap(shared->board, sizeof(*shared->board));
}

/* In a child: a tracer of its own over the shared memory. */
static struct tracez_tracer *attach(const struct shared *shared, uint32_t writer)
{
    struct tracez_config config = shared->config;
    struct tracez_tracer *tracer;

    config.writer = writer;
    if (tracez_tracer_create(&config, &tracer, NULL) != TRACEZ_OK) {
        _exit(1);
    }
    return tracer;
}

static pid_t start(void (*body)(const struct shared *shared, uint32_t writer),
                   const struct shared *shared, uint32_t writer)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        body(shared, writer);
        _exit(0);
    }
    return child;
}

/* ---- Writers --------------------------------------------------------------------------------- */

static size_t filler_bytes_of(uint64_t seed)
{
    return (size_t)(next_random(&seed) % FILLER_BYTES_MAX);
}

static void write_spans(const struct shared *shared, uint32_t writer)
{
    struct tracez_tracer *tracer = attach(shared, writer);
    struct tracez_collector *collector = tracez_tracer_collector(tracer, 0);
    unsigned char filler[FILLER_BYTES_MAX];

    for (uint32_t number = 0; number < SPANS_EACH; number++) {
        uint64_t seed = (uint64_t)writer << 32 | number;
        struct tracez_span span =
            tracez_span_start(tracer, TRACEZ_KIND_SERVER, "stress", NULL, NULL);

        fill_random(filler, filler_bytes_of(seed), seed);
        tracez_span_set_int(span, "seed", (int64_t)seed);
        tracez_span_set_bytes(span, "filler", (char *)filler, filler_bytes_of(seed));
        tracez_span_finish(span);
        if (number % 16 == 0 && tracez_collector_is_pressed(collector)) {
            sched_yield(); /* or nearly all would be refused */
        }
    }
    atomic_fetch_sub(&shared->board->writing, 1);
}

/* ---- Readers --------------------------------------------------------------------------------- */

static bool note(const struct tracez_record *record, void *state)
{
    struct board *board = state;
    struct tracez_entry seed;
    struct tracez_entry filler;

    if (!span_find_tag(record, "seed", &seed) || !span_find_tag(record, "filler", &filler) ||
        (uint64_t)seed.integer >> 32 >= WRITERS || (uint32_t)seed.integer >= SPANS_EACH ||
        filler.string.bytes != filler_bytes_of((uint64_t)seed.integer) ||
        !is_filled((const unsigned char *)filler.string.text, filler.string.bytes,
                   (uint64_t)seed.integer)) {
        atomic_fetch_add(&board->torn, 1);
        return true;
    }
    atomic_fetch_add(&board->seen[seed.integer >> 32][(uint32_t)seed.integer], 1);
    atomic_fetch_add(&board->noted, 1);
    return true;
}

static void read_lane(const struct shared *shared, struct tracez_lane *lane)
{
    if (tracez_lane_lease(lane) != TRACEZ_OK) {
        return;
    }
    for (int batch = 0; batch < 4; batch++) {
        struct tracez_outcome outcome = {0};
        struct tracez_mark mark;
        outcome.exported = tracez_lane_read(lane, BATCH_SPANS, note, shared->board, &mark);
        tracez_lane_acknowledge(lane, &mark, &outcome);
    }
    tracez_lane_release(lane);
}

static void read_spans(const struct shared *shared, uint32_t writer)
{
    struct tracez_tracer *tracer = attach(shared, writer);
    struct tracez_collector *collector = tracez_tracer_collector(tracer, 0);
    struct tracez_collector_stats stats;
    bool is_over;

    tracez_tracer_take_over(tracer, writer); /* it may have been that of one who was killed */
    do {
        is_over = atomic_load(&shared->board->is_over);
        for (uint32_t lane = 0; lane < shared->config.lanes; lane++) {
            read_lane(shared, tracez_collector_lane(collector, lane));
        }
        sched_yield();
        tracez_collector_stats_init(&stats);
        tracez_collector_stats(collector, &stats);
    } while (!is_over || stats.queued + stats.inflight > 0);
}

/* ---- The parent ------------------------------------------------------------------------------ */

/* Returns when this many spans more were noted, or all are written: whatever comes first. */
static void await_progress(const struct board *board, uint64_t spans)
{
    uint64_t until = atomic_load(&board->noted) + spans;

    while (atomic_load(&board->noted) < until && atomic_load(&board->writing) > 0) {
        sched_yield();
    }
}

static unsigned kill_readers(const struct shared *shared, pid_t readers[READERS])
{
    uint64_t random = 7;
    unsigned kills = 0;

    do {
        uint32_t victim = kills % READERS;
        int status;

        await_progress(shared->board, next_random(&random) % 1000);
        ck_assert_int_eq(kill(readers[victim], SIGKILL), 0);
        ck_assert_int_eq(waitpid(readers[victim], &status, 0), readers[victim]);
        ck_assert(WIFSIGNALED(status));
        readers[victim] = start(read_spans, shared, WRITERS + victim);
        kills++;
    } while (kills < KILLS && atomic_load(&shared->board->writing) > 0);
    return kills;
}

static void await_end(pid_t child)
{
    int status;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child ended with %x", status);
}

static void assert_conserved(const struct shared *shared, unsigned kills)
{
    struct tracez_tracer *tracer = attach(shared, WRITERS + READERS);
    struct tracez_stats stats = books(tracer);
    uint64_t delivered = 0;

    for (size_t i = 0; i < WRITERS; i++) {
        for (size_t j = 0; j < SPANS_EACH; j++) {
            delivered += atomic_load(&shared->board->seen[i][j]) > 0;
        }
    }
    uint64_t again = atomic_load(&shared->board->noted) - delivered;
    ck_assert_uint_eq(atomic_load(&shared->board->torn), 0);
    ck_assert_uint_eq(stats.recorded, WRITERS * SPANS_EACH);
    ck_assert_uint_eq(stats.exported, delivered);
    ck_assert_uint_eq(stats.dropped[TRACEZ_DROP_QUEUE_FULL], stats.recorded - delivered);
    ck_assert_uint_eq(stats.live + stats.queued + stats.inflight, 0);
    ck_assert_uint_le(again, kills * BATCH_SPANS);
    struct tracez_collector_stats of_collector = collector_books(first_collector(tracer));
    ck_assert_uint_eq(of_collector.exported, stats.exported);
    ck_assert_mem_eq(of_collector.dropped, stats.dropped, sizeof(stats.dropped));
    tracez_tracer_destroy(tracer);
}

static const struct {
    uint32_t shards;
    uint32_t lanes;
} shapes[] = {{1, 1}, {2, 1}, {WRITERS, 1}, {2, 2}, {WRITERS, 2}, {WRITERS, 3}};

START_TEST(processes_that_share_a_buffer_lose_nothing_though_readers_are_killed)
{
    struct shared shared = create_shared(shapes[_i].shards, shapes[_i].lanes);
    pid_t writers[WRITERS];
    pid_t readers[READERS];

    atomic_store(&shared.board->writing, WRITERS);
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = start(read_spans, &shared, WRITERS + i);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = start(write_spans, &shared, i);
    }
    unsigned kills = kill_readers(&shared, readers);
    for (uint32_t i = 0; i < WRITERS; i++) {
        await_end(writers[i]);
    }
    atomic_store(&shared.board->is_over, true);
    for (uint32_t i = 0; i < READERS; i++) {
        await_end(readers[i]);
    }

    assert_conserved(&shared, kills);
    unmap(&shared);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("processes under stress");
    TCase *processes = case_of(suite, "processes");

    tcase_add_loop_test(processes,
                        processes_that_share_a_buffer_lose_nothing_though_readers_are_killed, 0,
                        sizeof(shapes) / sizeof(shapes[0]));
    return run_suite(suite);
}
