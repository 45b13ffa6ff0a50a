/* SPDX-License-Identifier: MIT
 *
 * When spans are exported: the background thread. Each turn of its loop reads the host's orders,
 * tries for the leases that it lacks, sends what is due, waits for something to happen, and
 * acknowledges what ended.
 *
 * A batch leaves when batch_size spans of a collector wait, when its interval is over, when a shard
 * is half full, or when the host flushes or stops. New batches are made only when they can leave at
 * once: while the backend is slow or down, spans stay in the collector, which is the one queue.
 * Where several collectors have something due, each has its turn.
 *
 * The thread never prints, never logs, handles no signal; when memory runs out it tries again
 * later. */
#include "exporter.h"

#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define LEASE_INTERVAL_LATE_MS 5
#define LEASE_LATE_MS 100 /* after the deadline: less than it takes to count as stuck */
#define MEMORY_PAUSE_MS 100
#define WAIT_MS_MAX 60000
#define POOL_IDLE_BATCHES 1 /* kept while nothing is to be done */

uint64_t exporter_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- Orders ---------------------------------------------------------------------------------- */

/* Everything unread is due now. */
static void make_due(struct tracez_exporter *exporter)
{
    struct window *window;
    uint32_t at = 0;

    while ((window = lanes_next_window(exporter, &at)) != NULL) {
        window_make_due(window);
    }
}

static void take_orders(struct tracez_exporter *exporter, uint64_t now_ns)
{
    struct exporter_shared *shared = &exporter->shared;
    bool was_stopping = exporter->orders.stop;

    pthread_mutex_lock(&shared->lock);
    exporter->orders = shared->orders;
    shared->orders.flush = false;
    pthread_mutex_unlock(&shared->lock);
    if (exporter->orders.stop && !was_stopping) {
        exporter->lease_ns = now_ns;
        retry_hurry(&exporter->retry, now_ns);
    }
    if (exporter->orders.flush || exporter->orders.stop) {
        make_due(exporter);
    }
}

/* ---- Sending --------------------------------------------------------------------------------- */

static bool is_due(const struct tracez_exporter *exporter, const struct window *window)
{
    if (!window->is_leased || window->is_leaving) {
        return false;
    }
    uint64_t unread = tracez_lane_unread(window->lane);
    return unread > 0 && window->count < WINDOW_BATCHES_MAX &&
           (window->due_spans > 0 || exporter->orders.stop || unread >= window->pace->batch_size ||
            unread >= window->half_spans || tracez_lane_is_pressed(window->lane));
}

static struct batch *find_waiting(struct tracez_exporter *exporter)
{
    struct batch *batch = NULL;
    struct window *window;
    uint32_t at = 0;

    while (batch == NULL && (window = lanes_next_window(exporter, &at)) != NULL) {
        batch = window_find(window, BATCH_WAITING);
    }
    return batch;
}

/* Reads one batch out of the next window where one is due. NULL: none is, or no memory. */
static struct batch *read_due(struct tracez_exporter *exporter, uint64_t now_ns)
{
    if (now_ns < exporter->pause_ns) {
        return NULL;
    }
    for (uint32_t tried = 0; tried < exporter->window_count; tried++) {
        struct window *window =
            &exporter->windows[exporter->next_window++ % exporter->window_count];
        if (!is_due(exporter, window)) {
            continue;
        }
        struct batch *batch =
            window_read(window, &exporter->pool, &exporter->envelopes, window->pace->batch_size);
        if (batch == NULL) {
            exporter->pause_ns = now_ns + MEMORY_PAUSE_MS * NS_PER_MS;
            exporter_note_error(exporter, "no memory for a batch");
        }
        return batch;
    }
    return NULL;
}

static bool may_send(const struct tracez_exporter *exporter, uint64_t now_ns)
{
    bool is_late = exporter->orders.stop && now_ns >= exporter->orders.deadline_ns;

    return !is_late && !exporter_is_handing_over(exporter) &&
           !transport_is_full(&exporter->transport) && retry_may_send(&exporter->retry, now_ns);
}

