/* SPDX-License-Identifier: MIT
 *
 * Goal: an adapter is made whole or not at all, every setting has an effect, and whoever has only a
 * connection reaches the request's span from any thread.
 * Method: refusals and failing allocations first (the calls are wrapped by the linker), then one
 * request for each setting, and calls from other threads. */
#include "client.h"
#include "server.h"
#include "spans.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The wrapped calls ----------------------------------------------------------------------- */

static int calls;      /* since watching began */
static int failing_at; /* the call that fails, from 0 */
static bool is_watched;

static bool fails(void)
{
    return is_watched && calls++ == failing_at;
}

/* The linker's names. */
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has mmap */
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fails()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(address, bytes, protection, flags, fd, offset);
}

/* ---- Making one ------------------------------------------------------------------------------ */

static void assert_refused(const struct tracez_mhd_config *config, const char *reason)
{
    struct tracez_mhd *tracing = (void *)&tracing;
    struct tracez_error error = {0};

    ck_assert_int_eq(tracez_mhd_create(config, &tracing, &error), TRACEZ_INVALID);
    ck_assert_ptr_null(tracing);
    ck_assert_msg(strstr(error.text, reason) != NULL, "\"%s\"", error.text);
    ck_assert_int_eq(tracez_mhd_create(config, &tracing, NULL), TRACEZ_INVALID);
}

START_TEST(a_value_out_of_its_range_is_refused_by_name)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd_config good;
    struct tracez_mhd_config bad;
    tracez_mhd_config_init(&good);
    good.tracer = tracer;

    bad = good;
    bad.struct_bytes = 8;
    assert_refused(&bad, "struct_bytes 8");
    bad = good;
    bad.tracer = NULL;
    assert_refused(&bad, "tracer");
    bad = good;
    bad.connections_max = 0;
    assert_refused(&bad, "connections_max 0");
    bad.connections_max = (1U << 20) + 1;
    assert_refused(&bad, "1 to 1048576");
    bad = good;
    bad.max_tag_bytes = 15;
    assert_refused(&bad, "max_tag_bytes 15");
    bad.max_tag_bytes = 32001;
    assert_refused(&bad, "16 to 32000");
    bad = good;
    bad.extract = 4;
    assert_refused(&bad, "extract 0x4");
    bad = good;
    bad.capture_request_headers = "x-good, b:d";
    assert_refused(&bad, "\"b:d\"");
    bad = good;
    bad.redact_query = " ,";
    assert_refused(&bad, "all, off, or a list");
    bad.redact_query = "sig off";
    assert_refused(&bad, "stand alone");
    bad.redact_query = "ALL,token";
    assert_refused(&bad, "stand alone");

    tracez_mhd_destroy(NULL);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(whichever_allocation_fails_there_is_no_adapter)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd_config config;
    enum tracez_result result = TRACEZ_NO_MEMORY;
    tracez_mhd_config_init(&config);
    config.tracer = tracer;
    config.redact_query = "token, password";
    config.capture_request_headers = "x-tenant";

    for (failing_at = 0; result != TRACEZ_OK; failing_at++) {
        struct tracez_mhd *tracing;
        struct tracez_error error = {0};

        calls = 0;
        is_watched = true;
        result = tracez_mhd_create(&config, &tracing, &error);
        is_watched = false;

        ck_assert_int_eq(result, calls > failing_at ? TRACEZ_NO_MEMORY : TRACEZ_OK);
        ck_assert((tracing == NULL) == (result != TRACEZ_OK));
        ck_assert((error.text[0] != '\0') == (result != TRACEZ_OK));
        tracez_mhd_destroy(tracing);
    }
    ck_assert_int_ge(failing_at, 5);
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Settings -------------------------------------------------------------------------------- */

#define ASK                                                                                        \
    "GET /ok?token=1&sig=2&b=3 HTTP/1.1\r\nHost: h\r\nX-Tenant: acme\r\nx-tenant: other\r\n"       \
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n"                     \
    "b3: 80f198ee56343ba864fe8b2a57d3eff7-b7ad6b7169203331-1\r\nConnection: close\r\n\r\n"

static struct spans span_with(const struct tracez_mhd_config *config)
{
    const struct server_options options = {.mode = SERVER_EPOLL, .config = config};
    struct server *server = server_start(&options);

    ck_assert_int_eq(client_ask(server_port(server), ASK), 200);
    server_stop(server);
    struct spans spans = spans_drain_first(server_tracer(server));
    ck_assert_uint_eq(books(server_tracer(server)).requests, 1);
    server_free(server);
    return spans;
}

