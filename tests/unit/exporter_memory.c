/* SPDX-License-Identifier: MIT
 *
 * Goal: whichever allocation fails, ours, libcurl's or jansson's: set-up says so and keeps nothing,
 * no span is lost or refused for it, nothing leaks, and when memory is back everything is sent.
 * Method: all three allocate through here. On a watched thread blocks are counted and the n-th
 * allocation fails, for every n; a drought fails allocations of the exporter's thread while it
 * runs. */
#include "exporting.h"
#include "transport.h"
#include "window.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- The allocator ------------------------------------------------------------------------- */

/* What this thread's allocations are for. */
static _Thread_local struct {
    bool is_watched;
    int calls;      /* since watching began */
    int failing_at; /* the call that fails, from 0 */
    int held;       /* blocks that were not given back */
} watch;

/* In the exporter's thread, one of so many allocations fails, by chance; 0: none. */
static atomic_uint drought;

/* In the exporter's thread, the allocation after so many others fails; below 0: none. */
static atomic_int thread_failing_in = -1;

static void watch_begin(int failing_at)
{
    watch.is_watched = true;
    watch.calls = 0;
    watch.failing_at = failing_at;
    watch.held = 0;
}

/* False: the allocation that was to fail was never asked for, so every one has been tried. */
static bool watch_end(void)
{
    watch.is_watched = false;
    ck_assert_int_eq(watch.held, 0);
    return watch.calls > watch.failing_at;
}

static bool is_exporter_thread(void)
{
    char name[16] = "";

    pthread_getname_np(pthread_self(), name, sizeof(name));
    return strcmp(name, "tracez") == 0;
}

static bool fails(void)
{
    static atomic_uint calls;
    unsigned one_of = atomic_load(&drought);

    if (watch.is_watched) {
        return watch.calls++ == watch.failing_at;
    }
    if (!is_exporter_thread()) {
        return false;
    }
    if (atomic_load(&thread_failing_in) >= 0 && atomic_fetch_sub(&thread_failing_in, 1) == 0) {
        return true;
    }
    if (one_of == 0) {
        return false;
    }
    unsigned random = atomic_fetch_add(&calls, 1) * 2654435761U; /* Knuth's multiplier */
    return (random >> 16) % one_of == 0;
}

static void *hold(void *memory)
{
    watch.held += watch.is_watched && memory != NULL;
    return memory;
}

