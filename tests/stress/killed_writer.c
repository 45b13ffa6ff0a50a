/* SPDX-License-Identifier: MIT
 *
 * Goal: a writer that is killed after any instruction of a span's life leaves books that balance,
 * and nothing locked.
 * Method: a child over shared memory is stepped by ptrace, one instruction at a time, through
 * start, tags and finish: of a span that is exported, that a rule keeps or does not keep at its
 * end, and that is over the limit at its start. Whatever it would leave behind, were it killed
 * here, is the shared memory as it is now: after each instruction a copy of that is taken over like
 * a dead process's, and the books of the copy are checked. With KILL in the environment the child
 * is really killed, after each instruction in turn, which takes a minute. */
#include "spans.h"

#include <tracez/sampler.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARDS 2
#define STEPS_MAX 200000 /* a sanitizer's instructions included */
#define SPANS_BEFORE 3

struct memory {
    struct tracez_collector_config collector;
    struct tracez_config config;
};

static void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

/* The kernel's own begins a reading anew when a tick comes in between: stepped through, it would
 * never come to an end. */
static uint64_t count_up(void *state)
{
    static uint64_t now_ns = 1000000000;

    (void)state;
    return now_ns += 1000;
}

static void create_memory(struct memory *memory)
{
    struct tracez_config *config = &memory->config;

    memory->collector =
        (struct tracez_collector_config){.name = "shared", .spans_max = 256, .writers = SHARDS};
    tracez_config_init(config);
    config->collectors = &memory->collector;
    config->collector_count = 1;
    config->live_spans_max = 4;
    config->clock = (struct tracez_clock){.monotonic_ns = count_up, .unix_ns = count_up};
    config->is_single_threaded = true;
    config->buffer_bytes = tracez_buffer_bytes(config, NULL);
    config->ledger_bytes = tracez_ledger_bytes();
    config->buffer_memory = map_shared(config->buffer_bytes);
    config->ledger_memory = map_shared(config->ledger_bytes);
}

static void format(const struct memory *memory)
{
    const struct tracez_config *config = &memory->config;

    memset(config->buffer_memory, 0, config->buffer_bytes);
    memset(config->ledger_memory, 0, config->ledger_bytes);
    ck_assert_int_eq(
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, NULL, NULL),
        TRACEZ_OK);
    ck_assert_int_eq(tracez_ledger_format(config->ledger_memory, config->ledger_bytes, NULL, NULL),
                     TRACEZ_OK);
}

static void copy(const struct memory *to, const struct memory *from)
{
    memcpy(to->config.buffer_memory, from->config.buffer_memory, from->config.buffer_bytes);
    memcpy(to->config.ledger_memory, from->config.ledger_memory, from->config.ledger_bytes);
}

static void destroy_memory(const struct memory *memory)
{
    munmap(memory->config.buffer_memory, memory->config.buffer_bytes);
    munmap(memory->config.ledger_memory, memory->config.ledger_bytes);
}

/* ---- The writer ------------------------------------------------------------------------------ */

static void live_with(struct tracez_tracer *tracer, const struct tracez_sampler *sampler,
                      enum tracez_status status)
{
    const struct tracez_span_options options = {
        .kind = TRACEZ_KIND_SERVER, .name = {"GET", 3}, .sampler = sampler};
    struct tracez_span span = tracez_span_start_with(tracer, &options, NULL);

    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/a/path");
    tracez_span_set_int(span, TRACEZ_KEY(HTTP_RESPONSE_STATUS_CODE), 200);
    tracez_span_set_status(span, status, NULL);
    tracez_span_finish(span);
}

static void live(struct tracez_tracer *tracer)
{
    live_with(tracer, NULL, TRACEZ_STATUS_UNSET);
}

static void live_until_decided(struct tracez_tracer *tracer, enum tracez_status status)
{
    static const struct tracez_keep keep = {.errors = true};
    struct tracez_sampler sampler;

    if (tracez_sampler_keep(&keep, &sampler, NULL) == TRACEZ_OK) {
        live_with(tracer, &sampler, status);
    }
}

static void live_and_be_kept(struct tracez_tracer *tracer)
{
    live_until_decided(tracer, TRACEZ_STATUS_ERROR);
}

static void live_and_not_be_kept(struct tracez_tracer *tracer)
{
    live_until_decided(tracer, TRACEZ_STATUS_OK);
}

/* What the span that is stepped through goes through, and what it is counted as when it is over. */
static const struct life {
    void (*live)(struct tracez_tracer *tracer);
    uint32_t max_spans_per_second; /* with those before, it is one too many */
    uint64_t exported, not_kept, over_rate;
} lives[] = {
    {live, 0, 1, 0, 0},
    {live_and_be_kept, 0, 1, 0, 0},
    {live_and_not_be_kept, 0, 0, 1, 0},
    {live, 1, 0, 0, 1},
};

#if defined(__SANITIZE_THREAD__)
#define LIVES 1 /* of its instructions twenty to one are the sanitizer's: a minute each */
#else
#define LIVES ((int)(sizeof(lives) / sizeof(lives[0])))
#endif

