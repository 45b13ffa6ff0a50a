/* SPDX-License-Identifier: MIT
 *
 * What does a span cost the thread that makes it? A span with three short tags is started, tagged
 * and finished into a collector that another thread empties in batches, as the exporter does: by
 * one thread and by two at once, as a root and as a child, in memory of the process's own and in
 * shared memory; and spans that nobody records. Beside them, in the same rounds: a clock read, ids,
 * and the floor, which is two clock reads, ids, and the record's bytes copied to where a reader
 * finds them.
 *
 *   span_start_finish [--rounds N]
 *
 * Prints "name value unit" lines: median and lowest hundredth of many short rounds in which all
 * cases take turns, in processor time of the thread that makes the spans (for two threads also in
 * time that passes, which the emptying thread shares where there are two processors); then
 * allocations, bytes, and instructions, for which the program runs itself under valgrind (left out
 * where there is none; a clock read is a system call there and counts a few). It asserts nothing,
 * but says so when a span was dropped, as such figures do not count. */
#include "allocations.h"
#include "cases.h"
#include "drain.h"
#include "instructions.h"
#include "rounds.h"

#include <err.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_DEFAULT 2000
#define ROUNDS_WARM_UP 20
#define ROUND_SPANS 2048 /* with what the drain leaves, less than a shard of the default size */
#define CASES_MAX 16

static struct tracez_tracer *tracers[CASE_TRACERS];
static struct drain drains[CASE_TRACERS];

static void print_line(const char *name, const char *what, double value, const char *unit)
{
    printf("%s%s%s %.*f %s\n", name, what[0] == '\0' ? "" : ".", what, value < 100.0 ? 2 : 1, value,
           unit);
}

/* A writer stays where it is: what is measured is the code, not the scheduler. */
static void pin_to_processor(unsigned processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof(set), &set); /* without it figures are only less steady */
}

/* ns of this thread's own processor time a span: others may run in between. */
static double run_round(const struct bench_case *what)
{
    uint64_t start_ns = bench_cpu_ns();

    what->run(tracers[what->tracer], ROUND_SPANS);
    return (double)(bench_cpu_ns() - start_ns) / ROUND_SPANS;
}

/* ---- The second thread ----------------------------------------------------------------------- */

struct second {
    pthread_t thread;
    sem_t go;
    sem_t done;
    const struct bench_case *what; /* NULL: end */
    atomic_bool is_ready;
    atomic_bool may_run;
    uint64_t end_ns;
    double cpu_ns; /* a span */
};

static void *run_second(void *state)
{
    struct second *second = state;

    pin_to_processor(1);
    for (;;) {
        sem_wait(&second->go);
        if (second->what == NULL) {
            return NULL;
        }
        atomic_store_explicit(&second->is_ready, true, memory_order_release);
        while (!atomic_load_explicit(&second->may_run, memory_order_acquire)) {
        }
        second->cpu_ns = run_round(second->what);
        second->end_ns = bench_now_ns();
        sem_post(&second->done);
    }
}

static void start_second(struct second *second)
{
    sem_init(&second->go, 0, 0);
    sem_init(&second->done, 0, 0);
    if (pthread_create(&second->thread, NULL, run_second, second) != 0) {
        errx(1, "no thread to be had");
    }
}

