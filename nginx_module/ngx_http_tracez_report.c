/* SPDX-License-Identifier: MIT
 *
 * Telling people how exporting goes. Once a second a process that exports sees
 * to what dead ones left, publishes its figures, and logs what changed: the
 * backend failed, the backend is back, spans are being dropped, no more are.
 * Each is said once, and again after half a minute at the earliest, whichever
 * process says it; of several lanes, each for itself, but drops by the first.
 * The last process has the last word: where all spans went. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_LOG_INTERVAL   30


static const char  *ngx_http_tracez_hints[TRACEZ_DROP_COUNT] = {
    [TRACEZ_DROP_QUEUE_FULL] =
        "the buffer is full; raise tracez_buffer_size, sample less, or see "
        "why the backend is slow",
    [TRACEZ_DROP_NO_SLOT] =
        "more requests at once than worker_connections",
    [TRACEZ_DROP_OVERSIZE] =
        "longer than the buffer or a request body takes; lower "
        "tracez_max_tag_size",
    [TRACEZ_DROP_RATE] =
        "more than tracez_limit allows a second; raise it, or sample less",
    [TRACEZ_DROP_MEMORY_LIMIT] =
        "tracez_limit leaves no memory for more spans at once; raise it",
    [TRACEZ_DROP_REJECTED] =
        "the backend refused them for good; see last_error on the status page",
    [TRACEZ_DROP_PARTIAL_REJECTED] =
        "the backend took the rest of their batches",
    [TRACEZ_DROP_RETRY_EXHAUSTED] =
        "retry_max_elapsed was over",
    [TRACEZ_DROP_SHUTDOWN_DEADLINE] =
        "the backend did not take them before nginx left; raise "
        "shutdown_timeout",
    [TRACEZ_DROP_WORKER_LOST] =
        "their requests were under way when a worker died, or had to leave",
    [TRACEZ_DROP_CORRUPT] =
        "what lay in shared memory made no sense",
};


/* ---- lines for people --------------------------------------------------- */

/* unsigned, as the time may be anybody's: one in the future is long ago */

static ngx_uint_t
ngx_http_tracez_is_long_ago(time_t then)
{
    return (ngx_uint_t) ngx_time() - (ngx_uint_t) then
           >= NGX_HTTP_TRACEZ_LOG_INTERVAL;
}


static void
ngx_http_tracez_log_state(ngx_http_tracez_published_t *published,
    struct tracez_exporter_stats *stats, uint64_t waiting, ngx_log_t *log)
{
    time_t  now;

    now = ngx_time();

    if (stats->state == TRACEZ_EXPORTER_DOWN && !published->is_down
        && (published->down_logged == 0
            || ngx_http_tracez_is_long_ago(published->down_logged)))
    {
        published->is_down = 1;
        published->down_logged = now;

        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "tracez: export to %s failed (%s), %uL spans waiting, "
                      "trying again",
                      stats->endpoint, stats->last_error, waiting);
        return;
    }

    /* an exporter that has just taken over knows nothing yet */

    if (stats->state == TRACEZ_EXPORTER_UP && published->is_down
        && stats->batches > 0)
    {
        published->is_down = 0;

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "tracez: export to %s works again, %uL spans waiting",
                      stats->endpoint, waiting);
    }
}


static void
ngx_http_tracez_log_loss(ngx_http_tracez_loss_t *loss, enum tracez_drop reason,
    uint64_t dropped, ngx_uint_t last, ngx_log_t *log)
{
    time_t  now;

    now = ngx_time();

    if (dropped > loss->seen) {
        loss->seen = dropped;
        loss->seen_at = now;
    }

    if (loss->seen > loss->logged
        && (last || loss->logged_at == 0
            || ngx_http_tracez_is_long_ago(loss->logged_at)))
    {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "tracez: %uL spans dropped (%s): %s",
                      loss->seen - loss->logged, tracez_drop_text(reason),
                      ngx_http_tracez_hints[reason]
                      ? ngx_http_tracez_hints[reason] : "see the status page");

        loss->logged = loss->seen;
        loss->logged_at = now;
        loss->is_losing = 1;

    } else if (loss->is_losing
               && ngx_http_tracez_is_long_ago(loss->seen_at))
    {
        loss->is_losing = 0;

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "tracez: no more spans dropped (%s), %uL in all",
                      tracez_drop_text(reason), loss->seen);
    }
}


static void
ngx_http_tracez_read_ledger(ngx_http_tracez_main_conf_t *tmcf,
    struct tracez_stats *ledger)
{
    (void) tracez_tracer_audit(tmcf->tracer, ngx_http_tracez_is_alone, tmcf);