/* Stops before and after the span that is stepped through. */
static pid_t start_writer(const struct memory *memory, const struct life *life)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child > 0) {
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSTOPPED(status));
        return child;
    }
    struct tracez_tracer *tracer;
    struct tracez_config config = memory->config;
    config.max_spans_per_second = life->max_spans_per_second;
    config.spans_burst = SPANS_BEFORE;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 ||
        tracez_tracer_create(&config, &tracer, NULL) != TRACEZ_OK) {
        _exit(1);
    }
    for (int i = 0; i < SPANS_BEFORE; i++) {
        live(tracer);
    }
    kill(getpid(), SIGSTOP);
    life->live(tracer);
    kill(getpid(), SIGSTOP);
    _exit(0);
}

/* One instruction. False: the writer has come to its second stop. */
static bool step(pid_t child)
{
    int status;

    ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSTOPPED(status));
    return WSTOPSIG(status) != SIGSTOP;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* ---- Its successor --------------------------------------------------------------------------- */

static void count(const struct tracez_record *record, void *state)
{
    (void)record;
    ++*(size_t *)state;
}

/* Takes over what the writer left, adds a span of its own, and drains everything. */
static struct tracez_stats check_books(const struct memory *memory, size_t steps)
{
    struct tracez_tracer *tracer = tracer_create(&memory->config);
    struct tracez_stats stats = {.struct_bytes = sizeof(stats)};
    size_t drained = 0;

    tracez_tracer_take_over(tracer, memory->config.writer);
    live(tracer);
    while (tracez_collector_drain(first_collector(tracer), 100, count, &drained) > 0) {
    }
    tracez_tracer_stats(tracer, &stats);
    uint64_t lost = stats.dropped[TRACEZ_DROP_WORKER_LOST];
    uint64_t over_rate = stats.dropped[TRACEZ_DROP_RATE];
    ck_assert_msg(stats.live == 0 && stats.queued == 0 && stats.exported == drained &&
                      stats.recorded == stats.exported + stats.not_kept + over_rate + lost &&
                      stats.finished == stats.exported + stats.not_kept && lost <= 1 &&
                      stats.exported >= SPANS_BEFORE + 1,
                  "after %zu instructions: recorded %llu, exported %llu, drained %zu, not kept "
                  "%llu, over the rate %llu, lost %llu, finished %llu, live %llu, queued %llu",
                  steps, (unsigned long long)stats.recorded, (unsigned long long)stats.exported,
                  drained, (unsigned long long)stats.not_kept, (unsigned long long)over_rate,
                  (unsigned long long)lost, (unsigned long long)stats.finished,
                  (unsigned long long)stats.live, (unsigned long long)stats.queued);
    tracez_tracer_destroy(tracer);
    return stats;
}

static void check_end(const struct life *life, const struct tracez_stats *stats)
{
    ck_assert_uint_eq(stats->exported, SPANS_BEFORE + 1 + life->exported);
    ck_assert_uint_eq(stats->not_kept, life->not_kept);
    ck_assert_uint_eq(stats->dropped[TRACEZ_DROP_RATE], life->over_rate);
    ck_assert_uint_eq(stats->dropped[TRACEZ_DROP_WORKER_LOST], 0);
}

START_TEST(books_balance_wherever_a_writer_stops)
{
    struct memory memory;
    struct memory left_behind;
    size_t steps = 0;
    create_memory(&memory);
    create_memory(&left_behind);
    format(&memory);
    pid_t child = start_writer(&memory, &lives[_i]);

    do {
        steps++;
        copy(&left_behind, &memory);
        (void)check_books(&left_behind, steps);
    } while (step(child) && steps < STEPS_MAX);

    copy(&left_behind, &memory);
    struct tracez_stats stats = check_books(&left_behind, steps);
    check_end(&lives[_i], &stats);
    ck_assert_uint_gt(steps, 300);
    ck_assert_uint_lt(steps, STEPS_MAX);
    end(child);
    printf("%zu instructions\n", steps);
    destroy_memory(&memory);
    destroy_memory(&left_behind);
}
END_TEST

START_TEST(books_balance_when_a_writer_is_killed_after_each_instruction)
{
    struct memory memory;
    bool is_through = false;
    size_t kill_after = 0;
    create_memory(&memory);

    for (; !is_through; kill_after++) {
        format(&memory);
        pid_t child = start_writer(&memory, &lives[_i]);
        for (size_t steps = 0; steps < kill_after && !is_through; steps++) {
            is_through = !step(child);
        }
        end(child);
        struct tracez_stats stats = check_books(&memory, kill_after);
        if (is_through) {
            check_end(&lives[_i], &stats);
        }
    }
    printf("figure: %zu instructions, a kill after each\n", kill_after);
    destroy_memory(&memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("killed_writer");
    TCase *steps = case_of(suite, "steps");

    if (getenv("KILL") != NULL) {
        tcase_add_loop_test(steps, books_balance_when_a_writer_is_killed_after_each_instruction, 0,
                            LIVES);
    } else {
        tcase_add_loop_test(steps, books_balance_wherever_a_writer_stops, 0, LIVES);
    }
    return run_suite(suite);
}