static void stop_second(struct second *second)
{
    second->what = NULL;
    sem_post(&second->go);
    pthread_join(second->thread, NULL);
    sem_destroy(&second->go);
    sem_destroy(&second->done);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

struct two_threads {
    struct rounds cpu;     /* ns of a thread's own time for a span that it makes */
    struct rounds elapsed; /* ns that pass for a span of either */
};

static void run_both(const struct bench_case *what, struct second *second,
                     struct two_threads *figures)
{
    second->what = what;
    atomic_store_explicit(&second->is_ready, false, memory_order_relaxed);
    atomic_store_explicit(&second->may_run, false, memory_order_relaxed);
    sem_post(&second->go);
    while (!atomic_load_explicit(&second->is_ready, memory_order_acquire)) {
    }
    uint64_t start_ns = bench_now_ns();
    atomic_store_explicit(&second->may_run, true, memory_order_release);
    double cpu_ns = run_round(what);
    uint64_t end_ns = bench_now_ns();
    sem_wait(&second->done);
    end_ns = end_ns > second->end_ns ? end_ns : second->end_ns;
    rounds_add(&figures->cpu, (cpu_ns + second->cpu_ns) / 2.0);
    rounds_add(&figures->elapsed, (double)(end_ns - start_ns) / (2.0 * ROUND_SPANS));
}

/* So that the next round drops nothing. */
static void make_room(const struct bench_case *what)
{
    if (what->tracer != CASE_TRACER_NONE) {
        drain_wait(&drains[what->tracer]);
    }
}

static void print_times(const char *name, struct rounds *rounds)
{
    print_line(name, "median", rounds_median(rounds), "ns");
    print_line(name, "low", rounds_low(rounds), "ns");
}

static void measure_times(size_t round_count)
{
    static struct rounds alone[CASES_MAX];
    static struct two_threads both;
    const struct bench_case *root = bench_case_find("span_3_tags");
    struct rounds *root_alone = &alone[root - bench_cases];
    struct second second = {0};
    uint64_t allocations = 0;

    start_second(&second);
    for (size_t round = 0; round < ROUNDS_WARM_UP + round_count; round++) {
        if (round == ROUNDS_WARM_UP) {
            memset(alone, 0, sizeof(alone));
            memset(&both, 0, sizeof(both));
            allocations = allocations_count();
        }
        for (size_t i = 0; i < bench_case_count; i++) {
            rounds_add(&alone[i], run_round(&bench_cases[i]));
            make_room(&bench_cases[i]);
        }
        run_both(root, &second, &both);
        make_room(root);
    }
    allocations = allocations_count() - allocations;
    stop_second(&second);
    for (size_t i = 0; i < bench_case_count; i++) {
        print_times(bench_cases[i].name, &alone[i]);
    }
    print_times("span_3_tags_2_threads", &both.cpu);
    print_line("span_3_tags_2_threads", "speedup",
               2.0 * rounds_median(root_alone) / rounds_median(&both.cpu), "x");
    print_times("span_3_tags_2_threads_elapsed", &both.elapsed);
    print_line("all_rounds", "", (double)allocations, "allocations");
}

/* ---- Bytes, drops, instructions -------------------------------------------------------------- */

static void print_bytes(const struct drain *drain)
{
    print_line("span_3_tags", "bytes", (double)drain->record_bytes / (double)drain->record_steps,
               "bytes");
}

static void print_drops(void)
{
    struct tracez_stats stats;
    uint64_t dropped = 0;

    for (int which = 0; which < CASE_TRACERS; which++) {
        if (tracers[which] == NULL) {
            continue;
        }
        tracez_stats_init(&stats);
        tracez_tracer_stats(tracers[which], &stats);
        for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
            dropped += stats.dropped[reason];
        }
    }
    print_line("dropped", "", (double)dropped, "spans");
    if (dropped > 0) {
        warnx("spans were dropped: these figures do not count");
    }
}

/* Under valgrind, which counts what happens in here. */
static void counted_run(const struct bench_case *what, uint32_t count)
{
    what->run(tracers[what->tracer], count);
}

/* Volatile: valgrind finds counted_run by its name, so it is neither inlined nor cloned. */
static void (*const volatile run_under_valgrind)(const struct bench_case *, uint32_t) = counted_run;

/* Runs a case for valgrind, emptying the collector between the parts that count. */
static void run_counted(const struct bench_case *what, uint32_t count)
{
    struct drain *drain = &drains[what->tracer];

    if (what->tracer == CASE_TRACER_NONE) {
        run_under_valgrind(what, count);
        return;
    }
    tracers[what->tracer] = bench_tracer_create(what->tracer);
    drain->collector = tracez_tracer_collector(tracers[what->tracer], 0);
    if (tracez_lane_lease(tracez_collector_lane(drain->collector, 0)) != TRACEZ_OK) {
        errx(1, "somebody else reads the collector");
    }
    for (uint32_t done = 0; done < count; done += ROUND_SPANS) {
        run_under_valgrind(what, count - done < ROUND_SPANS ? count - done : ROUND_SPANS);
        while (drain_batch(drain) > 0) {
        }
    }
    tracez_lane_release(tracez_collector_lane(drain->collector, 0));
}

static void measure_instructions(void)
{
    for (size_t i = 0; i < bench_case_count; i++) {
        double instructions = instructions_of(bench_cases[i].name, "counted_run");
        if (instructions < 0.0) {
            warnx("no instruction counts: valgrind is missing or failed");
            return;
        }
        print_line(bench_cases[i].name, "instructions", instructions, "instructions");
    }
}

/* ---- The program ----------------------------------------------------------------------------- */

static void create_tracers(void)
{
    for (int which = CASE_TRACER_OWN; which < CASE_TRACERS; which++) {
        tracers[which] = bench_tracer_create((enum case_tracer)which);
        drain_start(&drains[which], tracez_tracer_collector(tracers[which], 0));
    }
}

static void measure(size_t round_count)
{
    create_tracers();
    pin_to_processor(0); /* after their drains, which run where there is room */
    measure_times(round_count);
    for (int which = CASE_TRACER_OWN; which < CASE_TRACERS; which++) {
        drain_stop(&drains[which]);
    }
    print_bytes(&drains[CASE_TRACER_OWN]);
    print_drops();
    fflush(stdout);
    measure_instructions();
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--count") == 0 && bench_case_find(argv[2]) != NULL) {
        run_counted(bench_case_find(argv[2]), (uint32_t)strtoul(argv[3], NULL, 10));
        return 0;
    }
    size_t round_count = ROUNDS_DEFAULT;
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0) {
        round_count = strtoul(argv[2], NULL, 10);
    }
    if (argc == 2 || argc > 3 || round_count < 1 || round_count > ROUNDS_MAX - ROUNDS_WARM_UP) {
        fprintf(stderr, "usage: span_start_finish [--rounds 1..%d]\n", ROUNDS_MAX - ROUNDS_WARM_UP);
        return 2;
    }
    measure(round_count);
    return 0;
}
