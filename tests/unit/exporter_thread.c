/* SPDX-License-Identifier: MIT
 *
 * Goal: the exporter's thread is a good guest in its host: no signal lands there but a profiler's,
 * it keeps to no processor of the host's, it is told by name, there is one of it, a forked child
 * has none, a host that can't have one is told so, and whoever calls may call while it comes and
 * goes. Method: refusals by the operating system first (calls are sent through __wrap functions);
 * then what /proc says of a running thread. */
#include "exporting.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Refusals ------------------------------------------------------------------------------ */

static bool no_more_threads;
static bool no_more_eventfds;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *state);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *state);
int __real_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *state)
{
    return no_more_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, state);
}

int __wrap_eventfd(unsigned count, int flags)
{
    if (no_more_eventfds) {
        errno = EMFILE;
        return -1;
    }
    return __real_eventfd(count, flags);
}

START_TEST(where_no_thread_can_be_made_start_says_so_and_may_be_called_again)
{
    struct exporting exporting = exporting_init(NULL, 0);
    struct tracez_error error = {0};
    exporting.exporter = exporter_create(&exporting.config, exporting.tracer);
    spans_pass(exporting.tracer, 3);

    no_more_threads = true;
    enum tracez_result result = tracez_exporter_start(exporting.exporter, &error);
    no_more_threads = false;

    ck_assert_int_eq(result, TRACEZ_SYSTEM);
    ck_assert_int_eq(error.result, TRACEZ_SYSTEM);
    ck_assert_str_eq(error.text, "exporter: no thread: Resource temporarily unavailable");
    ck_assert_int_eq(tracez_exporter_stop(exporting.exporter, 0, false), TRACEZ_OK);
    ck_assert_uint_eq(books(exporting.tracer).queued, 3);
    exporter_start(exporting.exporter);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

START_TEST(no_more_threads_are_made_than_the_limit_allows_and_spans_wait)
{
    struct exporting first = exporting_init(NULL, 0);
    struct exporting second = exporting_init(NULL, 0);
    struct tracez_error error = {0};
    first.config.max_threads = 1;
    second.config.max_threads = 1;
    first.exporter = exporter_create(&first.config, first.tracer);
    second.exporter = exporter_create(&second.config, second.tracer);
    spans_pass(second.tracer, 3);

    exporter_start(first.exporter);
    ck_assert_int_eq(tracez_exporter_start(second.exporter, &error), TRACEZ_BUSY);
    ck_assert_str_eq(error.text, "exporter: no thread: max_threads 1 run in this process already");
    ck_assert_int_eq(tracez_exporter_stop(second.exporter, 0, false), TRACEZ_OK);
    ck_assert_uint_eq(books(second.tracer).queued, 3);

    ck_assert_uint_eq(exporting_end(&first).accepted, 0);
    exporter_start(second.exporter);
    ck_assert_uint_eq(exporting_end(&second).accepted, 3);
}
END_TEST

START_TEST(a_start_that_failed_takes_no_thread_from_the_limit)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.max_threads = 1;
    exporting.exporter = exporter_create(&exporting.config, exporting.tracer);

    no_more_threads = true;
    ck_assert_int_eq(tracez_exporter_start(exporting.exporter, NULL), TRACEZ_SYSTEM);
    no_more_threads = false;

    for (int i = 0; i < 3; i++) {
        exporter_start(exporting.exporter);
        ck_assert_int_eq(tracez_exporter_stop(exporting.exporter, 5000, false), TRACEZ_OK);
    }
    exporting_end(&exporting);
}
END_TEST

