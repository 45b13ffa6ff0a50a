/* SPDX-License-Identifier: MIT
 *
 * Goal: a tracer is made whole or not at all: whichever of its allocations fails, create says so
 * and keeps nothing; and between creation and destruction the request path allocates nothing.
 * Method: the calls that allocate are wrapped by the linker. While watched they are counted, one of
 * them may fail, and what they hand out is balanced against what is given back. */
#include "spans.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- The wrapped calls ----------------------------------------------------------------------- */

static bool is_watched;
static int calls;      /* since watching began */
static int failing_at; /* the call that fails, from 0; -1: none */
static int held;       /* blocks and mappings that were not given back */

static void watch(int fail_at)
{
    is_watched = true;
    calls = 0;
    failing_at = fail_at;
    held = 0;
}

static void unwatch(void)
{
    is_watched = false;
}

/* Counts the call; true when it is the one to fail. */
static bool fails(void)
{
    return is_watched && calls++ == failing_at;
}

static void *hold(void *memory)
{
    held += is_watched;
    return memory;
}

/* The linker's names. */
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void __real_free(void *memory);
void __wrap_free(void *memory);
void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes);
int __real_pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int robustness);
int __wrap_pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int robustness);

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
    return fails() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : hold(__real_aligned_alloc(alignment, bytes));
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : hold(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    held -= is_watched && memory != NULL;
    __real_free(memory);
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has mmap */
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fails()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return hold(__real_mmap(address, bytes, protection, flags, fd, offset));
}

int __wrap_munmap(void *address, size_t bytes)
{
    held -= is_watched;
    return __real_munmap(address, bytes);
}

static bool has_robust_mutexes = true;

int __wrap_pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int robustness)
{
    return has_robust_mutexes ? __real_pthread_mutexattr_setrobust(attributes, robustness)
                              : ENOTSUP;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* Two collectors with a name to match: every kind of allocation there is. */
static const struct tracez_collector_config collectors[] = {
    {.name = "login", .match = TRACEZ_MATCH_NAME, .match_name = "login"},
    {.name = "logout", .match = TRACEZ_MATCH_NAME, .match_name = "logout"},
    {.name = "rest", .spans_max = 4, .writers = 1},
};

static struct tracez_config config_with_collectors(void)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.collectors = collectors;
    config.collector_count = sizeof(collectors) / sizeof(collectors[0]);
    return config;
}

START_TEST(whichever_allocation_fails_there_is_no_tracer_and_nothing_is_kept)
{
    struct tracez_config config = config_with_collectors();
    enum tracez_result result = TRACEZ_NO_MEMORY;
    struct tracez_tracer *tracer;
    int failing;

    for (failing = 0; failing < 100; failing++) {
        struct tracez_error error = {0};
        tracer = (void *)1;

        watch(failing);
        result = tracez_tracer_create(&config, &tracer, &error);
        unwatch();

        if (result == TRACEZ_OK) {
            break;
        }
        ck_assert_int_eq(result, TRACEZ_NO_MEMORY);
        ck_assert_ptr_null(tracer);
        ck_assert_int_eq(held, 0);
        ck_assert_int_eq(error.result, TRACEZ_NO_MEMORY);
        ck_assert_ptr_nonnull(strstr(error.text, "no "));
    }

    ck_assert_int_eq(result, TRACEZ_OK);
    ck_assert_int_eq(failing, calls);
    /* the tracer; buffer, ledger and slots; two names to match */
    ck_assert_int_eq(calls, 6);
    ck_assert_int_eq(held, 6);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_failure_needs_no_error_to_be_filled)
{
    struct tracez_config config = config_with_collectors();
    struct tracez_tracer *tracer = (void *)1;

    for (int failing = 0; failing < 6; failing++) {
        watch(failing);
        enum tracez_result result = tracez_tracer_create(&config, &tracer, NULL);
        unwatch();

        ck_assert_int_eq(result, TRACEZ_NO_MEMORY);
        ck_assert_ptr_null(tracer);
    }
}
END_TEST

