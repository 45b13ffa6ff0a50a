/* SPDX-License-Identifier: MIT
 *
 * Making, starting, stopping and freeing the exporter: what the host's threads call. Stopping is
 * bounded whatever name lookups, TCP or the backend do: the thread is told a deadline, and if it
 * has not ended soon after, it is left behind with everything that it may touch. */
#include "exporter.h"

#include "config.h"
#include "refusal.h"
#include "threads.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define WIND_UP_MS 150 /* from the deadline until the thread counts as stuck */

/* ---- Create and destroy ---------------------------------------------------------------------- */

/* Runs on the request path: one write, no block, errno as it was. */
static void wake(void *state, uint32_t lane)
{
    const struct tracez_exporter *exporter = state;
    const uint64_t one = 1;
    int saved_errno = errno;

    /* It can only fail when the counter is full, and then the thread is awake. */
    ssize_t ignored = write(exporter->wake_fds[lane], &one, sizeof(one));
    (void)ignored;
    errno = saved_errno;
}

static bool init_shared(struct exporter_shared *shared, const char *endpoint)
{
    pthread_condattr_t attributes;

    tracez_exporter_stats_init(&shared->stats);
    snprintf(shared->stats.endpoint, sizeof(shared->stats.endpoint), "%s", endpoint);
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    bool is_done = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&shared->ended, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return is_done && pthread_mutex_init(&shared->lock, NULL) == 0;
}

static void find_lanes(struct tracez_exporter *exporter, struct tracez_tracer *tracer)
{
    struct tracez_collector *collector = tracez_tracer_collector(tracer, 0);

    while (tracez_collector_lane(collector, exporter->lane_count) != NULL) {
        exporter->lane_count++;
    }
    while (tracez_tracer_collector(tracer, exporter->collector_count) != NULL) {
        exporter->collector_count++;
    }
    exporter->window_count = exporter->lane_count * exporter->collector_count;
    for (uint32_t i = 0; i < exporter->window_count; i++) {
        struct window *window = &exporter->windows[i];
        struct tracez_collector_stats stats;

        collector = tracez_tracer_collector(tracer, i % exporter->collector_count);
        tracez_collector_stats_init(&stats);
        tracez_collector_stats(collector, &stats);
        window->collector = collector;
        window->pace = &exporter->paces[i % exporter->collector_count];
        window->lane = tracez_collector_lane(collector, i / exporter->collector_count);
        window->half_spans = (stats.spans_max / exporter->lane_count + 1) / 2;
    }
}

/* NULL: nobody wants to be woken any more. */
static void set_wake(struct tracez_exporter *exporter, tracez_wake_fn wake_fn)
{
    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        tracez_collector_on_batch(exporter->windows[i].collector, exporter->paces[i].batch_size,
                                  wake_fn, exporter);
    }
}

static bool open_wake_fds(struct tracez_exporter *exporter)
{
    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        exporter->wake_fds[lane] = exporter->config.wake_fds[lane];
        if (exporter->wake_fds[lane] < 0) {
            exporter->wake_fds[lane] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        }
        if (exporter->wake_fds[lane] < 0) {
            return false;
        }
    }
    return true;
}

/* Closes those that are its own; also where not all could be opened. */
static void close_wake_fds(struct tracez_exporter *exporter)
{
    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        if (exporter->config.wake_fds[lane] < 0 && exporter->wake_fds[lane] > 0) {
            close(exporter->wake_fds[lane]);
        }
    }
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
        seed = exporter_now_ns();
    }
    return seed;
}

/* A half-made exporter is freed by destroy. */
static enum tracez_result make(struct tracez_exporter *exporter,
                               const struct tracez_exporter_config *config,
                               struct tracez_tracer *tracer, struct tracez_error *error)
{
    const struct format *format = format_of(config->format);
    enum tracez_result result;

    find_lanes(exporter, tracer);
    if ((result = paces_init(exporter->paces, config, tracer, error)) != TRACEZ_OK ||
        (result = transport_init(&exporter->transport, config, format->path, error)) != TRACEZ_OK) {
        return result;
    }
    exporter->config = exporter->transport.config;
    exporter->pool.count_max = config->connections;
    exporter->pool.format = format;
    exporter->pool.body_bytes_max = config->max_batch_bytes;
    retry_init(&exporter->retry, config->retry_min_ms, config->retry_max_ms, random_seed());
    if (!init_shared(&exporter->shared, exporter->transport.endpoint.shown)) {
        return refuse(error, TRACEZ_NO_MEMORY, "exporter: no memory for a lock");
    }
    if (!open_wake_fds(exporter)) {
        return refuse(error, TRACEZ_SYSTEM, "exporter: no eventfd: %s", strerror(errno));
    }
    return TRACEZ_OK;
}

