/* SPDX-License-Identifier: MIT
 *
 * What begins and ends with a process: the core module. It adds the zones when
 * the whole configuration is read (worker_processes may follow http{}), and
 * gives each worker its tracer and its exporter's thread; never the master,
 * the cache manager or the cache loader.
 *
 * No failure here keeps a worker from serving: it serves untraced, and says so
 * in the log once. */
#include "ngx_http_tracez.h"

#include <sys/eventfd.h>


#define NGX_HTTP_TRACEZ_LIVE_MAX      1048576
#define NGX_HTTP_TRACEZ_TERM_MS       1000   /* nginx kills about 3 s later */


static void *ngx_tracez_create_conf(ngx_cycle_t *cycle);
static char *ngx_tracez_init_conf(ngx_cycle_t *cycle, void *conf);
static ngx_int_t ngx_tracez_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_tracez_init_process(ngx_cycle_t *cycle);
static void ngx_tracez_exit_process(ngx_cycle_t *cycle);


static ngx_core_module_t  ngx_tracez_module_ctx = {
    ngx_string("tracez"),
    ngx_tracez_create_conf,
    ngx_tracez_init_conf
};


ngx_module_t  ngx_tracez_module = {
    NGX_MODULE_V1,
    &ngx_tracez_module_ctx,                /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_tracez_init_module,                /* init module */
    ngx_tracez_init_process,               /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_tracez_exit_process,               /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* Each wakes the thread that reads one lane, in whichever worker it is. They
 * go with a buffer: old and new workers share them as long as they share that,
 * and who still empties an older one takes away no wake-up of others. */

static int         ngx_tracez_wake_fds[TRACEZ_LANES_MAX];
static ngx_uint_t  ngx_tracez_nwake_fds;
static uint64_t    ngx_tracez_wake_buffer;           /* its id */


/* the configuration is a pointer to that of http{}, NULL where there is none */

static void *
ngx_tracez_create_conf(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(void *));
}


static ngx_http_tracez_main_conf_t *
ngx_tracez_get_http(ngx_cycle_t *cycle)
{
    ngx_http_tracez_main_conf_t  **tmcf;

    tmcf = (ngx_http_tracez_main_conf_t **)
               ngx_get_conf(cycle->conf_ctx, ngx_tracez_module);

    /* an http{} without a server has no buffer, and no requests either */

    return (*tmcf != NULL && (*tmcf)->enabled && (*tmcf)->resources.nelts != 0)
           ? *tmcf : NULL;
}


static char *
ngx_tracez_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_tracez_get_http(cycle);

    if (tmcf != NULL && ngx_http_tracez_add_zones(cycle, tmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* the configuration will run: nothing can refuse it any more */

static void
ngx_tracez_open_wake_fds(ngx_cycle_t *cycle, ngx_uint_t lanes)
{
    while (ngx_tracez_nwake_fds > 0) {
        (void) close(ngx_tracez_wake_fds[--ngx_tracez_nwake_fds]);
    }

    while (ngx_tracez_nwake_fds < lanes) {
        ngx_tracez_wake_fds[ngx_tracez_nwake_fds] =
                                     eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

        if (ngx_tracez_wake_fds[ngx_tracez_nwake_fds] == -1) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                          "tracez: eventfd() failed, batches of workers that "
                          "do not export wait for the interval");
        }

        ngx_tracez_nwake_fds++;
    }
}


static ngx_int_t
ngx_tracez_init_module(ngx_cycle_t *cycle)
{
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_tracez_get_http(cycle);

    if (ngx_test_config || tmcf == NULL) {
        return NGX_OK;
    }

    ngx_http_tracez_buffer(tmcf)->current = tmcf->configuration;

    if (ngx_http_tracez_buffer(tmcf)->id != ngx_tracez_wake_buffer) {
        ngx_tracez_wake_buffer = ngx_http_tracez_buffer(tmcf)->id;
        ngx_tracez_open_wake_fds(cycle, tmcf->tracer_config.lanes);
    }

    return NGX_OK;
}