static void assert_query(const char *redact_query, const char *expected)
{
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);
    config.extract = 0;
    config.redact_query = redact_query;

    struct spans spans = span_with(&config);

    ck_assert_uint_eq(spans.count, 1);
    assert_tag_string(&spans.records[0], "url.query", expected);
    spans_free(&spans);
}

START_TEST(queries_are_redacted_as_configured)
{
    assert_query(NULL, "token=1&sig=REDACTED&b=3");
    assert_query("off", "token=1&sig=2&b=3");
    assert_query(" OFF ", "token=1&sig=2&b=3");
    assert_query("all", "REDACTED");
    assert_query("All,", "REDACTED");
    assert_query("token", "token=REDACTED&sig=2&b=3");
    assert_query(" b,\ttoken ,", "token=REDACTED&sig=2&b=REDACTED");
}
END_TEST

START_TEST(a_caller_is_trusted_in_the_formats_that_are_on)
{
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);

    struct spans both = span_with(&config); /* W3C says no */
    config.extract = TRACEZ_PROPAGATE_B3;
    struct spans b3 = span_with(&config);
    config.extract = 0;
    struct spans none = span_with(&config);

    ck_assert_uint_eq(both.count, 0);
    ck_assert_uint_eq(b3.count, 1);
    ck_assert_uint_eq(b3.records[0].trace_id[0], 0x80);
    ck_assert_uint_eq(none.count, 1);
    ck_assert(!none.records[0].parent_is_remote);
    spans_free(&both);
    spans_free(&b3);
    spans_free(&none);
}
END_TEST

START_TEST(a_sampler_of_its_own_decides_for_the_adapter)
{
    const struct tracez_sampler never = tracez_sampler_never();
    struct tracez_mhd_config config;
    tracez_mhd_config_init(&config);
    config.sampler = &never;

    struct spans spans = span_with(&config);

    ck_assert_uint_eq(spans.count, 0);
    spans_free(&spans);
}
END_TEST

START_TEST(headers_of_the_list_are_captured_and_texts_cut)
{
    struct tracez_mhd_config config;
    struct tracez_entry entry;
    struct tracez_text value;
    size_t position = 0;
    tracez_mhd_config_init(&config);
    config.extract = 0;
    config.max_tag_bytes = 16;
    config.redact_query = "off";
    config.capture_request_headers = "X-TENANT, x-missing";

    struct spans spans = span_with(&config);

    ck_assert(span_find_tag(&spans.records[0], "http.request.header.x-tenant", &entry));
    ck_assert(tracez_strings_next(entry.string, &position, &value));
    assert_text(value, "acme");
    ck_assert(tracez_strings_next(entry.string, &position, &value));
    assert_text(value, "other");
    assert_no_tag(&spans.records[0], "http.request.header.x-missing");
    assert_tag_string(&spans.records[0], "url.query", "to...[truncated]");
    spans_free(&spans);
}
END_TEST

START_TEST(a_target_longer_than_its_place_is_cut_and_hides_its_secrets)
{
    struct server *server = server_start(&(struct server_options){.mode = SERVER_EPOLL});
    struct tracez_entry entry;
    char ask[8192] = "GET /";

    memset(ask + 5, 'p', 4000);
    sprintf(ask + 4005, "?sig=s3cr3t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                        "tracestate: a=1\r\ntracestate: b=2\r\n"
                        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                        "\r\n");
    ck_assert_int_eq(client_ask(server_port(server), ask), 200);
    server_stop(server);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 1);
    ck_assert(span_find_tag(&spans.records[0], "url.path", &entry));
    ck_assert_uint_eq(entry.string.bytes, 1000);
    if (span_find_tag(&spans.records[0], "url.query", &entry)) {
        ck_assert_ptr_null(memmem(entry.string.text, entry.string.bytes, "s3c", 3));
    }
    /* No room for a list of two lines: it is left out, the trace is not. */
    ck_assert_uint_eq(spans.records[0].trace_id[0], 0x0a);
    spans_free(&spans);
    server_free(server);
}
END_TEST

START_TEST(a_tracestate_of_several_lines_is_one_list)
{
    struct server *server = server_start(&(struct server_options){.mode = SERVER_EPOLL});

    client_ask(server_port(server),
               "GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\ntracestate: a=1\r\n"
               "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
               "tracestate: b=2\r\n\r\n");
    server_stop(server);
    struct spans spans = spans_drain_first(server_tracer(server));

    ck_assert_uint_eq(spans.count, 1);
    assert_text(spans.records[0].tracestate, "a=1,b=2");
    assert_tag_string(&spans.records[0], "url.path", "/ok");
    spans_free(&spans);
    server_free(server);
}
END_TEST

/* ---- By connection --------------------------------------------------------------------------- */