START_TEST(where_no_eventfd_can_be_made_create_says_so)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_exporter *exporter = NULL;
    struct tracez_exporter_config config;
    struct tracez_error error = {0};
    tracez_exporter_config_init(&config);

    no_more_eventfds = true;
    enum tracez_result result = tracez_exporter_create(&config, tracer, &exporter, &error);
    no_more_eventfds = false;

    ck_assert_int_eq(result, TRACEZ_SYSTEM);
    ck_assert_ptr_null(exporter);
    ck_assert_str_eq(error.text, "exporter: no eventfd: Too many open files");
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_second_start_is_refused_and_changes_nothing)
{
    struct exporting exporting = exporting_begin(NULL, 0);
    struct tracez_error error = {0};

    ck_assert_int_eq(tracez_exporter_start(exporting.exporter, &error), TRACEZ_BUSY);

    ck_assert_str_eq(error.text, "exporter: started already");
    exporting_flush_spans(&exporting, 3);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

START_TEST(one_that_is_refused_takes_no_wake_up_away_from_the_one_that_runs)
{
    struct exporting exporting = exporting_begin(NULL, 0);
    const struct tracez_collector_pace pace = {.collector = "nobody's"};
    struct tracez_exporter_config config = exporting.config;
    struct tracez_exporter *second;
    config.paces = &pace;
    config.pace_count = 1;

    ck_assert_int_eq(tracez_exporter_create(&config, exporting.tracer, &second, NULL),
                     TRACEZ_INVALID);

    spans_pass(exporting.tracer, 10); /* a batch; its interval is an hour */
    wait_settled(exporting.tracer, 10);
    exporting_end(&exporting);
}
END_TEST

/* Sits in the child. A failing assertion would be the parent's business, so it says no instead. */
static bool is_inert(const struct exporting *exporting)
{
    struct tracez_exporter_stats stats = exporter_stats(exporting->exporter);
    uint64_t took_ms;

    spans_pass(exporting->tracer, 100);
    tracez_exporter_flush(exporting->exporter);
    bool is_refused = tracez_exporter_start(exporting->exporter, NULL) == TRACEZ_BUSY;
    bool is_stopped = exporter_stop_timed(exporting->exporter, 10000, false, &took_ms) == TRACEZ_OK;
    tracez_exporter_destroy(exporting->exporter);
    return is_refused && is_stopped && took_ms < 5000 && stats.attempts == 0 &&
           stats.state == TRACEZ_EXPORTER_WAITING;
}

START_TEST(in_a_forked_child_the_exporter_is_inert_and_the_parents_goes_on)
{
    struct exporting exporting = exporting_begin(NULL, 0);
    int status = -1;
    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    pid_t child = fork();
    if (child == 0) {
        _exit(is_inert(&exporting) ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    exporting_flush_spans(&exporting, 4);
    wait_settled(exporting.tracer, 7);

    ck_assert_int_eq(status, 0);
    struct exporting_end end = exporting_end(&exporting);
    ck_assert_uint_eq(end.accepted, 7);
    ck_assert_uint_eq(end.books.recorded, 7);
}
END_TEST

/* ---- What /proc says ----------------------------------------------------------------------- */

/* A thread's name, or a line of its status ("SigBlk:\t..."), without the line's end. */
static bool read_task(const char *task, const char *file, const char *begin, char *line,
                      size_t line_bytes)
{
    char path[300];
    bool is_found = false;

    snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, file);
    FILE *stream = fopen(path, "r");
    while (stream != NULL && !is_found && fgets(line, (int)line_bytes, stream) != NULL) {
        is_found = strncmp(line, begin, strlen(begin)) == 0;
    }
    if (stream != NULL) {
        fclose(stream);
    }
    line[strcspn(line, "\n")] = '\0';
    return is_found;
}

/* The exporter's thread, which is known by its name. */
static pid_t find_thread(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    char name[64];
    pid_t found = 0;

    ck_assert_ptr_nonnull(tasks);
    while (found == 0 && (task = readdir(tasks)) != NULL) {
        if (read_task(task->d_name, "comm", "tracez", name, sizeof(name)) &&
            strcmp(name, "tracez") == 0) {
            found = (pid_t)strtol(task->d_name, NULL, 10);
        }
    }
    closedir(tasks);
    ck_assert_int_gt(found, 0);
    return found;
}

/* All are blocked in the thread but those that can't be, and this one; 0: but none. */
static void assert_blocked_but(int open)
{
    char task[32];
    char line[64];

    snprintf(task, sizeof(task), "%d", find_thread());
    ck_assert(read_task(task, "status", "SigBlk:", line, sizeof(line)));
    uint64_t blocked = strtoull(line + strlen("SigBlk:"), NULL, 16);
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        bool is_internal = signal >= 32 && signal < SIGRTMIN; /* the C library's own */
        if (signal != SIGKILL && signal != SIGSTOP && !is_internal) {
            ck_assert_msg((blocked >> (signal - 1) & 1) == (signal != open), "signal %d", signal);
        }
    }
}

START_TEST(every_signal_is_blocked_in_the_thread_and_none_in_the_host)
{
    struct exporting exporting = exporting_begin(NULL, 0);
    sigset_t own;

    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);

    assert_blocked_but(0);
    ck_assert_int_eq(sigismember(&own, SIGTERM), 0);
    ck_assert_int_eq(sigismember(&own, SIGCHLD), 0);
    exporting_end(&exporting);
}
END_TEST

static void count_nothing(int signal)
{
    (void)signal;
}

START_TEST(sigprof_stays_open_in_the_thread_of_a_process_that_is_profiled)
{
    const struct sigaction profiler = {.sa_handler = count_nothing};
    struct exporting exporting = exporting_init(NULL, 0);
    sigset_t own;

    ck_assert_int_eq(sigaction(SIGPROF, &profiler, NULL), 0);
    exporting_start(&exporting);

    assert_blocked_but(SIGPROF);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    ck_assert_int_eq(sigismember(&own, SIGTERM), 0);
    signal(SIGPROF, SIG_DFL);
    exporting_end(&exporting);
}
END_TEST

