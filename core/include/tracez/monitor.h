/* SPDX-License-Identifier: MIT
 *
 * A monitor: looks at a tracer now and then, reports once an interval, and warns, once each time it
 * begins and once when it is over, that many spans are dropped or a collector is nearly full.
 *
 * It has no thread of its own: the host calls tracez_monitor_look wherever it comes by anyway, once
 * a second or so, and is told through a callback in that call. A look costs what reading the stats
 * costs. */
#ifndef TRACEZ_MONITOR_H
#define TRACEZ_MONITOR_H

#include <tracez/tracez.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tracez_notice_kind {
    TRACEZ_NOTICE_REPORT,        /* an interval is over */
    TRACEZ_NOTICE_DROPS,         /* more than drops_max were dropped since the last report */
    TRACEZ_NOTICE_DROPS_OVER,    /* in a whole interval there were no more than that */
    TRACEZ_NOTICE_PRESSURE,      /* a collector is fuller than pressure_percent_max */
    TRACEZ_NOTICE_PRESSURE_OVER, /* in a whole interval no look found it so */
};

/* All of it is valid until the callback returns. */
struct tracez_notice {
    enum tracez_notice_kind kind;
    const char *text;                               /* a sentence for a log */
    uint64_t elapsed_ns;                            /* since the last report */
    const struct tracez_stats *stats;               /* as they are */
    const struct tracez_stats *since;               /* what was counted since the last report */
    const struct tracez_collector_stats *collector; /* which one; else the fullest */
};

typedef void (*tracez_notice_fn)(const struct tracez_notice *notice, void *state);

struct tracez_monitor_config {
    size_t struct_bytes;           /* set by tracez_monitor_config_init */
    uint32_t interval_ms;          /* 60,000; 1000 to 86,400,000 */
    uint32_t drops_max;            /* in an interval: 1000 */
    uint32_t pressure_percent_max; /* 80; 1 to 100, which none is fuller than */
    tracez_notice_fn fn;           /* called by look, on its thread */
    void *state;
};

/* Fills in the defaults. [any] */
#define tracez_monitor_config_init(config)                                                         \
    tracez_monitor_config_init_bytes((config), sizeof(struct tracez_monitor_config))
TRACEZ_API void tracez_monitor_config_init_bytes(struct tracez_monitor_config *config,
                                                 size_t struct_bytes);

/* INVALID with a text that names value and range. [any] */
TRACEZ_API TRACEZ_MUST_CHECK enum tracez_result
tracez_monitor_check(const struct tracez_monitor_config *config, struct tracez_error *error);

/* What it remembers from look to look; all zero: it has not looked yet. Members are private. No
 * pointers, so that it may lie in memory that processes share and look at in turn. */
struct tracez_monitor {
    uint64_t began_ns; /* the interval */
    uint32_t has_begun;
    uint32_t is_dropping;
    uint32_t pressed;           /* bits: collectors that were told to be too full */
    uint32_t pressed_since;     /* bits: that were so at any look of this interval */
    struct tracez_stats before; /* the interval */
};

/* Looks, and calls config.fn for each thing there is to say. config was checked; its values may
 * change from look to look. The time is the tracer's. [owner] */
TRACEZ_API void tracez_monitor_look(struct tracez_monitor *monitor,
                                    const struct tracez_monitor_config *config,
                                    struct tracez_tracer *tracer);

#ifdef __cplusplus
}
#endif

#endif
