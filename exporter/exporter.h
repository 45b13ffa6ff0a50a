/* SPDX-License-Identifier: MIT
 *
 * The exporter as its own files see it. lifecycle.c makes, starts and stops it, on the host's
 * threads; exporter.c is the background thread; stats.c is where the two meet over figures.
 *
 * Who may touch what: "shared" is under its lock; "wake_fd" and the configuration never change
 * between create and destroy; all else belongs to the thread while it runs, and to the host's
 * set-up calls otherwise. The request path never takes the lock: it writes to wake_fd. */
#ifndef TRACEZ_EXPORTER_EXPORTER_H
#define TRACEZ_EXPORTER_EXPORTER_H

#include "retry.h"
#include "transport.h"
#include "window.h"

#include <pthread.h>
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
    pid_t process; /* that started the thread; a forked child has none */
    pthread_t thread;
    int wake_fd;
    bool owns_wake_fd;

    struct transport transport;
    struct retry retry;
    struct envelopes envelopes;
    struct batch_pool pool;
    struct window windows[TRACEZ_COLLECTORS_MAX];
    uint32_t window_count;

    struct exporter_orders orders; /* as the thread last saw them */
    uint32_t leased;               /* of windows, the first ones */
    uint32_t next_window;          /* to look for due spans: none is starved */
    uint64_t lease_ns;             /* when to try for the next lease */
    uint64_t tick_ns;              /* when the interval is over */
    uint64_t pause_ns;             /* no memory: no new batch before */
};

uint64_t exporter_now_ns(void); /* monotonic */

/* The thread. */
void *exporter_run(void *state);

/* ---- stats.c: by the thread ---- */

void exporter_count_attempt(struct tracez_exporter *exporter, const struct transport_result *result,
                            bool is_accepted, bool is_malformed, size_t body_bytes);
void exporter_count_exported(struct tracez_exporter *exporter, uint64_t spans);

/* An attempt could not even be made. */
void exporter_note_error(struct tracez_exporter *exporter, const char *text);

/* Tells what lease and retry say about the state. */
void exporter_show_state(struct tracez_exporter *exporter);

#endif