/* The linker's names. */
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void __real_free(void *memory);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : hold(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : hold(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    if (fails()) {
        return NULL;
    }
    return memory == NULL ? hold(__real_realloc(NULL, bytes)) : __real_realloc(memory, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : hold(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    watch.held -= watch.is_watched && memory != NULL;
    __real_free(memory);
}

/* libcurl takes an allocator only before it is used for the first time. */
static bool share_allocator(void)
{
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, __wrap_malloc, __wrap_free, __wrap_realloc,
                                __wrap_strdup, __wrap_calloc) == CURLE_OK;
}

/* ---- Set-up -------------------------------------------------------------------------------- */

static struct tracez_exporter_config config_to(const char *endpoint)
{
    static const struct tracez_header headers[] = {{"Authorization", "Bearer x"}, {"X-Empty", ""}};
    struct tracez_exporter_config config;

    tracez_exporter_config_init(&config);
    config.endpoint = endpoint;
    config.headers = headers;
    config.header_count = 2;
    return config;
}

static const struct place {
    const char *endpoint;
    const char *proxy;
    const char *shown;
} places[] = {
    {"http://user:pass@localhost?key=1", NULL, "http://localhost/v1/traces"},
    {"http://localhost", "user:pass@proxy:3128", "http://localhost/v1/traces"},
    {"unix:/run/otel.sock", NULL, "http://unix:/run/otel.sock:/v1/traces"},
};

START_TEST(create_survives_the_failure_of_each_of_its_allocations)
{
    const struct place *place = &places[_i];
    struct tracez_exporter_config config = config_to(place->endpoint);
    struct tracez_tracer *tracer = tracer_create_default();
    bool has_failed = true;
    int refusals = 0;
    config.proxy = place->proxy;

    for (int n = 0; has_failed; n++) {
        struct tracez_exporter *exporter = (struct tracez_exporter *)1;
        struct tracez_exporter_stats stats = {.struct_bytes = sizeof(stats)};
        struct tracez_error error = {0};

        watch_begin(n);
        enum tracez_result result = tracez_exporter_create(&config, tracer, &exporter, &error);
        if (result == TRACEZ_OK) {
            tracez_exporter_stats(exporter, &stats);
            tracez_exporter_destroy(exporter);
        }
        has_failed = watch_end();

        if (result == TRACEZ_OK) { /* it could do without, or there was no failure */
            ck_assert_str_eq(stats.endpoint, place->shown);
            continue;
        }
        ck_assert(has_failed);
        ck_assert_ptr_null(exporter);
        ck_assert_int_eq(error.result, result);
        ck_assert_str_ne(error.text, "");
        refusals++;
    }

    ck_assert_int_gt(refusals, 10);
    spans_pass(tracer, 5000); /* nobody is to be woken */
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(start_survives_the_failure_of_each_of_its_allocations_and_may_be_called_again)
{
    const struct tracez_exporter_config config = config_to("http://127.0.0.1:1");
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_exporter *exporter = exporter_create(&config, tracer);
    enum tracez_result result = TRACEZ_NO_MEMORY;
    int failures = 0;

    for (int n = 0; result == TRACEZ_NO_MEMORY; n++) {
        struct tracez_error error = {0};

        watch_begin(n);
        result = tracez_exporter_start(exporter, &error);
        watch.held = result == TRACEZ_OK ? 0 : watch.held; /* then it is the thread's */
        bool has_failed = watch_end();

        ck_assert_int_eq(result, has_failed ? TRACEZ_NO_MEMORY : TRACEZ_OK);
        failures += has_failed;
    }

    ck_assert_int_gt(failures, 0);
    ck_assert_int_eq(tracez_exporter_stop(exporter, 1000, false), TRACEZ_OK);
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Batches ------------------------------------------------------------------------------- */

static void pass_for(struct tracez_tracer *tracer, uint32_t resource)
{
    const struct tracez_span_options options = {.name = {"name", 4}, .resource = resource};
    struct tracez_span span = tracez_span_start_with(tracer, &options, NULL);

    tracez_span_set_string(span, "key", "value");
    tracez_span_finish(span);
}

static struct tracez_tracer *create_with_resources(void)
{
    const struct tracez_tag version = {
        .key = "service.version", .type = TRACEZ_TAG_STRING, .value.string = {"2", 1}};
    const struct tracez_resource resources[] = {
        {.service_name = "shop", .tags = &version, .tag_count = 1}, {.service_name = "cart"}};
    struct tracez_config config;

    tracez_config_init(&config);
    config.resources = resources;
    config.resource_count = 2;
    return tracer_create(&config);
}

/* Reads and finishes batches until nothing is unread; returns the spans in them. Whatever fails is
 * tried again. */
static uint32_t encode_everything(struct window *window, struct batch_pool *pool,
                                  struct envelopes *envelopes)
{
    uint32_t spans = 0;

    while (tracez_collector_unread(window->collector) > 0) {
        struct batch *batch = window_read(window, pool, envelopes, 100);
        while (batch != NULL && body_finish(&batch->body) == NULL) {
        }
        spans += batch != NULL ? batch->body.spans : 0;
    }
    return spans;
}

START_TEST(no_span_is_lost_or_sent_twice_when_an_allocation_of_a_batch_fails)
{
    const struct format *format = format_of((enum tracez_format)_i);
    struct tracez_tracer *tracer = create_with_resources();
    struct window window = {.collector = first_collector(tracer),
                            .lane = lane_of(first_collector(tracer))};
    bool has_failed = true;
    int n;
    for (uint32_t i = 0; i < 20; i++) {
        pass_for(tracer, i % 2);
    }
    ck_assert_int_eq(tracez_lane_lease(window.lane), TRACEZ_OK);

    for (n = 0; has_failed; n++) {
        struct batch_pool pool = {.count_max = 1, .format = format, .body_bytes_max = 1024 * 1024};
        struct envelopes envelopes = {0};

        watch_begin(n);
        uint32_t spans = encode_everything(&window, &pool, &envelopes);
        window_abandon(&window, &pool);
        batch_pool_trim(&pool, 0);
        envelopes_deinit(&envelopes);
        has_failed = watch_end();

        ck_assert_uint_eq(spans, 20);
    }

    ck_assert_int_gt(n, 10);
    tracez_lane_release(window.lane);
    ck_assert_uint_eq(books(tracer).queued, 20);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Requests ------------------------------------------------------------------------------ */

/* One POST from opening to closing, until it has ended or could not even be begun. No assertions
 * here: Check allocates, too. */
static struct transport_result post_once(struct transport *transport, void *request)
{
    struct transport_result result = {.request = request, .ending = TRANSPORT_UNANSWERED};

    if (transport_open(transport)) {
        if (transport_send(transport, (struct tracez_text){"{}", 2}, request)) {
            while (!transport_next(transport, &result)) {
                transport_wait(transport, NULL, 0, BACKEND_DEADLINE_MS);
            }
        }
        transport_close(transport);
    }
    return result;
}

START_TEST(a_request_that_lacks_memory_is_answered_or_to_be_tried_again_but_never_refused)
{
    struct backend *backend = backend_start(NULL, 0);
    const struct tracez_exporter_config config = config_to(backend_url(backend));
    struct transport transport;
    bool has_failed = true;
    int answered = 0;
    int n;
    ck_assert_int_eq(transport_init(&transport, &config, otlp_format.path, NULL), TRACEZ_OK);

    for (n = 0; has_failed; n++) {
        watch_begin(n);
        struct transport_result result = post_once(&transport, &n);
        has_failed = watch_end();

        ck_assert_ptr_eq(result.request, &n);
        ck_assert_int_ne(result.ending, TRANSPORT_BROKEN);
        if (result.ending == TRANSPORT_ANSWERED) {
            ck_assert_int_eq(result.status, 200);
            answered++;
        }
    }

    ck_assert_int_gt(n, 30);
    ck_assert_int_gt(answered, 0);
    transport_deinit(&transport);
    backend_stop(backend);
}
END_TEST

/* ---- A thread in a drought ----------------------------------------------------------------- */

START_TEST(an_exporter_without_any_memory_says_so_and_sends_all_when_it_has_some)
{
    struct exporting exporting = exporting_init(NULL, 0);
    uint64_t begin_ms = 0;
    exporting_start(&exporting);

    atomic_store(&drought, 1);
    exporting_flush_spans(&exporting, 35);
    while (strcmp(exporter_stats(exporting.exporter).last_error, "no memory for a batch") != 0) {
        poll_again(&begin_ms, "an error");
    }
    atomic_store(&drought, 0);
    wait_settled(exporting.tracer, 35);

    ck_assert_uint_eq(exporting_end(&exporting).accepted, 35);
}
END_TEST

START_TEST(whichever_allocation_of_the_thread_fails_every_span_arrives)
{
    bool has_failed = true;
    int n;

    for (n = 0; has_failed; n++) {
        struct exporting exporting = exporting_begin(STEPS({.headers = "Connection: close\r\n"}));
        exporting_flush_spans(&exporting, 5); /* after which the constant envelopes are there */
        wait_settled(exporting.tracer, 5);

        atomic_store(&thread_failing_in, n);
        exporting_flush_spans(&exporting, 15);
        wait_settled(exporting.tracer, 20);
        struct exporting_end end = exporting_end(&exporting);
        has_failed = atomic_exchange(&thread_failing_in, -1) < 0;

        ck_assert_uint_eq(end.books.exported, 20);
        ck_assert_uint_ge(end.accepted, 20);
    }

    ck_assert_int_gt(n, 50);
}
END_TEST

START_TEST(allocations_that_fail_now_and_then_cost_no_span)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.connections = 1;
    exporting.config.compression = _i % 2 == 0 ? TRACEZ_COMPRESSION_NONE : TRACEZ_COMPRESSION_GZIP;
    exporting_start(&exporting);

    atomic_store(&drought, 60 + 20 * (unsigned)_i);
    exporting_flush_spans(&exporting, 100);
    wait_settled(exporting.tracer, 100);
    atomic_store(&drought, 0);

    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.books.exported, 100);
    ck_assert_uint_ge(end.accepted, 100); /* what was taken but not understood was sent again */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_memory");
    TCase *turns = case_of(suite, "each in turn");
    TCase *thread = case_of(suite, "drought");

    if (!share_allocator()) {
        return EXIT_FAILURE;
    }
    tcase_add_loop_test(turns, create_survives_the_failure_of_each_of_its_allocations, 0,
                        (int)(sizeof(places) / sizeof(places[0])));
    tcase_add_test(turns,
                   start_survives_the_failure_of_each_of_its_allocations_and_may_be_called_again);
    tcase_add_loop_test(turns, no_span_is_lost_or_sent_twice_when_an_allocation_of_a_batch_fails,
                        TRACEZ_FORMAT_OTLP, TRACEZ_FORMAT_TRACEZ + 1);
    tcase_add_test(turns,
                   a_request_that_lacks_memory_is_answered_or_to_be_tried_again_but_never_refused);
    tcase_add_test(thread, an_exporter_without_any_memory_says_so_and_sends_all_when_it_has_some);
    tcase_add_test(thread, whichever_allocation_of_the_thread_fails_every_span_arrives);
    tcase_add_loop_test(thread, allocations_that_fail_now_and_then_cost_no_span, 0, 3);
    return run_suite(suite);
}
