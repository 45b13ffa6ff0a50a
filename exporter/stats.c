/* SPDX-License-Identifier: MIT
 *
 * What the exporter says about itself. The thread writes, anybody reads, under the shared lock,
 * which is held for as long as it takes to copy a struct. */
#include "exporter.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t unix_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void set_error(struct tracez_exporter_stats *stats, const char *text)
{
    snprintf(stats->last_error, sizeof(stats->last_error), "%s", text);
}

void exporter_count_attempt(struct tracez_exporter *exporter, const struct transport_result *result,
                            bool is_accepted, bool is_malformed, size_t body_bytes)
{
    struct exporter_shared *shared = &exporter->shared;
    struct tracez_exporter_stats *stats = &shared->stats;

    pthread_mutex_lock(&shared->lock);
    stats->attempts++;
    stats->connections_opened += result->connections_opened;
    stats->malformed_responses += is_malformed;
    if (is_accepted) {
        stats->batches++;
        stats->body_bytes += body_bytes;
        stats->wire_bytes += result->sent_bytes;
        stats->last_success_unix_ns = unix_ns();
    } else {
        stats->failed_attempts++;
        set_error(stats, result->text);
    }
    pthread_mutex_unlock(&shared->lock);
}

void exporter_count_exported(struct tracez_exporter *exporter, uint64_t spans)
{
    pthread_mutex_lock(&exporter->shared.lock);
    exporter->shared.stats.exported += spans;
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
    if (exporter->process == 0 || exporter->process == getpid()) {
        pthread_mutex_lock(&exporter->shared.lock);
        copy = exporter->shared.stats;
        pthread_mutex_unlock(&exporter->shared.lock);
    }
    memcpy(stats, &copy, bytes < sizeof(copy) ? bytes : sizeof(copy));
    stats->struct_bytes = bytes;
}