static void send_due(struct tracez_exporter *exporter, uint64_t now_ns)
{
    while (may_send(exporter, now_ns)) {
        struct batch *batch = find_waiting(exporter);
        if (batch == NULL) {
            batch = read_due(exporter, now_ns);
        }
        if (batch == NULL) {
            break;
        }
        if (batch->state == BATCH_WAITING) {
            attempts_begin(exporter, batch, now_ns);
        }
        /* A large batch takes milliseconds, and there may be a hundred of them. */
        now_ns = exporter_now_ns();
        take_orders(exporter, now_ns);
    }
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* Is every span of every collector where it belongs? What another process holds is its own affair,
 * but who does not hand over stays until it has let go, or the deadline. */
static bool is_all_done(const struct tracez_exporter *exporter)
{
    if (exporter_is_handing_over(exporter)) {
        return exporter->transport.active == 0;
    }
    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        struct tracez_collector_stats stats;

        tracez_collector_stats_init(&stats);
        tracez_collector_stats(exporter->windows[i].collector, &stats);
        if (stats.queued + stats.inflight > 0) {
            return false;
        }
    }
    return true;
}

static bool is_over(const struct tracez_exporter *exporter, uint64_t now_ns)
{
    return exporter->orders.stop &&
           (now_ns >= exporter->orders.deadline_ns || is_all_done(exporter));
}

static bool has_work(struct tracez_exporter *exporter)
{
    for (uint32_t i = 0; i < exporter->window_count; i++) {
        if (is_due(exporter, &exporter->windows[i])) {
            return true;
        }
    }
    return find_waiting(exporter) != NULL;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t first_tick_ns(const struct tracez_exporter *exporter)
{
    uint64_t first_ns = UINT64_MAX;

    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        first_ns = earlier(first_ns, exporter->paces[i].tick_ns);
    }
    return first_ns;
}

