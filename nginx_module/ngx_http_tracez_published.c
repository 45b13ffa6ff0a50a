/* SPDX-License-Identifier: MIT
 *
 * The figures of exporters, in shared memory, so that any worker can answer
 * for all of them. Each lane has a place, which its exporter writes; one that
 * reads several lanes counts in the first of them only. What is read is added
 * up, and believed only as far as it cannot harm. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_READ_TRIES     8


/* the lane in whose place an exporter counts; 0 also when it has none */

ngx_uint_t
ngx_http_tracez_first_lane(struct tracez_exporter_stats *stats)
{
    ngx_uint_t  lane;

    for (lane = 0; lane < TRACEZ_LANES_MAX; lane++) {
        if (stats->lanes & (1U << lane)) {
            return lane;
        }
    }

    return 0;
}


static void
ngx_http_tracez_write_place(ngx_http_tracez_published_t *published,
    struct tracez_exporter_stats *stats)
{
    published->sequence |= 1;              /* also after one that died here */
    ngx_memory_barrier();

    published->pid = ngx_pid;
    published->stats = *stats;

    ngx_memory_barrier();
    (void) ngx_atomic_fetch_add(&published->sequence, 1);
}


/* Where this process exports, and nobody else does into a newer buffer. */

void
ngx_http_tracez_publish(ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_uint_t                     lane, first;
    struct tracez_exporter_stats   stats, nothing;
    ngx_http_tracez_shared_t      *shared;

    if (tmcf->exporter == NULL) {
        return;
    }

    shared = ngx_http_tracez_shared(tmcf);

    tracez_exporter_stats_init(&stats);
    tracez_exporter_stats(tmcf->exporter, &stats);

    if (stats.state == TRACEZ_EXPORTER_WAITING
        || ngx_http_tracez_is_newer(shared->newest_buffer,
                                    ngx_http_tracez_buffer(tmcf)->id))
    {
        return;
    }

    ngx_memzero(&nothing, sizeof(struct tracez_exporter_stats));
    nothing.state = stats.state;

    first = ngx_http_tracez_first_lane(&stats);

    for (lane = 0; lane < TRACEZ_LANES_MAX; lane++) {
        if (stats.lanes & (1U << lane)) {
            ngx_http_tracez_write_place(&shared->published[lane],
                                        lane == first ? &stats : &nothing);
        }
    }
}


/* text that is text whatever lay there: both are ASCII */

static void
ngx_http_tracez_end_text(char *text, size_t bytes)
{
    size_t  i;

    text[bytes - 1] = '\0';

    for (i = 0; text[i] != '\0'; i++) {
        if ((u_char) text[i] >= 0x7f) {
            text[i] = '?';
        }
    }
}


/* What was published last. A process that died while it wrote leaves an odd
 * sequence: then what is there is taken, with its texts ended. */

static void
ngx_http_tracez_read_place(ngx_http_tracez_published_t *published,
    ngx_http_tracez_lane_t *lane, struct tracez_exporter_stats *stats)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  sequence;

    for (i = 0; i < NGX_HTTP_TRACEZ_READ_TRIES; i++) {
        sequence = published->sequence;
        ngx_memory_barrier();

        lane->pid = published->pid;
        *stats = published->stats;

        ngx_memory_barrier();

        if (sequence % 2 == 0 && sequence == published->sequence) {
            break;
        }
    }

    ngx_http_tracez_end_text(stats->last_error, sizeof(stats->last_error));
    ngx_http_tracez_end_text(stats->endpoint, sizeof(stats->endpoint));

    if ((ngx_uint_t) stats->state > TRACEZ_EXPORTER_DOWN) {
        stats->state = TRACEZ_EXPORTER_WAITING;    /* somebody overwrote it */
    }

    lane->state = stats->state;
    lane->batches = stats->batches;
}


static uint64_t
ngx_http_tracez_first_of(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 ? a : ngx_min(a, b);
}


static void
ngx_http_tracez_add_histogram(struct tracez_histogram *sum,
    struct tracez_histogram *histogram)
{
    ngx_uint_t  i;

    for (i = 0; i <= TRACEZ_HISTOGRAM_BOUNDS; i++) {
        sum->buckets[i] += histogram->buckets[i];
    }

    sum->sum += histogram->sum;
}


static void
ngx_http_tracez_add_place(struct tracez_exporter_stats *sum,
    struct tracez_exporter_stats *stats)
{
    ngx_uint_t  i;

    sum->exported += stats->exported;

    for (i = 0; i < TRACEZ_DROP_COUNT; i++) {
        sum->dropped[i] += stats->dropped[i];
    }

    sum->inflight += stats->inflight;
    sum->attempts += stats->attempts;
    sum->batches += stats->batches;
    sum->failed_attempts += stats->failed_attempts;
    sum->retries += stats->retries;
    sum->requests_inflight += stats->requests_inflight;
    sum->malformed_responses += stats->malformed_responses;
    sum->body_bytes += stats->body_bytes;
    sum->wire_bytes += stats->wire_bytes;
    sum->connections_opened += stats->connections_opened;

    ngx_http_tracez_add_histogram(&sum->batch_spans, &stats->batch_spans);
    ngx_http_tracez_add_histogram(&sum->duration_ns, &stats->duration_ns);
    ngx_http_tracez_add_histogram(&sum->failed_duration_ns,
                                  &stats->failed_duration_ns);

    sum->last_success_unix_ns = ngx_max(sum->last_success_unix_ns,
                                        stats->last_success_unix_ns);
    sum->last_error_unix_ns = ngx_max(sum->last_error_unix_ns,
                                      stats->last_error_unix_ns);
    sum->down_since_unix_ns =
                        ngx_http_tracez_first_of(sum->down_since_unix_ns,
                                                 stats->down_since_unix_ns);

    if (stats->endpoint[0] != '\0') {
        ngx_memcpy(sum->endpoint, stats->endpoint, sizeof(sum->endpoint));
    }

    /* of what does not work rather than of what once did not */

    if (stats->last_error[0] != '\0'
        && (sum->last_error[0] == '\0' || stats->state > sum->state))
    {
        ngx_memcpy(sum->last_error, stats->last_error,
                   sizeof(sum->last_error));
    }

    sum->state = ngx_max(sum->state, stats->state);
}


/* Each of the configuration's lanes, and their exporters' figures in all. */

void
ngx_http_tracez_read_published(ngx_http_tracez_main_conf_t *tmcf,
    ngx_http_tracez_lane_t *lanes, struct tracez_exporter_stats *sum)
{
    ngx_uint_t                    i;
    struct tracez_exporter_stats  stats;

    ngx_http_tracez_publish(tmcf);         /* ours are fresher than a second */

    ngx_memzero(sum, sizeof(struct tracez_exporter_stats));
    tracez_exporter_stats_init(sum);

    for (i = 0; i < tmcf->tracer_config.lanes; i++) {
        ngx_http_tracez_read_place(&ngx_http_tracez_shared(tmcf)->published[i],
                                   &lanes[i], &stats);
        ngx_http_tracez_add_place(sum, &stats);
    }

    if (sum->endpoint[0] == '\0' && tmcf->exporter != NULL) {
        /* nobody has had a lane yet */
        tracez_exporter_stats(tmcf->exporter, sum);
    }
}