/* Descriptors that a program would hand on to those that it executes. */
static unsigned inherited_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        count += flags != -1 && (flags & FD_CLOEXEC) == 0;
    }
    return count;
}

START_TEST(no_program_that_the_host_executes_inherits_a_connection)
{
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_HOLD}));
    unsigned before = inherited_descriptors(); /* what libcurl wakes itself with, is among them */

    exporting_flush_spans(&exporting, 3);
    backend_wait_requests(exporting.backend, 1);

    ck_assert_uint_eq(inherited_descriptors(), before);
    backend_release(exporting.backend, 0);
    wait_settled(exporting.tracer, 3);
    exporting_end(&exporting);
}
END_TEST

START_TEST(the_thread_may_run_anywhere_when_its_host_is_pinned)
{
    struct exporting exporting = exporting_init(NULL, 0);
    cpu_set_t all;
    cpu_set_t one;
    cpu_set_t threads;
    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
        }
    }
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);

    exporting_start(&exporting);

    ck_assert_int_eq(sched_getaffinity(find_thread(), sizeof(threads), &threads), 0);
    CPU_AND(&threads, &threads, &all);
    ck_assert(CPU_EQUAL(&threads, &all));
    ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
    exporting_end(&exporting);
}
END_TEST

START_TEST(the_thread_is_gone_after_stop_and_there_again_after_the_next_start)
{
    struct exporting exporting = exporting_begin(NULL, 0);

    pid_t first = find_thread();
    ck_assert_int_eq(tracez_exporter_stop(exporting.exporter, 1000, false), TRACEZ_OK);
    exporter_start(exporting.exporter);
    exporting_flush_spans(&exporting, 3);
    wait_settled(exporting.tracer, 3);

    ck_assert_int_ne(find_thread(), first);
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 3);
}
END_TEST

/* ---- Other threads' calls ------------------------------------------------------------------ */

struct caller {
    struct tracez_exporter *exporter;
    atomic_bool is_over;
};

/* All that any thread may call at any time. */
static void *call_on_and_on(void *state)
{
    struct caller *caller = state;

    while (!atomic_load(&caller->is_over)) {
        tracez_exporter_flush(caller->exporter);
        (void)exporter_stats(caller->exporter);
        tracez_exporter_hand_over(caller->exporter, 1000);
    }
    return NULL;
}

/* ThreadSanitizer is the judge; what else can be seen is that nothing hangs, and no span is lost.
 */
START_TEST(other_threads_may_call_while_the_exporter_starts_and_stops)
{
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.exporter = exporter_create(&exporting.config, exporting.tracer);
    struct caller caller = {.exporter = exporting.exporter};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, call_on_and_on, &caller), 0);

    for (int round = 0; round < 20; round++) {
        exporter_start(exporting.exporter);
        spans_pass(exporting.tracer, 3);
        ck_assert_int_eq(tracez_exporter_stop(exporting.exporter, 1000, true), TRACEZ_OK);
    }
    atomic_store(&caller.is_over, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);

    exporter_start(exporting.exporter);
    ck_assert_uint_eq(exporting_end(&exporting).books.exported, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_thread");
    TCase *refusals = case_of(suite, "refusals");
    TCase *guest = case_of(suite, "guest");
    TCase *callers = case_of(suite, "callers");

    tcase_add_test(refusals, where_no_thread_can_be_made_start_says_so_and_may_be_called_again);
    tcase_add_test(refusals, no_more_threads_are_made_than_the_limit_allows_and_spans_wait);
    tcase_add_test(refusals, a_start_that_failed_takes_no_thread_from_the_limit);
    tcase_add_test(refusals, where_no_eventfd_can_be_made_create_says_so);
    tcase_add_test(refusals, a_second_start_is_refused_and_changes_nothing);
    tcase_add_test(refusals, one_that_is_refused_takes_no_wake_up_away_from_the_one_that_runs);
    tcase_add_test(refusals, in_a_forked_child_the_exporter_is_inert_and_the_parents_goes_on);
    tcase_add_test(guest, every_signal_is_blocked_in_the_thread_and_none_in_the_host);
    tcase_add_test(guest, sigprof_stays_open_in_the_thread_of_a_process_that_is_profiled);
    tcase_add_test(guest, no_program_that_the_host_executes_inherits_a_connection);
    tcase_add_test(guest, the_thread_may_run_anywhere_when_its_host_is_pinned);
    tcase_add_test(guest, the_thread_is_gone_after_stop_and_there_again_after_the_next_start);
    tcase_add_test(callers, other_threads_may_call_while_the_exporter_starts_and_stops);
    return run_suite(suite);
}