    tracez_stats_init(ledger);
    tracez_tracer_stats(tmcf->tracer, ledger);
}


static void
ngx_http_tracez_log_changes(ngx_http_tracez_main_conf_t *tmcf,
    struct tracez_stats *ledger, ngx_uint_t last, ngx_log_t *log)
{
    ngx_uint_t                    i, lane;
    struct tracez_exporter_stats  stats;
    ngx_http_tracez_published_t  *published;

    tracez_exporter_stats_init(&stats);
    tracez_exporter_stats(tmcf->exporter, &stats);

    lane = ngx_http_tracez_first_lane(&stats);
    published = &ngx_http_tracez_shared(tmcf)->published[lane];

    ngx_http_tracez_log_state(published, &stats,
                              ledger->queued + ledger->inflight, log);

    for (i = 0; i < TRACEZ_DROP_COUNT && lane == 0; i++) {
        ngx_http_tracez_log_loss(&published->losses[i], (enum tracez_drop) i,
                                 ledger->dropped[i], last, log);
    }

    if (lane == 0 && !last) {
        ngx_http_tracez_monitor(tmcf, log);
    }

    ngx_http_tracez_publish(tmcf);
}


static void
ngx_http_tracez_report(ngx_http_tracez_main_conf_t *tmcf, ngx_log_t *log)
{
    struct tracez_stats  ledger;

    ngx_http_tracez_read_ledger(tmcf, &ledger);
    ngx_http_tracez_log_changes(tmcf, &ledger, 0, log);
}


/* by the last process that uses the buffer, when its exporter has ended or is
 * given up: nobody will read a status page any more */

void
ngx_http_tracez_report_end(ngx_http_tracez_main_conf_t *tmcf, ngx_log_t *log)
{
    uint64_t             dropped, left;
    ngx_uint_t           i;
    struct tracez_stats  ledger;

    ngx_http_tracez_read_ledger(tmcf, &ledger);
    ngx_http_tracez_log_changes(tmcf, &ledger, 1, log);

    dropped = 0;

    for (i = 0; i < TRACEZ_DROP_COUNT; i++) {
        dropped += ledger.dropped[i];
    }

    left = ledger.queued + ledger.inflight;

    if (left != 0) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "tracez: %uL spans are lost with the buffer: the "
                      "exporter's thread hangs", left);
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "tracez: of %uL spans, %uL were exported and %uL dropped",
                  ledger.recorded, ledger.exported, dropped);
}


/* ---- once a second ------------------------------------------------------ */

/* No hook tells a worker that it has to leave, and a websocket may keep it for
 * hours: it must not export where an older configuration says. */

static void
ngx_http_tracez_hand_over(ngx_http_tracez_main_conf_t *tmcf)
{
    if (!tmcf->handed_over
        && ngx_http_tracez_is_newer(ngx_http_tracez_buffer(tmcf)->newest,
                                    tmcf->configuration))
    {
        tmcf->handed_over = 1;
        ngx_http_tracez_stay_no_longer(tmcf);
        tracez_exporter_hand_over(tmcf->exporter,
                                  NGX_HTTP_TRACEZ_HAND_OVER_MS);
    }
}


void
ngx_http_tracez_report_handler(ngx_event_t *ev)
{
    ngx_connection_t              *dumb;
    struct tracez_exporter_stats   stats;
    ngx_http_tracez_main_conf_t   *tmcf;

    dumb = ev->data;
    tmcf = dumb->data;

    ngx_http_tracez_hand_over(tmcf);

    tracez_exporter_stats_init(&stats);
    tracez_exporter_stats(tmcf->exporter, &stats);

    if (stats.state != TRACEZ_EXPORTER_WAITING) {
        ngx_http_tracez_take_over(tmcf, 0);
        ngx_http_tracez_report(tmcf, ev->log);
    }

    ngx_add_timer(ev, NGX_HTTP_TRACEZ_INTERVAL_MS);
}


void
ngx_http_tracez_timer_start(ngx_http_tracez_main_conf_t *tmcf,
    ngx_event_handler_pt handler, ngx_log_t *log)
{
    tmcf->dumb.fd = (ngx_socket_t) -1;
    tmcf->dumb.data = tmcf;

    tmcf->timer.handler = handler;
    tmcf->timer.data = &tmcf->dumb;
    tmcf->timer.log = log;
    tmcf->timer.cancelable = 1;            /* keeps no worker from leaving */

    ngx_add_timer(&tmcf->timer, NGX_HTTP_TRACEZ_INTERVAL_MS);
}


void
ngx_http_tracez_timer_stop(ngx_http_tracez_main_conf_t *tmcf)
{
    if (tmcf->timer.timer_set) {
        ngx_del_timer(&tmcf->timer);
    }
}
