/* SPDX-License-Identifier: MIT
 *
 * The exporter as its own files see it. lifecycle.c makes, starts and stops it, on the host's
 * threads; exporter.c is the background thread, attempts.c what it sends and what becomes of that,
 * lanes.c which lanes it reads; stats.c is where the two sides meet over figures.
 *
 * Who may touch what: "shared" is under its lock; "wake_fds" and the configuration never change
 * between create and destroy; all else belongs to the thread while it runs, and to the host's
 * set-up calls otherwise. The request path never takes the lock: it writes to a wake_fd. */
#ifndef TRACEZ_EXPORTER_EXPORTER_H
#define TRACEZ_EXPORTER_EXPORTER_H

#include "answer.h"
#include "pace.h"
#include "retry.h"
#include "transport.h"
#include "window.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum exporter_phase { EXPORTER_IDLE, EXPORTER_RUNNING, EXPORTER_ENDED, EXPORTER_STUCK };

/* What the host wants. */
struct exporter_orders {
    bool stop;
    bool keep_rest;
    bool flush;
    uint64_t deadline_ns; /* of stop */
};

struct exporter_shared {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* monotonic clock */
    enum exporter_phase phase;
    bool is_open; /* the transport may be woken */
    struct exporter_orders orders;
    struct tracez_exporter_stats stats;
};

struct tracez_exporter {
    struct tracez_exporter_config config; /* numbers only */
    struct exporter_shared shared;
    _Atomic pid_t process; /* that started the thread; a forked child has none */
    pthread_t thread;
    int wake_fds[TRACEZ_LANES_MAX];

    struct transport transport;
    struct retry retry;
    struct envelopes envelopes;
    struct batch_pool pool;
    struct gzip gzip;
    struct window windows[TRACEZ_LANES_MAX * TRACEZ_COLLECTORS_MAX]; /* lane by lane */
    struct pace paces[TRACEZ_COLLECTORS_MAX];
    uint32_t window_count;
    uint32_t collector_count; /* windows of a lane */
    uint32_t lane_count;

    struct exporter_orders orders; /* as the thread last saw them */
    uint32_t leased;               /* of windows */
    uint32_t next_window;          /* to look for due spans: none is starved */
    uint64_t lease_ns;             /* when to try for further leases */
    uint64_t pause_ns;             /* no memory: no new batch before */
};

uint64_t exporter_now_ns(void); /* monotonic */

/* The thread. */
void *exporter_run(void *state);

/* Others will go on here: what is in flight comes to its end, nothing more is begun. */
static inline bool exporter_is_handing_over(const struct tracez_exporter *exporter)
{
    return exporter->orders.stop && exporter->orders.keep_rest;
}

/* ---- attempts.c: by the thread ---- */

/* Sends a batch that waits; or, without memory, notes that as a failure. */
void attempts_begin(struct tracez_exporter *exporter, struct batch *batch, uint64_t now_ns);

/* Sees to the attempts that have ended. */
void attempts_finish(struct tracez_exporter *exporter, uint64_t now_ns);

/* Acknowledges what is done. */
void attempts_settle(struct tracez_exporter *exporter);

/* Drops what has waited for longer than retry_max_elapsed; and when that will be due next. */
void attempts_give_up(struct tracez_exporter *exporter, uint64_t now_ns);
uint64_t attempts_give_up_ns(struct tracez_exporter *exporter);

/* ---- lanes.c: by the thread ---- */

/* The next window, from *at on, that is leased; NULL after the last one. */
struct window *lanes_next_window(struct tracez_exporter *exporter, uint32_t *at);

/* Does this exporter read the lane? */
bool lanes_hold(const struct tracez_exporter *exporter, uint32_t lane);

/* When it is time, takes what nobody holds, and heeds who has none. */
void lanes_take(struct tracez_exporter *exporter, uint64_t now_ns);

/* Lets go of lanes that are leaving, once nothing of them is under way. */
void lanes_let_go(struct tracez_exporter *exporter);
void lanes_release_all(struct tracez_exporter *exporter);

/* Is there anything to try for, or to heed, at lease_ns? */
bool lanes_are_due(const struct tracez_exporter *exporter);

/* ---- lifecycle.c: by anybody ---- */

/* Is the thread another process's? Then so are its locks. */
bool exporter_is_forked_child(const struct tracez_exporter *exporter);

/* ---- stats.c: by the thread ---- */

/* An attempt began; it ended (answer: of the backend that accepted it, else NULL); all that were
 * under way were cut off. */
void exporter_count_sent(struct tracez_exporter *exporter, const struct batch *batch);
void exporter_count_attempt(struct tracez_exporter *exporter, const struct batch *batch,
                            const struct transport_result *result, const struct answer *answer,
                            uint64_t now_ns);
void exporter_count_cut_off(struct tracez_exporter *exporter);

/* What was acknowledged. */
void exporter_count_outcome(struct tracez_exporter *exporter, const struct tracez_outcome *outcome);

/* An attempt could not even be made. */
void exporter_note_error(struct tracez_exporter *exporter, const char *text);

/* Tells what lease and retry say about the state. */
void exporter_show_state(struct tracez_exporter *exporter);

#endif
