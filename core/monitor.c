/* SPDX-License-Identifier: MIT
 *
 * Looking at a tracer. What has to be said begins at the look that finds it and is over after an
 * interval without it, so that a buffer that goes up and down around the limit is told about twice
 * an interval at most.
 *
 * A monitor in shared memory may hold anybody's garbage: nothing in it is an index or a length, and
 * a moment in the future is taken for one that never was. */
#include "result.h"

#include <tracez/monitor.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INTERVAL_MS_DEFAULT 60000
#define INTERVAL_MS_MIN 1000
#define INTERVAL_MS_MAX 86400000
#define DROPS_MAX_DEFAULT 1000
#define PRESSURE_MAX_DEFAULT 80
#define TEXT_BYTES 512
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)

/* The counters of a tracez_stats, one after the other. */
#define COUNTERS_OFFSET offsetof(struct tracez_stats, requests)
#define COUNTERS ((sizeof(struct tracez_stats) - COUNTERS_OFFSET) / sizeof(uint64_t))

struct look {
    const struct tracez_monitor_config *config;
    uint64_t elapsed_ns;
    struct tracez_stats stats;
    struct tracez_stats since;
    uint64_t dropped; /* since, whatever the reason */
    struct tracez_collector_stats fullest;
    char text[TEXT_BYTES];
    size_t text_bytes;
};

void tracez_monitor_config_init_bytes(struct tracez_monitor_config *config, size_t struct_bytes)
{
    struct tracez_monitor_config defaults = {
        .struct_bytes = struct_bytes,
        .interval_ms = INTERVAL_MS_DEFAULT,
        .drops_max = DROPS_MAX_DEFAULT,
        .pressure_percent_max = PRESSURE_MAX_DEFAULT,
    };

    memset(config, 0, struct_bytes);
    memcpy(config, &defaults, struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
}

enum tracez_result tracez_monitor_check(const struct tracez_monitor_config *config,
                                        struct tracez_error *error)
{
    if (config->struct_bytes != sizeof(*config)) {
        return fail(error, TRACEZ_INVALID,
                    "struct_bytes %zu rejected: call tracez_monitor_config_init first",
                    config->struct_bytes);
    }
    if (config->interval_ms < INTERVAL_MS_MIN || config->interval_ms > INTERVAL_MS_MAX) {
        return fail(error, TRACEZ_INVALID, "interval_ms %u rejected: %d to %d", config->interval_ms,
                    INTERVAL_MS_MIN, INTERVAL_MS_MAX);
    }
    if (config->pressure_percent_max < 1 || config->pressure_percent_max > 100) {
        return fail(error, TRACEZ_INVALID, "pressure_percent_max %u rejected: 1 to 100",
                    config->pressure_percent_max);
    }
    if (config->fn == NULL) {
        return fail(error, TRACEZ_INVALID, "fn rejected: a monitor needs somebody to tell");
    }
    return TRACEZ_OK;
}

/* ---- What is said ---------------------------------------------------------------------------- */

static TRACEZ_PRINTF(2, 3) void say(struct look *look, const char *format, ...)
{
    size_t left_bytes = sizeof(look->text) - look->text_bytes;
    va_list arguments;

    va_start(arguments, format);
    int bytes = vsnprintf(look->text + look->text_bytes, left_bytes, format, arguments);
    va_end(arguments);
    if (bytes > 0) {
        look->text_bytes += (size_t)bytes < left_bytes ? (size_t)bytes : left_bytes - 1;
    }
}

static void tell(struct look *look, enum tracez_notice_kind kind,
                 const struct tracez_collector_stats *collector)
{
    const struct tracez_notice notice = {
        .kind = kind,
        .text = look->text,
        .elapsed_ns = look->elapsed_ns,
        .stats = &look->stats,
        .since = &look->since,
        .collector = collector,
    };

    look->config->fn(&notice, look->config->state);
    look->text_bytes = 0;
}

static uint64_t seconds_of(const struct look *look)
{
    return (look->elapsed_ns + NS_PER_SECOND / 2) / NS_PER_SECOND;
}

/* "1204 spans dropped (queue_full 1200, rate 4)" */
static void say_drops(struct look *look)
{
    const char *between = " (";

    say(look, "%" PRIu64 " spans dropped", look->dropped);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        if (look->since.dropped[reason] > 0) {
            say(look, "%s%s %" PRIu64, between, tracez_drop_text((enum tracez_drop)reason),
                look->since.dropped[reason]);
            between = ", ";
        }
    }
    say(look, "%s", look->dropped > 0 ? ")" : "");
}