START_TEST(a_system_without_robust_mutexes_is_named_as_the_reason)
{
    struct tracez_config config = config_with_collectors();
    struct tracez_tracer *tracer = (void *)1;
    struct tracez_error error = {0};

    has_robust_mutexes = false;
    watch(-1);
    enum tracez_result result = tracez_tracer_create(&config, &tracer, &error);
    unwatch();
    has_robust_mutexes = true;

    ck_assert_int_eq(result, TRACEZ_SYSTEM);
    ck_assert_ptr_null(tracer);
    ck_assert_int_eq(held, 0);
    ck_assert_ptr_nonnull(strstr(error.text, "robust"));
}
END_TEST

START_TEST(destroying_gives_everything_back_also_with_spans_in_every_stage)
{
    struct tracez_config config = config_with_collectors();
    struct tracez_tracer *tracer = NULL;

    watch(-1);
    enum tracez_result result = tracez_tracer_create(&config, &tracer, NULL);
    spans_pass(tracer, 6); /* four are queued, two refused */
    tracez_span_start(tracer, TRACEZ_KIND_SERVER, "live", NULL, NULL);
    tracez_tracer_destroy(tracer);
    tracez_tracer_destroy(NULL);
    unwatch();

    ck_assert_int_eq(result, TRACEZ_OK);
    ck_assert_int_eq(calls, 6);
    ck_assert_int_eq(held, 0);
}
END_TEST

static void count_record(const struct tracez_record *record, void *state)
{
    (void)record;
    ++*(unsigned *)state;
}

/* Each call of the request path, also its refusals. */
static void use_the_request_path(struct tracez_tracer *tracer)
{
    static const char long_value[40000];
    const struct tracez_tag tag = {.key = "tag", .type = TRACEZ_TAG_BOOL, .value.boolean = true};
    struct tracez_context own;
    char text[32];

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "path", NULL, &own);
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/");
    tracez_span_set_format(span, "format", "%d", 1);
    for (int i = 0; i < 40; i++) { /* more than a slot holds, more than a span may have */
        char key[3] = {'k', (char)('0' + i), '\0'};
        tracez_span_set_bytes(span, key, long_value, sizeof(long_value));
    }
    tracez_span_get(span, "format", text, sizeof(text));
    tracez_span_add_event(span, "event", &tag, 1);
    tracez_span_add_link(span, &own, &tag, 1);
    struct tracez_scope scope = tracez_scope_enter(tracer, span, &own);
    tracez_scope_leave(&scope);
    tracez_span_set_error(span, "error", "message");
    tracez_span_finish(span);
    tracez_span_finish(span);
    tracez_span_discard(tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "login", &own, NULL));
    tracez_tracer_count_request(tracer, true);
}

START_TEST(the_request_path_allocates_nothing)
{
    struct tracez_config config = config_with_collectors();
    struct tracez_tracer *tracer = tracer_create(&config);
    struct tracez_collector *rest = tracez_tracer_find_collector(tracer, "rest");
    unsigned drained = 0;

    watch(-1);
    for (int i = 0; i < 100; i++) {
        use_the_request_path(tracer);
        tracez_collector_drain(rest, i % 3 == 0 ? 10 : 0, count_record, &drained);
    }
    unwatch();

    ck_assert_int_eq(calls, 0);
    struct tracez_stats stats = books(tracer);
    ck_assert_uint_eq(stats.recorded, 200);
    ck_assert_uint_eq(stats.exported, drained);
    ck_assert_uint_gt(drained, 0);
    ck_assert_uint_gt(stats.tags_refused, 0);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tracer");
    TCase *failing = case_of(suite, "failing");
    TCase *whole = case_of(suite, "whole");

    tcase_add_test(failing, whichever_allocation_fails_there_is_no_tracer_and_nothing_is_kept);
    tcase_add_test(failing, a_failure_needs_no_error_to_be_filled);
    tcase_add_test(failing, a_system_without_robust_mutexes_is_named_as_the_reason);
    tcase_add_test(whole, destroying_gives_everything_back_also_with_spans_in_every_stage);
    tcase_add_test(whole, the_request_path_allocates_nothing);
    return run_suite(suite);
}
