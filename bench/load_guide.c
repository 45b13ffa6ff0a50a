/* SPDX-License-Identifier: MIT
 *
 * The load of the production guide: a hundred threads make a thousand spans each, with two tags,
 * into a collector of 50,000, while the exporter sends them to a sink in another process. How many
 * spans a second is that, and how many are dropped? The guide's tracer had to do more than 100,000
 * a second and drop less than a tenth.
 *
 * The same load at several rates, each a number of times: paced, where the threads together keep to
 * a rate, and at full speed, where they make spans as fast as the processors let them: then a
 * collector of half the spans is full before anybody could have sent them.
 *
 * It asserts nothing, but says so when what arrived and what was dropped are not all. */
#include "rounds.h"
#include "sink.h"

#include <tracez/exporter.h>

#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define THREADS 100
#define SPANS_EACH 1000
#define SPANS (THREADS * SPANS_EACH)
#define SPANS_MAX 50000
#define SPANS_A_PORTION 10
#define ROUNDS 10
#define NS_PER_S 1000000000

struct pace {
    const char *name;
    uint64_t spans_per_second; /* 0: no pace */
};

static const struct pace paces[] = {
    {"paced_200k", 200000},
    {"paced_500k", 500000},
    {"paced_1m", 1000000},
    {"full_speed", 0},
};

struct load {
    struct tracez_tracer *tracer;
    const struct pace *pace;
    pthread_barrier_t begin;
    uint64_t begin_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- The load -------------------------------------------------------------------------------- */

/* Until a thread that keeps to the pace may make its span number i. */
static void wait_for_turn(const struct load *load, uint64_t i)
{
    if (load->pace->spans_per_second == 0 || i % SPANS_A_PORTION != 0) {
        return;
    }
    uint64_t turn_ns = load->begin_ns + i * THREADS * NS_PER_S / load->pace->spans_per_second;
    const struct timespec turn = {(time_t)(turn_ns / NS_PER_S), (long)(turn_ns % NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &turn, NULL);
}

static void *work(void *state)
{
    struct load *load = state;

    pthread_barrier_wait(&load->begin);
    for (uint64_t i = 0; i < SPANS_EACH; i++) {
        wait_for_turn(load, i);
        struct tracez_span span =
            tracez_span_start(load->tracer, TRACEZ_KIND_INTERNAL, "load", NULL, NULL);
        tracez_span_set_string(span, "operation", "load");
        tracez_span_set_int(span, "iteration", (int64_t)i);
        tracez_span_finish(span);
    }
    return NULL;
}

/* All threads once; returns the spans a second. */
static double run(struct load *load)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, load) != 0) {
            errx(1, "no thread to be had");
        }
    }
    load->begin_ns = now_ns();
    pthread_barrier_wait(&load->begin);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    return (double)SPANS * NS_PER_S / (double)(now_ns() - load->begin_ns);
}

/* ---- What becomes of it ---------------------------------------------------------------------- */

static struct tracez_stats stats_of(const struct tracez_tracer *tracer)
{
    struct tracez_stats stats;

    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    return stats;
}

static uint64_t dropped_of(const struct tracez_stats *stats)
{
    uint64_t dropped = 0;

    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        dropped += stats->dropped[reason];
    }
    return dropped;
}

static void wait_until_sent(const struct tracez_tracer *tracer, struct tracez_exporter *exporter)
{
    for (;;) {
        struct tracez_stats stats = stats_of(tracer);
        if (stats.queued + stats.inflight == 0) {
            return;
        }
        tracez_exporter_flush(exporter);
        sched_yield();
    }
}

static void measure(struct load *load, struct tracez_exporter *exporter)
{
    static struct rounds spans_per_second;
    static struct rounds dropped_percent;

    spans_per_second.count = 0;
    dropped_percent.count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct tracez_stats before = stats_of(load->tracer);
        rounds_add(&spans_per_second, run(load));
        wait_until_sent(load->tracer, exporter);
        struct tracez_stats after = stats_of(load->tracer);
        rounds_add(&dropped_percent,
                   100.0 * (double)(dropped_of(&after) - dropped_of(&before)) / SPANS);
    }
    printf("%s.median %.0f spans/s\n", load->pace->name, rounds_median(&spans_per_second));
    printf("%s.dropped %.2f %%\n", load->pace->name, rounds_median(&dropped_percent));
}

static struct tracez_tracer *create_tracer(void)
{
    struct tracez_config config;
    struct tracez_error error;
    struct tracez_tracer *tracer;

    tracez_config_init(&config);
    config.spans_max = SPANS_MAX;
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    return tracer;
}

static struct tracez_exporter *start_exporter(const struct sink *sink, struct tracez_tracer *tracer)
{
    struct tracez_exporter_config config;
    struct tracez_error error;
    struct tracez_exporter *exporter;

    tracez_exporter_config_init(&config);
    config.endpoint = sink_url(sink);
    if (tracez_exporter_create(&config, tracer, &exporter, &error) != TRACEZ_OK ||
        tracez_exporter_start(exporter, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    return exporter;
}

int main(void)
{
    struct sink *sink = sink_start();
    struct load load = {.tracer = create_tracer()};
    struct tracez_exporter *exporter = start_exporter(sink, load.tracer);

    pthread_barrier_init(&load.begin, NULL, THREADS + 1);
    for (size_t i = 0; i < sizeof(paces) / sizeof(paces[0]); i++) {
        load.pace = &paces[i];
        measure(&load, exporter);
    }
    tracez_exporter_destroy(exporter);
    struct tracez_stats stats = stats_of(load.tracer);
    if (sink_spans(sink) != stats.exported ||
        stats.exported + dropped_of(&stats) != stats.recorded) {
        printf("# %ju spans recorded, %ju arrived, %ju dropped\n", (uintmax_t)stats.recorded,
               (uintmax_t)sink_spans(sink), (uintmax_t)dropped_of(&stats));
    }
    pthread_barrier_destroy(&load.begin);
    tracez_tracer_destroy(load.tracer);
    sink_stop(sink);
    return 0;
}