static void tell_report(struct look *look)
{
    say(look,
        "in %" PRIu64 " s %" PRIu64 " spans started, %" PRIu64 " finished with %" PRIu64
        " tags, %" PRIu64 " exported, ",
        seconds_of(look), look->since.started, look->since.finished, look->since.tags_set,
        look->since.exported);
    say_drops(look);
    say(look, "; %" PRIu64 " wait, collector \"%s\" is %u%% full",
        look->stats.queued + look->stats.inflight, look->fullest.name,
        look->fullest.pressure_percent);
    tell(look, TRACEZ_NOTICE_REPORT, &look->fullest);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* Counters since before; what is no counter stays as it is. */
static void subtract(struct tracez_stats *stats, const struct tracez_stats *before)
{
    uint64_t now[COUNTERS];
    uint64_t then[COUNTERS];
    uint64_t live = stats->live;
    uint64_t queued = stats->queued;
    uint64_t inflight = stats->inflight;

    memcpy(now, (const unsigned char *)stats + COUNTERS_OFFSET, sizeof(now));
    memcpy(then, (const unsigned char *)before + COUNTERS_OFFSET, sizeof(then));
    for (size_t i = 0; i < COUNTERS; i++) {
        now[i] = now[i] > then[i] ? now[i] - then[i] : 0;
    }
    memcpy((unsigned char *)stats + COUNTERS_OFFSET, now, sizeof(now));
    stats->live = live;
    stats->queued = queued;
    stats->inflight = inflight;
}

static void begin_interval(struct tracez_monitor *monitor, uint64_t now_ns,
                           const struct tracez_stats *stats)
{
    monitor->has_begun = 1;
    monitor->began_ns = now_ns;
    monitor->before = *stats;
    monitor->pressed_since = 0;
}

static void watch_drops(struct tracez_monitor *monitor, struct look *look, bool is_end)
{
    bool is_over_limit = look->dropped > look->config->drops_max;

    if (is_over_limit && !monitor->is_dropping) {
        monitor->is_dropping = 1;
        say_drops(look);
        say(look, " in %" PRIu64 " s, more than %u", seconds_of(look), look->config->drops_max);
        tell(look, TRACEZ_NOTICE_DROPS, &look->fullest);
    } else if (is_end && !is_over_limit && monitor->is_dropping) {
        monitor->is_dropping = 0;
        say_drops(look);
        say(look, " in %" PRIu64 " s, no more than %u any more", seconds_of(look),
            look->config->drops_max);
        tell(look, TRACEZ_NOTICE_DROPS_OVER, &look->fullest);
    }
}

static void watch_collector(struct tracez_monitor *monitor, struct look *look,
                            const struct tracez_collector_stats *collector, uint32_t bit,
                            bool is_end)
{
    uint32_t percent_max = look->config->pressure_percent_max;

    if (collector->pressure_percent > percent_max) {
        monitor->pressed_since |= bit;
    }
    if ((monitor->pressed_since & bit) != 0 && (monitor->pressed & bit) == 0) {
        monitor->pressed |= bit;
        say(look, "collector \"%s\" is %u%% full, more than %u%%: %" PRIu64 " of %" PRIu64 " spans",
            collector->name, collector->pressure_percent, percent_max,
            collector->queued + collector->inflight, collector->spans_max);
        tell(look, TRACEZ_NOTICE_PRESSURE, collector);
    } else if (is_end && (monitor->pressed & ~monitor->pressed_since & bit) != 0) {
        monitor->pressed &= ~bit;
        say(look, "collector \"%s\" is %u%% full, no more than %u%% for %" PRIu64 " s",
            collector->name, collector->pressure_percent, percent_max, seconds_of(look));
        tell(look, TRACEZ_NOTICE_PRESSURE_OVER, collector);
    }
}

static bool read_collector(struct tracez_tracer *tracer, uint32_t index,
                           struct tracez_collector_stats *stats)
{
    const struct tracez_collector *collector = tracez_tracer_collector(tracer, index);

    tracez_collector_stats_init(stats);
    if (collector == NULL) {
        return false;
    }
    tracez_collector_stats(collector, stats);
    return true;
}

static void watch_collectors(struct tracez_monitor *monitor, struct look *look,
                             struct tracez_tracer *tracer, bool is_end)
{
    struct tracez_collector_stats collector;

    for (uint32_t i = 0; read_collector(tracer, i, &collector); i++) {
        if (i == 0 || collector.pressure_percent > look->fullest.pressure_percent) {
            look->fullest = collector;
        }
        watch_collector(monitor, look, &collector, 1U << i, is_end);
    }
}

void tracez_monitor_look(struct tracez_monitor *monitor, const struct tracez_monitor_config *config,
                         struct tracez_tracer *tracer)
{
    uint64_t now_ns = tracez_tracer_now_ns(tracer);
    struct look look = {.config = config};

    tracez_stats_init(&look.stats);
    tracez_tracer_stats(tracer, &look.stats);
    if (!monitor->has_begun || monitor->began_ns > now_ns) {
        begin_interval(monitor, now_ns, &look.stats);
    }
    look.elapsed_ns = now_ns - monitor->began_ns;
    look.since = look.stats;
    subtract(&look.since, &monitor->before);
    for (int reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
        look.dropped += look.since.dropped[reason];
    }
    bool is_end = look.elapsed_ns >= config->interval_ms * NS_PER_MS;
    watch_collectors(monitor, &look, tracer, is_end);
    watch_drops(monitor, &look, is_end);
    if (is_end) {
        tell_report(&look);
        begin_interval(monitor, now_ns, &look.stats);
    }
}
