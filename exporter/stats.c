/* SPDX-License-Identifier: MIT
 *
 * What the exporter says about itself. The thread writes, anybody reads, under the shared lock,
 * which is held for as long as it takes to copy a struct. */
#include "exporter.h"

#include "histogram.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t unix_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void set_error(struct tracez_exporter_stats *stats, const char *text)
{
    snprintf(stats->last_error, sizeof(stats->last_error), "%s", text);
    stats->last_error_unix_ns = unix_ns();
}

void exporter_count_sent(struct tracez_exporter *exporter, const struct batch *batch)
{
    pthread_mutex_lock(&exporter->shared.lock);
    exporter->shared.stats.inflight += batch->body.spans;
    exporter->shared.stats.requests_inflight++;
    pthread_mutex_unlock(&exporter->shared.lock);
}

void exporter_count_cut_off(struct tracez_exporter *exporter)
{
    pthread_mutex_lock(&exporter->shared.lock);
    exporter->shared.stats.inflight = 0;
    exporter->shared.stats.requests_inflight = 0;
    pthread_mutex_unlock(&exporter->shared.lock);
}

static void count_accepted(struct tracez_exporter_stats *stats, const struct batch *batch,
                           const struct transport_result *result, const struct answer *answer)
{
    stats->batches++;
    stats->malformed_responses += answer->is_malformed;
    stats->body_bytes += batch->body.bytes;
    stats->wire_bytes += result->sent_bytes;
    stats->last_success_unix_ns = unix_ns();
    histogram_add(&stats->batch_spans, tracez_batch_spans_bounds, batch->body.spans);
}

void exporter_count_attempt(struct tracez_exporter *exporter, const struct batch *batch,
                            const struct transport_result *result, const struct answer *answer,
                            uint64_t now_ns)
{
    struct exporter_shared *shared = &exporter->shared;
    struct tracez_exporter_stats *stats = &shared->stats;

    pthread_mutex_lock(&shared->lock);
    stats->inflight -= batch->body.spans;
    stats->requests_inflight--;
    stats->attempts++;
    stats->retries += batch->attempts > 1;
    stats->connections_opened += result->connections_opened;
    histogram_add(answer != NULL ? &stats->duration_ns : &stats->failed_duration_ns,
                  tracez_export_duration_bounds_ns, now_ns - batch->sent_ns);
    if (answer != NULL) {
        count_accepted(stats, batch, result, answer);
    } else {
        stats->failed_attempts++;
        set_error(stats, result->text);
    }
    pthread_mutex_unlock(&shared->lock);
}

void exporter_count_outcome(struct tracez_exporter *exporter, const struct tracez_outcome *outcome)
{
    struct tracez_exporter_stats *stats = &exporter->shared.stats;

    pthread_mutex_lock(&exporter->shared.lock);
    stats->exported += outcome->exported;
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        stats->dropped[reason] += outcome->dropped[reason];
    }
    pthread_mutex_unlock(&exporter->shared.lock);
}

void exporter_note_error(struct tracez_exporter *exporter, const char *text)
{
    pthread_mutex_lock(&exporter->shared.lock);
    set_error(&exporter->shared.stats, text);
    pthread_mutex_unlock(&exporter->shared.lock);
}

void exporter_show_state(struct tracez_exporter *exporter)
{
    struct tracez_exporter_stats *stats = &exporter->shared.stats;
    bool is_down = exporter->leased > 0 && exporter->retry.failures > 0;

    pthread_mutex_lock(&exporter->shared.lock);
    stats->lanes = 0;
    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        stats->lanes |= (uint32_t)lanes_hold(exporter, lane) << lane;
    }
    stats->state = exporter->leased == 0 ? TRACEZ_EXPORTER_WAITING
                   : is_down             ? TRACEZ_EXPORTER_DOWN
                                         : TRACEZ_EXPORTER_UP;
    if (!is_down) {
        stats->down_since_unix_ns = 0;
    } else if (stats->down_since_unix_ns == 0) {
        stats->down_since_unix_ns = unix_ns();
    }
    pthread_mutex_unlock(&exporter->shared.lock);
}

void tracez_exporter_stats(struct tracez_exporter *exporter, struct tracez_exporter_stats *stats)
{
    struct tracez_exporter_stats copy = {.struct_bytes = sizeof(copy)};
    size_t bytes = stats->struct_bytes;

    /* In a forked child the lock may be held for ever by a thread that is not there. */
    if (!exporter_is_forked_child(exporter)) {
        pthread_mutex_lock(&exporter->shared.lock);
        copy = exporter->shared.stats;
        pthread_mutex_unlock(&exporter->shared.lock);
    }
    memcpy(stats, &copy, bytes < sizeof(copy) ? bytes : sizeof(copy));
    stats->struct_bytes = bytes;
}
