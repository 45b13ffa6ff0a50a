/* SPDX-License-Identifier: MIT
 *
 * Goal: bad weather, of the network, of names, of clocks, of the machine, costs no span: all wait,
 * the exporter knocks with one probe at a time and leaves no descriptor behind, and when the
 * weather clears every span arrives.
 * Method: each kind of weather in turn, made in place of the C library where it can't be had
 * otherwise: names are looked up and clocks are read here. */
#include "exporting.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define HOUR_S 3600

/* ---- Names --------------------------------------------------------------------------------- */

enum name_answer { NAME_IS_UNKNOWN, NAME_SERVER_FAILS, NAME_SERVER_IS_SILENT, NAME_IS_KNOWN };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum name_answer answer;
    const char *address;
    unsigned lookups;
    unsigned waiting;
} names = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NAME_IS_KNOWN, "127.0.0.1", 0, 0};

static void names_set(enum name_answer answer, const char *address)
{
    pthread_mutex_lock(&names.lock);
    names.answer = answer;
    names.address = address;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
}

static void wait_lookups(unsigned count)
{
    uint64_t begin_ms = 0;
    unsigned now;

    do {
        poll_again(&begin_ms, "lookups of a name");
        pthread_mutex_lock(&names.lock);
        now = names.lookups;
        pthread_mutex_unlock(&names.lock);
    } while (now < count);
}