static void free_exporter(struct tracez_exporter *exporter)
{
    transport_deinit(&exporter->transport);
    envelopes_deinit(&exporter->envelopes);
    batch_pool_trim(&exporter->pool, 0);
    gzip_deinit(&exporter->gzip);
    close_wake_fds(exporter);
    free(exporter);
}

enum tracez_result tracez_exporter_create(const struct tracez_exporter_config *config,
                                          struct tracez_tracer *tracer,
                                          struct tracez_exporter **exporter,
                                          struct tracez_error *error)
{
    struct tracez_exporter_config checked;
    enum tracez_result result = exporter_config_take(&checked, config, error);

    *exporter = NULL;
    if (result != TRACEZ_OK) {
        return result;
    }
    struct tracez_exporter *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return refuse(error, TRACEZ_NO_MEMORY, "exporter: no memory");
    }
    result = make(created, &checked, tracer, error);
    if (result != TRACEZ_OK) {
        free_exporter(created);
        return result;
    }
    set_wake(created, wake);
    *exporter = created;
    return TRACEZ_OK;
}

bool exporter_is_forked_child(const struct tracez_exporter *exporter)
{
    /* Relaxed: a process reads what it wrote itself, or what was there before it was forked. */
    pid_t process = atomic_load_explicit(&exporter->process, memory_order_relaxed);

    return process != 0 && process != getpid();
}

void tracez_exporter_destroy(struct tracez_exporter *exporter)
{
    /* In a forked child the thread, its locks and its sockets are the parent's: leave them. */
    if (exporter == NULL || exporter_is_forked_child(exporter)) {
        return;
    }
    enum tracez_result result =
        tracez_exporter_stop(exporter, exporter->config.shutdown_timeout_ms, false);
    set_wake(exporter, NULL);
    if (result != TRACEZ_TIMED_OUT) {
        free_exporter(exporter);
    } /* else leaked: the thread may come back to any of it */
}

/* ---- Start and stop -------------------------------------------------------------------------- */