/* ---- beginning ---------------------------------------------------------- */

static void
ngx_tracez_raise(ngx_atomic_t *number, ngx_uint_t to)
{
    ngx_atomic_uint_t  now;

    do {
        now = *number;
    } while (now != to && !ngx_http_tracez_is_newer(now, to)
             && !ngx_atomic_cmp_set(number, now, to));
}


/* NGX_BUSY where all lines are in use, or somebody is at the door */

static ngx_int_t
ngx_tracez_create_tracer(ngx_cycle_t *cycle, ngx_http_tracez_main_conf_t *tmcf,
    ngx_uint_t wait)
{
    struct tracez_error        error;
    struct tracez_config      *config;
    ngx_http_tracez_buffer_t  *buffer;
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);
    buffer = ngx_http_tracez_buffer(tmcf);

    tmcf->line = ngx_http_tracez_claim_line(tmcf, wait);

    if (tmcf->line == NGX_ERROR) {
        return NGX_BUSY;
    }

    config = &tmcf->tracer_config;
    config->buffer_bytes = tracez_buffer_bytes(config, NULL);
    config->buffer_memory = ngx_http_tracez_behind(buffer);
    config->ledger_memory = ngx_http_tracez_behind(shared);
    config->ledger_bytes = tracez_ledger_bytes();
    config->writer = (uint32_t) tmcf->line;
    config->is_single_threaded = true;
    config->live_spans_max = (uint32_t) ngx_max(1,
                             ngx_min(cycle->connection_n,
                                     NGX_HTTP_TRACEZ_LIVE_MAX));

    if (tracez_tracer_create(config, &tmcf->tracer, &error) != TRACEZ_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "tracez: this worker traces nothing: %s", error.text);
        ngx_http_tracez_release_line(tmcf);
        return NGX_ERROR;
    }

    ngx_http_tracez_take_over_own(tmcf);
    ngx_http_tracez_take_over(tmcf, wait);

    /* Known before this worker records: older ones stop exporting now. A
     * configuration that has no worker here does not count. */

    ngx_tracez_raise(&buffer->newest, tmcf->configuration);
    ngx_tracez_raise(&shared->newest_buffer, (ngx_uint_t) buffer->id);

    return NGX_OK;
}


static ngx_int_t
ngx_tracez_run_exporter(ngx_cycle_t *cycle, ngx_http_tracez_main_conf_t *tmcf)
{
    struct tracez_error  error;

    if (tracez_exporter_start(tmcf->exporter, &error) != TRACEZ_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "tracez: this worker exports nothing, and leaves that "
                      "to the others: %s", error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_tracez_create_exporter(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_uint_t                      i;
    struct tracez_error             error;
    struct tracez_exporter_config  *config;

    config = &tmcf->exporter_config;

    for (i = 0; i < ngx_tracez_nwake_fds; i++) {
        config->wake_fds[i] = ngx_tracez_wake_fds[i];
    }

    if (tracez_exporter_create(config, tmcf->tracer, &tmcf->exporter, &error)
        != TRACEZ_OK)
    {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "tracez: this worker exports nothing, and leaves that "
                      "to the others: %s", error.text);
        ngx_http_tracez_stay_no_longer(tmcf);
        return;
    }

    if (ngx_tracez_run_exporter(cycle, tmcf) != NGX_OK) {
        tracez_exporter_destroy(tmcf->exporter);
        tmcf->exporter = NULL;
        ngx_http_tracez_stay_no_longer(tmcf);
        return;
    }

    ngx_http_tracez_timer_start(tmcf, ngx_http_tracez_report_handler,
                                cycle->log);
}


/* A reload of many workers has twice as many for a while: those that come in
 * vain come again when the old ones have left. */

static void
ngx_tracez_wait_handler(ngx_event_t *ev)
{
    ngx_cycle_t                  *cycle;
    ngx_connection_t             *dumb;
    ngx_http_tracez_main_conf_t  *tmcf;

    dumb = ev->data;
    tmcf = dumb->data;
    cycle = (ngx_cycle_t *) ngx_cycle;

    switch (ngx_tracez_create_tracer(cycle, tmcf, 0)) {

    case NGX_OK:
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "tracez: this worker traces from now on");
        ngx_tracez_create_exporter(cycle, tmcf);
        break;

    case NGX_BUSY:
        ngx_add_timer(ev, NGX_HTTP_TRACEZ_INTERVAL_MS);
        break;
    }
}