static void wait_nobody_waits_for_a_name(void)
{
    uint64_t begin_ms = 0;
    unsigned now;

    do {
        poll_again(&begin_ms, "the end of lookups");
        pthread_mutex_lock(&names.lock);
        now = names.waiting;
        pthread_mutex_unlock(&names.lock);
    } while (now > 0);
}

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* In place of the C library's, for libcurl's lookups. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *req,
                                                       struct addrinfo **pai)
{
    getaddrinfo_fn *real = (getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    const struct addrinfo numeric = {
        .ai_family = AF_INET, .ai_socktype = req->ai_socktype, .ai_flags = AI_NUMERICHOST};

    (void)name;
    pthread_mutex_lock(&names.lock);
    names.lookups++;
    names.waiting++;
    while (names.answer == NAME_SERVER_IS_SILENT) {
        pthread_cond_wait(&names.changed, &names.lock);
    }
    names.waiting--;
    enum name_answer answer = names.answer;
    const char *address = names.address;
    pthread_mutex_unlock(&names.lock);
    return answer == NAME_IS_UNKNOWN     ? EAI_NONAME
           : answer == NAME_SERVER_FAILS ? EAI_AGAIN
                                         : real(address, service, &numeric, pai);
}

/* ---- Clocks -------------------------------------------------------------------------------- */

/* How far the wall clock has jumped. */
static atomic_long jumped_s;

/* In place of the C library's, for all that read a wall clock. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int status = (int)syscall(SYS_clock_gettime, clock_id, tp);

    if (clock_id == CLOCK_REALTIME && status == 0) {
        tp->tv_sec += atomic_load(&jumped_s);
    }
    return status;
}

__attribute__((visibility("default"))) time_t time(time_t *timer)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (timer != NULL) {
        *timer = now.tv_sec;
    }
    return now.tv_sec;
}

/* ---- Descriptors --------------------------------------------------------------------------- */

static unsigned open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void limit_descriptors(rlim_t count)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t descriptors_max(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}

/* From now on none can be opened. */
static void forbid_descriptors(void)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(lowest, 0);
    close(lowest);
    limit_descriptors((rlim_t)lowest);
    ck_assert_int_eq(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    ck_assert_int_eq(errno, EMFILE);
}

/* Ends what began with so many open descriptors: all spans were accepted, none is left open. */
static void end_in_order(struct exporting *exporting, unsigned descriptors, size_t spans)
{
    ck_assert_uint_eq(exporting_end(exporting).accepted, spans);
    ck_assert_uint_eq(open_descriptors(), descriptors);
}

START_TEST(without_descriptors_spans_wait_until_there_are_some)
{
    const unsigned descriptors = open_descriptors();
    const rlim_t before = descriptors_max();
    struct exporting exporting = exporting_begin(NULL, 0);

    forbid_descriptors();
    exporting_flush_spans(&exporting, 35);
    wait_attempts(exporting.exporter, 3);
    struct tracez_exporter_stats down = exporter_stats(exporting.exporter);
    limit_descriptors(before);
    wait_settled(exporting.tracer, 35);

    ck_assert_int_eq(down.state, TRACEZ_EXPORTER_DOWN);
    ck_assert_str_ne(down.last_error, "");
    ck_assert_uint_eq(down.connections_opened, 0);
    end_in_order(&exporting, descriptors, 35);
}
END_TEST

START_TEST(without_descriptors_there_is_no_start_but_one_may_try_again)
{
    const unsigned descriptors = open_descriptors();
    const rlim_t before = descriptors_max();
    struct exporting exporting = exporting_init(NULL, 0);
    struct tracez_error error = {0};
    exporting.exporter = exporter_create(&exporting.config, exporting.tracer);

    forbid_descriptors();
    enum tracez_result result = tracez_exporter_start(exporting.exporter, &error);
    limit_descriptors(before);

    ck_assert_int_eq(result, TRACEZ_NO_MEMORY);
    ck_assert_ptr_nonnull(strstr(error.text, "descriptors"));
    exporter_start(exporting.exporter);
    exporting_flush_spans(&exporting, 5);
    wait_settled(exporting.tracer, 5);
    end_in_order(&exporting, descriptors, 5);
}
END_TEST

START_TEST(descriptors_over_1024_are_as_good_as_any)
{
    const unsigned descriptors = open_descriptors();
    static int taken[1100];
    limit_descriptors(4096);
    ck_assert_uint_gt(descriptors_max(), 1200);
    for (size_t i = 0; i < 1100; i++) {
        taken[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(taken[i], 0);
    }
    struct exporting exporting = exporting_begin(STEPS({.action = BACKEND_CLOSE}));
    ck_assert_int_gt(exporting.wake_fd, 1024);

    spans_pass(exporting.tracer, 100); /* the eventfd wakes it, and so does a flush */
    exporting_flush_spans(&exporting, 5);
    wait_settled(exporting.tracer, 105);

    for (size_t i = 0; i < 1100; i++) {
        close(taken[i]);
    }
    end_in_order(&exporting, descriptors, 105);
}
END_TEST

/* ---- The network --------------------------------------------------------------------------- */

START_TEST(what_waits_for_a_black_hole_is_delivered_when_packets_pass_again)
{
    const unsigned descriptors = open_descriptors();
    struct exporting exporting = exporting_init(NULL, 0);
    exporting.config.connect_timeout_ms = 50;
    exporting_start(&exporting);

    backend_drop_packets(exporting.backend, true);
    exporting_flush_spans(&exporting, 35);
    wait_attempts(exporting.exporter, 3);
    struct tracez_exporter_stats down = exporter_stats(exporting.exporter);
    uint64_t inflight = books(exporting.tracer).inflight;
    backend_drop_packets(exporting.backend, false);
    wait_settled(exporting.tracer, 35);

    ck_assert_int_eq(down.state, TRACEZ_EXPORTER_DOWN);
    ck_assert_str_eq(down.last_error, "timed out");
    ck_assert_uint_eq(down.connections_opened, 0);
    ck_assert_uint_le(inflight, 20); /* two batches, which is what the connections hold */
    end_in_order(&exporting, descriptors, 35);
}
END_TEST

START_TEST(a_reset_at_any_moment_of_a_request_is_answered_by_the_same_bytes)
{
    const struct backend_step early = {.action = BACKEND_RESET_EARLY};
    const struct backend_step late = {.action = BACKEND_RESET_LATE};
    const unsigned descriptors = open_descriptors();
    struct exporting exporting = exporting_init(STEPS(early, late, early, late));
    exporting.config.batch_size = 4000;
    exporting_start(&exporting);

    exporting_flush_spans(&exporting, 4000); /* over a megabyte: more than sockets hold */
    wait_settled(exporting.tracer, 4000);

    ck_assert_uint_eq(backend_request_count(exporting.backend), 5);
    const char *whole = backend_body(exporting.backend, 4);
    for (size_t i = 0; i < 4; i++) {
        const char *body = backend_body(exporting.backend, i);
        bool is_whole = i % 2 == 1;
        ck_assert(strncmp(body, whole, strlen(body)) == 0);
        ck_assert((strlen(body) == strlen(whole)) == is_whole);
    }
    end_in_order(&exporting, descriptors, 4000);
}
END_TEST

/* ---- Names --------------------------------------------------------------------------------- */

static struct exporting begin_by_name(void)
{
    static char url[64];
    struct exporting exporting = exporting_init(NULL, 0);

    snprintf(url, sizeof(url), "http://backend.test:%s",
             strrchr(exporting.config.endpoint, ':') + 1);
    exporting.config.endpoint = url;
    exporting.config.connect_timeout_ms = 50;
    exporting_start(&exporting);
    return exporting;
}

START_TEST(what_waits_for_a_name_is_delivered_when_there_is_one)
{
    const enum name_answer answers[] = {NAME_IS_UNKNOWN, NAME_SERVER_FAILS, NAME_SERVER_IS_SILENT};
    const char *const errors[] = {"couldn't resolve host name", "couldn't resolve host name",
                                  "timed out"};
    const unsigned descriptors = open_descriptors();
    struct exporting exporting = begin_by_name();

    names_set(answers[_i], "127.0.0.1");
    exporting_flush_spans(&exporting, 35);
    wait_attempts(exporting.exporter, 3);
    wait_lookups(3);
    struct tracez_exporter_stats down = exporter_stats(exporting.exporter);
    names_set(NAME_IS_KNOWN, "127.0.0.1");
    wait_settled(exporting.tracer, 35);
    wait_nobody_waits_for_a_name();

    ck_assert_int_eq(down.state, TRACEZ_EXPORTER_DOWN);
    ck_assert_str_eq(down.last_error, errors[_i]);
    end_in_order(&exporting, descriptors, 35);
}
END_TEST

START_TEST(a_backend_that_moved_is_found_at_its_new_address)
{
    const unsigned descriptors = open_descriptors();
    struct exporting exporting = begin_by_name();

    names_set(NAME_IS_KNOWN, "127.0.0.2"); /* nobody is there */
    exporting_flush_spans(&exporting, 35);
    wait_attempts(exporting.exporter, 3);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_DOWN);
    names_set(NAME_IS_KNOWN, "127.0.0.1");
    wait_settled(exporting.tracer, 35);

    end_in_order(&exporting, descriptors, 35);
}
END_TEST

/* ---- Clocks -------------------------------------------------------------------------------- */

static uint64_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    ck_assert_ptr_nonnull(at);
    return strtoull(at + strlen(key), NULL, 10);
}