/* How long nothing is to be done, unless something happens. */
static int wait_ms(struct tracez_exporter *exporter, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + WAIT_MS_MAX * NS_PER_MS;

    if (exporter->orders.stop) {
        until_ns = earlier(until_ns, exporter->orders.deadline_ns);
    }
    if (lanes_are_due(exporter) && !exporter_is_handing_over(exporter)) {
        until_ns = earlier(until_ns, exporter->lease_ns);
    }
    if (exporter->leased > 0) {
        until_ns = earlier(until_ns, first_tick_ns(exporter));
    }
    /* A time that has come changes nothing more by itself: something else keeps the work waiting.
     */
    uint64_t next_ns = retry_next_ns(&exporter->retry);
    if (next_ns > now_ns && !exporter_is_handing_over(exporter) && has_work(exporter)) {
        until_ns = earlier(until_ns, next_ns);
    }
    if (exporter->pause_ns > now_ns) {
        until_ns = earlier(until_ns, exporter->pause_ns);
    }
    until_ns = earlier(until_ns, attempts_give_up_ns(exporter));
    /* Rounded up: a millisecond early would be a turn for nothing. */
    return until_ns <= now_ns ? 0 : (int)((until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

/* Begins the intervals that are over anew; all that waits in their collectors is due. */
static void keep_intervals(struct tracez_exporter *exporter, uint64_t now_ns)
{
    struct window *window;
    uint32_t at = 0;

    if (now_ns < first_tick_ns(exporter)) {
        return;
    }
    if (!has_work(exporter)) {
        batch_pool_trim(&exporter->pool, POOL_IDLE_BATCHES);
    }
    while ((window = lanes_next_window(exporter, &at)) != NULL) {
        if (window->pace->tick_ns <= now_ns) {
            window_make_due(window);
        }
    }
    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        struct pace *pace = &exporter->paces[i];
        if (pace->tick_ns <= now_ns) {
            pace->tick_ns = now_ns + pace->interval_ns;
        }
    }
}

/* Only the holder of a lane listens to it: the others would take its wake-ups away. */
static void listen_and_wait(struct tracez_exporter *exporter, uint64_t now_ns)
{
    int wake_fds[TRACEZ_LANES_MAX];
    unsigned listening = 0;
    uint64_t ignored;

    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        if (lanes_hold(exporter, lane)) {
            wake_fds[listening++] = exporter->wake_fds[lane];
        }
    }
    transport_wait(&exporter->transport, wake_fds, listening, wait_ms(exporter, now_ns));
    for (unsigned i = 0; i < listening; i++) {
        /* Nobody wrote, mostly; an eventfd is empty after one read. */
        ssize_t status = read(wake_fds[i], &ignored, sizeof(ignored));
        (void)status;
    }
}

static void turn(struct tracez_exporter *exporter, uint64_t now_ns)
{
    lanes_take(exporter, now_ns);
    keep_intervals(exporter, now_ns);
    attempts_give_up(exporter, now_ns);
    send_due(exporter, now_ns);
    attempts_settle(exporter);
    exporter_show_state(exporter);
    listen_and_wait(exporter, now_ns);
    attempts_finish(exporter, exporter_now_ns());
    lanes_let_go(exporter);
}

/* What is left must be counted by somebody, and another process that leaves at the same time may
 * have let go of it just now. */
static void take_leases_late(struct tracez_exporter *exporter)
{
    const uint64_t late_ns = exporter->orders.deadline_ns + LEASE_LATE_MS * NS_PER_MS;

    for (;;) {
        uint64_t now_ns = exporter_now_ns();
        exporter->lease_ns = 0;
        lanes_take(exporter, now_ns);
        if (exporter->leased == exporter->window_count || now_ns >= late_ns ||
            is_all_done(exporter)) {
            return;
        }
        poll(NULL, 0, LEASE_INTERVAL_LATE_MS);
    }
}

static void wind_up(struct tracez_exporter *exporter)
{
    struct exporter_shared *shared = &exporter->shared;
    struct tracez_outcome sum = {0};
    struct window *window;
    uint32_t at = 0;

    pthread_mutex_lock(&shared->lock);
    shared->is_open = false;
    pthread_mutex_unlock(&shared->lock);
    transport_close(&exporter->transport); /* after this, no body is in use */
    exporter_count_cut_off(exporter);
    if (!exporter->orders.keep_rest) {
        take_leases_late(exporter);
    }
    while ((window = lanes_next_window(exporter, &at)) != NULL) {
        if (exporter->orders.keep_rest) {
            window_abandon(window, &exporter->pool);
        } else {
            window_give_up(window, &exporter->pool, TRACEZ_DROP_SHUTDOWN_DEADLINE, &sum);
        }
    }
    exporter_count_outcome(exporter, &sum);
    lanes_release_all(exporter);
    batch_pool_trim(&exporter->pool, 0);
    exporter_show_state(exporter);
    pthread_mutex_lock(&shared->lock);
    shared->phase = shared->phase == EXPORTER_STUCK ? EXPORTER_STUCK : EXPORTER_ENDED;
    pthread_cond_broadcast(&shared->ended);
    pthread_mutex_unlock(&shared->lock);
}

/* An nginx worker may be pinned to the processor that it needs itself. */
static void use_all_processors(void)
{
    cpu_set_t processors;

    CPU_ZERO(&processors);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        CPU_SET(i, &processors);
    }
    pthread_setaffinity_np(pthread_self(), sizeof(processors), &processors);
}

void *exporter_run(void *state)
{
    struct tracez_exporter *exporter = state;

    use_all_processors();
    pthread_setname_np(pthread_self(), "tracez");
    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        exporter->paces[i].tick_ns = exporter_now_ns() + exporter->paces[i].interval_ns;
    }
    for (;;) {
        uint64_t now_ns = exporter_now_ns();
        take_orders(exporter, now_ns);
        if (is_over(exporter, now_ns)) {
            break;
        }
        turn(exporter, now_ns);
    }
    wind_up(exporter);
    return NULL;
}