START_TEST(a_connection_that_nobody_knows_has_no_span)
{
    struct tracez_context context = {.flags = 1};
    struct MHD_Connection *connection = (void *)&context;

    ck_assert(!tracez_span_is_recording(tracez_mhd_span(connection)));
    ck_assert(!tracez_mhd_context(connection, &context));
    ck_assert_uint_eq(context.flags, 0);
    tracez_mhd_set_route(connection, "/x");
    tracez_mhd_set_tag(connection, "a", "b");
}
END_TEST

static struct tracez_context seen_context;
static bool seen_current;

/* Looks from within the handler. */
/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result look(void *state, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *upload_data,
                            size_t *upload_data_size, void **con_cls)
{
    (void)state;
    (void)url;
    (void)method;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    (void)con_cls;
    struct tracez_context current;
    seen_current = tracez_mhd_context(connection, &seen_context) &&
                   tracez_current_context(&current) &&
                   memcmp(current.span_id, seen_context.span_id, TRACEZ_SPAN_ID_BYTES) == 0 &&
                   tracez_current_span().slot == tracez_mhd_span(connection).slot;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)(uintptr_t) "ok", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

START_TEST(in_the_handler_the_connections_span_is_the_current_one)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd *tracings[2];
    struct MHD_Daemon *daemons[2];

    /* Two adapters: each connection is looked for in both. */
    for (int i = 0; i < 2; i++) {
        tracings[i] = tracing_create(NULL, tracer);
        daemons[i] = tracez_mhd_start_daemon(tracings[i], NULL, MHD_USE_EPOLL_INTERNAL_THREAD, 0,
                                             NULL, NULL, look, NULL, MHD_OPTION_END);
        ck_assert_ptr_nonnull(daemons[i]);
    }
    for (int i = 0; i < 2; i++) {
        uint16_t port = daemon_port(daemons[i]);
        seen_current = false;
        ck_assert_int_eq(client_ask(port, "GET / HTTP/1.0\r\n\r\n"), 200);
        MHD_stop_daemon(daemons[i]);
        tracez_mhd_destroy(tracings[i]);
        struct spans spans = spans_drain_first(tracer);

        ck_assert(seen_current);
        ck_assert_uint_eq(spans.count, 1);
        ck_assert_mem_eq(spans.records[0].span_id, seen_context.span_id, TRACEZ_SPAN_ID_BYTES);
        spans_free(&spans);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

/* ---- Fork ------------------------------------------------------------------------------------ */

static atomic_bool is_forking;

static void *look_for_spans(void *connection)
{
    while (atomic_load(&is_forking)) {
        tracez_mhd_span(connection);
    }
    return NULL;
}

/* Makes and unmakes an adapter; ends by a signal if that hangs. */
static void use_adapters_in_child(const struct tracez_mhd_config *config)
{
    struct tracez_mhd *tracing;

    alarm(20);
    if (tracez_mhd_create(config, &tracing, NULL) != TRACEZ_OK) {
        _exit(1);
    }
    tracez_mhd_destroy(tracing);
    _exit(0);
}

START_TEST(a_child_that_was_forked_amid_a_look_up_can_use_adapters)
{
    enum { THREADS = 3, FORKS = 200 };
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_mhd_config config;
    struct tracez_mhd *tracing;
    pthread_t threads[THREADS];
    tracez_mhd_config_init(&config);
    config.tracer = tracer;
    ck_assert_int_eq(tracez_mhd_create(&config, &tracing, NULL), TRACEZ_OK);
    atomic_store(&is_forking, true);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, look_for_spans, &threads), 0);
    }

    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status;
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            use_adapters_in_child(&config);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    }

    atomic_store(&is_forking, false);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd adapter");
    TCase *making = case_of(suite, "making");
    TCase *settings = case_of(suite, "settings");
    TCase *connections = case_of(suite, "connections");

    tcase_add_test(making, a_value_out_of_its_range_is_refused_by_name);
    tcase_add_test(making, whichever_allocation_fails_there_is_no_adapter);
    tcase_add_test(settings, queries_are_redacted_as_configured);
    tcase_add_test(settings, a_caller_is_trusted_in_the_formats_that_are_on);
    tcase_add_test(settings, a_sampler_of_its_own_decides_for_the_adapter);
    tcase_add_test(settings, headers_of_the_list_are_captured_and_texts_cut);
    tcase_add_test(settings, a_target_longer_than_its_place_is_cut_and_hides_its_secrets);
    tcase_add_test(settings, a_tracestate_of_several_lines_is_one_list);
    tcase_add_test(connections, a_connection_that_nobody_knows_has_no_span);
    tcase_add_test(connections, in_the_handler_the_connections_span_is_the_current_one);
    tcase_add_test(connections, a_child_that_was_forked_amid_a_look_up_can_use_adapters);
    return run_suite(suite);
}