/* No span ends before it begins, or takes longer than this test. */
static void assert_durations(const char *body)
{
    static const char begin[] = "\"startTimeUnixNano\":\"";

    for (const char *span = strstr(body, begin); span != NULL; span = strstr(span + 1, begin)) {
        uint64_t start_ns = number_after(span, begin);
        uint64_t end_ns = number_after(span, "\"endTimeUnixNano\":\"");
        ck_assert_uint_ge(end_ns, start_ns);
        ck_assert_uint_lt(end_ns - start_ns, 60 * NS_PER_S);
    }
}

static const long jumps_s[] = {HOUR_S, -HOUR_S};

START_TEST(a_wall_clock_that_jumps_changes_no_duration_and_no_wait)
{
    struct exporting exporting =
        exporting_init(STEPS({.status = 503, .headers = "Retry-After: 1\r\n"}));
    exporting.config.interval_ms = 100;
    exporting_start(&exporting);
    struct tracez_span open =
        tracez_span_start(exporting.tracer, TRACEZ_KIND_SERVER, "across the jump", NULL, NULL);

    exporting_flush_spans(&exporting, 3);
    wait_state(exporting.exporter, TRACEZ_EXPORTER_DOWN);
    atomic_store(&jumped_s, jumps_s[_i]);
    tracez_span_finish(open);
    wait_settled(exporting.tracer, 4);
    atomic_store(&jumped_s, 0);
    spans_pass(exporting.tracer, 3); /* back again: the interval still ends */
    wait_settled(exporting.tracer, 7);

    size_t requests = backend_request_count(exporting.backend);
    ck_assert_uint_ge(backend_arrival_ns(exporting.backend, 1),
                      backend_arrival_ns(exporting.backend, 0) + NS_PER_S);
    for (size_t i = 0; i < requests; i++) {
        assert_durations(backend_body(exporting.backend, i));
    }
    ck_assert_uint_eq(exporting_end(&exporting).accepted, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_weather");
    TCase *of_descriptors = case_of(suite, "descriptors");
    TCase *of_network = case_of(suite, "network");
    TCase *of_names = case_of(suite, "names");
    TCase *of_clocks = case_of(suite, "clocks");

    tcase_add_test(of_descriptors, without_descriptors_spans_wait_until_there_are_some);
    tcase_add_test(of_descriptors, without_descriptors_there_is_no_start_but_one_may_try_again);
    tcase_add_test(of_descriptors, descriptors_over_1024_are_as_good_as_any);
    tcase_add_test(of_network, what_waits_for_a_black_hole_is_delivered_when_packets_pass_again);
    tcase_add_test(of_network, a_reset_at_any_moment_of_a_request_is_answered_by_the_same_bytes);
    tcase_add_loop_test(of_names, what_waits_for_a_name_is_delivered_when_there_is_one, 0, 3);
    tcase_add_test(of_names, a_backend_that_moved_is_found_at_its_new_address);
    tcase_add_loop_test(of_clocks, a_wall_clock_that_jumps_changes_no_duration_and_no_wait, 0, 2);
    return run_suite(suite);
}
