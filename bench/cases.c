/* SPDX-License-Identifier: MIT
 *
 * The loops that are measured. A span has a name and three short tags: a well-known key with text,
 * one with a number, and a key that tracez does not know. */
#include "cases.h"

#include "ids.h"

#include <err.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define FLOOR_RING_RECORDS 16384

/* ---- Spans ----------------------------------------------------------------------------------- */

static const struct tracez_context sampled_parent = {
    .trace_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .span_id = {1, 2, 3, 4, 5, 6, 7, 8},
    .flags = TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM,
    .is_remote = true,
};
static const struct tracez_context unsampled_parent = {
    .trace_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .span_id = {1, 2, 3, 4, 5, 6, 7, 8},
    .flags = TRACEZ_FLAG_RANDOM,
    .is_remote = true,
};

static inline void make_span(struct tracez_tracer *tracer, const struct tracez_context *parent)
{
    struct tracez_context own;
    struct tracez_span span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /users/{id}", parent, &own);

    tracez_span_set_string(span, TRACEZ_KEY(HTTP_REQUEST_METHOD), "GET");
    tracez_span_set_int(span, TRACEZ_KEY(HTTP_RESPONSE_STATUS_CODE), 200);
    tracez_span_set_string(span, "tenant", "acme-42");
    tracez_span_finish(span);
}

static void run_root(struct tracez_tracer *tracer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        make_span(tracer, NULL);
    }
}

static void run_child(struct tracez_tracer *tracer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        make_span(tracer, &sampled_parent);
    }
}

static inline void make_nothing(struct tracez_tracer *tracer, const struct tracez_context *parent)
{
    struct tracez_context own;

    tracez_span_finish(
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /users/{id}", parent, &own));
}

static void run_not_recorded_root(struct tracez_tracer *tracer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        make_nothing(tracer, NULL);
    }
}

static void run_not_recorded_child(struct tracez_tracer *tracer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        make_nothing(tracer, &unsampled_parent);
    }
}

/* ---- What nobody can do without -------------------------------------------------------------- */

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void run_clock_read(struct tracez_tracer *tracer, uint32_t count)
{
    (void)tracer;
    for (uint32_t i = 0; i < count; i++) {
        bench_now_ns();
    }
}

static void run_ids(struct tracez_tracer *tracer, uint32_t count)
{
    uint8_t trace_id[TRACEZ_TRACE_ID_BYTES];
    uint8_t span_id[TRACEZ_SPAN_ID_BYTES];

    (void)tracer;
    for (uint32_t i = 0; i < count; i++) {
        ids_make(trace_id, span_id);
    }
}

/* As many bytes as the span above has as a record. */
struct floor_record {
    uint64_t start_ns;
    uint64_t end_ns;
    uint8_t trace_id[TRACEZ_TRACE_ID_BYTES];
    uint8_t span_id[TRACEZ_SPAN_ID_BYTES];
    unsigned char rest[96];
};

static void run_floor(struct tracez_tracer *tracer, uint32_t count)
{
    static struct floor_record ring[FLOOR_RING_RECORDS];
    static struct floor_record record;
    static _Atomic uint64_t published;

    (void)tracer;
    for (uint32_t i = 0; i < count; i++) {
        /* Relaxed: only this thread writes it. */
        uint64_t at = atomic_load_explicit(&published, memory_order_relaxed);
        record.start_ns = bench_now_ns();
        ids_make(record.trace_id, record.span_id);
        record.end_ns = bench_now_ns();
        memcpy(&ring[at % FLOOR_RING_RECORDS], &record, sizeof(record));
        __asm__ volatile("" : : "r"(ring) : "memory"); /* somebody might read it */
        /* Release: as a reader would need it. */
        atomic_store_explicit(&published, at + 1, memory_order_release);
    }
}

const struct bench_case bench_cases[] = {
    {"clock_read", run_clock_read, CASE_TRACER_NONE},
    {"ids", run_ids, CASE_TRACER_NONE},
    {"floor", run_floor, CASE_TRACER_NONE},
    {"span_3_tags", run_root, CASE_TRACER_OWN},
    {"child_3_tags", run_child, CASE_TRACER_OWN},
    {"span_3_tags_shared", run_root, CASE_TRACER_SHARED},
    {"not_recorded_child", run_not_recorded_child, CASE_TRACER_OWN},
    {"not_recorded_root", run_not_recorded_root, CASE_TRACER_QUIET},
};
const size_t bench_case_count = sizeof(bench_cases) / sizeof(bench_cases[0]);

const struct bench_case *bench_case_find(const char *name)
{
    for (size_t i = 0; i < bench_case_count; i++) {
        if (strcmp(bench_cases[i].name, name) == 0) {
            return &bench_cases[i];
        }
    }
    return NULL;
}

/* ---- Tracers --------------------------------------------------------------------------------- */

static void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        err(1, "mmap of %zu bytes", bytes);
    }
    return memory;
}

static enum tracez_result share_memory(struct tracez_config *config, struct tracez_error *error)
{
    config->buffer_bytes = tracez_buffer_bytes(config, error);
    config->buffer_memory = share(config->buffer_bytes);
    config->ledger_bytes = tracez_ledger_bytes();
    config->ledger_memory = share(config->ledger_bytes);
    enum tracez_result result =
        tracez_buffer_format(config, config->buffer_memory, config->buffer_bytes, NULL, error);
    if (result == TRACEZ_OK) {
        result = tracez_ledger_format(config->ledger_memory, config->ledger_bytes, NULL, error);
    }
    return result;
}

struct tracez_tracer *bench_tracer_create(enum case_tracer which)
{
    enum tracez_result result = TRACEZ_OK;
    struct tracez_tracer *tracer = NULL;
    struct tracez_config config;
    struct tracez_error error;

    tracez_config_init(&config);
    if (which == CASE_TRACER_QUIET) {
        config.sampler = tracez_sampler_never();
    }
    if (which == CASE_TRACER_SHARED) {
        result = share_memory(&config, &error);
    }
    if (result == TRACEZ_OK) {
        result = tracez_tracer_create(&config, &tracer, &error);
    }
    if (result != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    return tracer;
}