static ngx_int_t
ngx_tracez_init_process(ngx_cycle_t *cycle)
{
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_tracez_get_http(cycle);

    if (tmcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    switch (ngx_tracez_create_tracer(cycle, tmcf, 1)) {

    case NGX_OK:
        ngx_tracez_create_exporter(cycle, tmcf);
        break;

    case NGX_BUSY:
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "tracez: this worker traces nothing yet: %d processes "
                      "trace already, which is the most", TRACEZ_WRITERS_MAX);
        ngx_http_tracez_timer_start(tmcf, ngx_tracez_wait_handler, cycle->log);
        break;
    }

    return NGX_OK;
}


/* ---- ending ------------------------------------------------------------- */

/* A thread that could not be ended, or a name lookup that libcurl left behind,
 * must not meet the exit handlers of libraries that it is in. */

static void
ngx_tracez_exit_now(int status, void *unused)
{
    _exit(status);
}


/* The last process that uses the buffer sends what is in it. The others only
 * let their requests come to an end, and leave the rest to those who stay. */

static enum tracez_result
ngx_tracez_stop_exporter(ngx_cycle_t *cycle, ngx_http_tracez_main_conf_t *tmcf,
    ngx_uint_t last)
{
    uint32_t            timeout;
    enum tracez_result  rc;

    ngx_http_tracez_timer_stop(tmcf);

#ifndef __SANITIZE_ADDRESS__                /* its report needs exit handlers */
    on_exit(ngx_tracez_exit_now, NULL);
#endif

    timeout = tmcf->exporter_config.shutdown_timeout_ms;

    if (!last) {
        /* early enough for the last one to have the rest before its time */

        timeout = ngx_min(timeout / 2, NGX_HTTP_TRACEZ_HAND_OVER_MS);

    } else if (ngx_terminate) {
        timeout = ngx_min(timeout, NGX_HTTP_TRACEZ_TERM_MS);
    }

    rc = TRACEZ_OK;

    if (last && tmcf->handed_over) {
        /* those that it was handed to have left already: go on once more */

        rc = tracez_exporter_stop(tmcf->exporter, 0, true);

        if (rc == TRACEZ_OK) {
            (void) ngx_tracez_run_exporter(cycle, tmcf);
        }
    }

    if (rc == TRACEZ_OK) {
        rc = tracez_exporter_stop(tmcf->exporter, timeout, !last);
    }

    if (last) {
        ngx_http_tracez_report_end(tmcf, cycle->log);
    }

    return rc;
}


static void
ngx_tracez_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                    last;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_tracez_get_http(cycle);

    if (tmcf == NULL || tmcf->tracer == NULL) {
        return;
    }

    /* who is told to leave at once leaves requests behind */

    tracez_tracer_take_over(tmcf->tracer, (uint32_t) tmcf->line);

    last = ngx_http_tracez_leave_line(tmcf);

    if (last) {
        /* nobody comes after us to see to who died a moment ago */
        ngx_http_tracez_take_over(tmcf, 1);
    }

    if (tmcf->exporter != NULL) {
        if (ngx_tracez_stop_exporter(cycle, tmcf, last) == TRACEZ_TIMED_OUT) {
            /* the thread may still touch the tracer: leave all as it is */
            on_exit(ngx_tracez_exit_now, NULL);
            return;
        }

        tracez_exporter_destroy(tmcf->exporter);
        tmcf->exporter = NULL;
    }

    tracez_tracer_destroy(tmcf->tracer);
    tmcf->tracer = NULL;

    ngx_http_tracez_release_line(tmcf);
}