/* Somebody takes profiles of this process by SIGPROF, as gperftools does. */
static bool is_profiled(void)
{
    struct sigaction action;

    return sigaction(SIGPROF, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
           action.sa_handler != SIG_IGN;
}

static int create_thread(struct tracez_exporter *exporter)
{
    sigset_t blocked;
    sigset_t before;

    /* Blocked before it starts: no signal of the host's may land there, but that of a profiler,
     * which would not see what the thread does. */
    sigfillset(&blocked);
    if (is_profiled()) {
        sigdelset(&blocked, SIGPROF);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int status = pthread_create(&exporter->thread, NULL, exporter_run, exporter);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static enum exporter_phase phase_of(struct exporter_shared *shared)
{
    pthread_mutex_lock(&shared->lock);
    enum exporter_phase phase = shared->phase;
    pthread_mutex_unlock(&shared->lock);
    return phase;
}

/* While no thread runs; orders of before are for nobody. */
static void set_phase(struct exporter_shared *shared, enum exporter_phase phase)
{
    pthread_mutex_lock(&shared->lock);
    shared->orders = (struct exporter_orders){0};
    shared->phase = phase;
    shared->is_open = phase == EXPORTER_RUNNING;
    pthread_mutex_unlock(&shared->lock);
}

enum tracez_result tracez_exporter_start(struct tracez_exporter *exporter,
                                         struct tracez_error *error)
{
    if (exporter_is_forked_child(exporter)) {
        return refuse(error, TRACEZ_BUSY, "exporter: it belongs to the process that started it");
    }
    if (phase_of(&exporter->shared) != EXPORTER_IDLE) {
        return refuse(error, TRACEZ_BUSY, "exporter: started already");
    }
    if (!threads_take(exporter->config.max_threads)) {
        return refuse(error, TRACEZ_BUSY,
                      "exporter: no thread: max_threads %u run in this process already",
                      exporter->config.max_threads);
    }
    if (!transport_open(&exporter->transport)) {
        threads_give_back();
        return refuse(error, TRACEZ_NO_MEMORY,
                      "exporter: libcurl has no memory, or no descriptors");
    }
    atomic_store_explicit(&exporter->process, getpid(), memory_order_relaxed);
    exporter->lease_ns = 0;
    exporter->pause_ns = 0;
    /* An earlier run may have ended in the middle of a probe. */
    retry_init(&exporter->retry, exporter->config.retry_min_ms, exporter->config.retry_max_ms,
               exporter->retry.random);
    exporter->orders = (struct exporter_orders){0};
    set_phase(&exporter->shared, EXPORTER_RUNNING);
    int status = create_thread(exporter);
    if (status != 0) {
        set_phase(&exporter->shared, EXPORTER_IDLE);
        transport_close(&exporter->transport);
        threads_give_back();
        return refuse(error, TRACEZ_SYSTEM, "exporter: no thread: %s", strerror(status));
    }
    return TRACEZ_OK;
}

/* Tells the thread to stop; under the lock. */
static void order_stop(struct tracez_exporter *exporter, uint64_t deadline_ns, bool keep_rest)
{
    struct exporter_shared *shared = &exporter->shared;

    shared->orders.stop = true;
    shared->orders.keep_rest = keep_rest;
    shared->orders.deadline_ns = deadline_ns;
    if (shared->is_open) {
        transport_wake(&exporter->transport);
    }
}

/* Gives orders and waits until the thread has ended, or should have. */
static enum exporter_phase stop_thread(struct tracez_exporter *exporter, uint64_t deadline_ns,
                                       bool keep_rest)
{
    struct exporter_shared *shared = &exporter->shared;
    uint64_t patience_ns = deadline_ns + WIND_UP_MS * NS_PER_MS;
    const struct timespec patience = {
        .tv_sec = (time_t)(patience_ns / NS_PER_S),
        .tv_nsec = (long)(patience_ns % NS_PER_S),
    };
    int status = 0;

    pthread_mutex_lock(&shared->lock);
    order_stop(exporter, deadline_ns, keep_rest);
    while (shared->phase == EXPORTER_RUNNING && status == 0) {
        status = pthread_cond_timedwait(&shared->ended, &shared->lock, &patience);
    }
    if (shared->phase == EXPORTER_RUNNING) {
        shared->phase = EXPORTER_STUCK;
        pthread_detach(exporter->thread);
    }
    enum exporter_phase phase = shared->phase;
    pthread_mutex_unlock(&shared->lock);
    return phase;
}

enum tracez_result tracez_exporter_stop(struct tracez_exporter *exporter, uint32_t timeout_ms,
                                        bool keep_rest)
{
    uint64_t deadline_ns = exporter_now_ns() + timeout_ms * NS_PER_MS;

    if (exporter_is_forked_child(exporter)) {
        return TRACEZ_OK;
    }
    switch (stop_thread(exporter, deadline_ns, keep_rest)) {
    case EXPORTER_ENDED:
        pthread_join(exporter->thread, NULL); /* it has nothing left to do but return */
        threads_give_back();
        set_phase(&exporter->shared, EXPORTER_IDLE);
        return TRACEZ_OK;
    case EXPORTER_STUCK:
        return TRACEZ_TIMED_OUT;
    default:
        return TRACEZ_OK; /* it was not started */
    }
}

void tracez_exporter_hand_over(struct tracez_exporter *exporter, uint32_t timeout_ms)
{
    struct exporter_shared *shared = &exporter->shared;

    if (exporter_is_forked_child(exporter)) {
        return;
    }
    pthread_mutex_lock(&shared->lock);
    if (shared->phase == EXPORTER_RUNNING) {
        order_stop(exporter, exporter_now_ns() + timeout_ms * NS_PER_MS, true);
    }
    pthread_mutex_unlock(&shared->lock);
}

void tracez_exporter_flush(struct tracez_exporter *exporter)
{
    struct exporter_shared *shared = &exporter->shared;

    if (exporter_is_forked_child(exporter)) {
        return;
    }
    pthread_mutex_lock(&shared->lock);
    shared->orders.flush = true;
    if (shared->is_open) {
        transport_wake(&exporter->transport);
    }
    pthread_mutex_unlock(&shared->lock);
}
