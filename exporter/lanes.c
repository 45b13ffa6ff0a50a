/* SPDX-License-Identifier: MIT
 *
 * Which lanes this exporter reads. A lane's lease is that of the first collector; the same lane of
 * the others follows it, so that of many exporters over one buffer each has whole lanes.
 *
 * A lane is worth most in the hands of who has none, and must not be without hands: so every
 * exporter takes one that nobody holds, a second one not before a second later, and who has several
 * lets one go when somebody who has none asks: once all that was sent of it has come to an end.
 * What waits for another attempt is then read again by the next. */
#include "exporter.h"

#define NS_PER_MS UINT64_C(1000000)
#define LEASE_INTERVAL_MS UINT64_C(1000)
#define LEASE_INTERVAL_STOPPING_MS 20

static struct window *window_at(struct tracez_exporter *exporter, uint32_t lane, uint32_t collector)
{
    return &exporter->windows[(size_t)lane * exporter->collector_count + collector];
}

bool lanes_hold(const struct tracez_exporter *exporter, uint32_t lane)
{
    return exporter->windows[(size_t)lane * exporter->collector_count].is_leased;
}

struct window *lanes_next_window(struct tracez_exporter *exporter, uint32_t *at)
{
    while (*at < exporter->window_count) {
        struct window *window = &exporter->windows[(*at)++];
        if (window->is_leased) {
            return window;
        }
    }
    return NULL;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static bool take_window(struct tracez_exporter *exporter, struct window *window)
{
    if (!window->is_leased && tracez_lane_lease(window->lane) == TRACEZ_OK) {
        window->is_leased = true;
        window->is_leaving = false;
        exporter->leased++;
        /* What another process left here has waited long enough. */
        window_make_due(window);
    }
    return window->is_leased;
}

static bool take_lane(struct tracez_exporter *exporter, uint32_t lane)
{
    uint32_t i = 0;

    while (i < exporter->collector_count && take_window(exporter, window_at(exporter, lane, i))) {
        i++;
    }
    return i > 0;
}

static void take_lanes(struct tracez_exporter *exporter)
{
    uint32_t more = exporter->orders.stop ? exporter->lane_count : 1;

    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        if (window_at(exporter, lane, 0)->is_leaving) {
            continue; /* whoever gets it takes what it lacks, too */
        }
        if (lanes_hold(exporter, lane)) {
            take_lane(exporter, lane); /* what it lacks */
        } else if (more > 0 && take_lane(exporter, lane)) {
            more--;
        }
    }
}

/* ---- Giving ---------------------------------------------------------------------------------- */

static void ask_for_one(struct tracez_exporter *exporter)
{
    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        tracez_lane_ask(window_at(exporter, lane, 0)->lane);
    }
}

static void set_leaving(struct tracez_exporter *exporter, uint32_t lane, bool is_leaving)
{
    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        window_at(exporter, lane, i)->is_leaving = is_leaving;
    }
}

static void heed(struct tracez_exporter *exporter)
{
    bool is_asked = false;
    uint32_t held = 0;
    uint32_t last = 0;

    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        if (lanes_hold(exporter, lane)) {
            is_asked |= tracez_lane_is_asked_for(window_at(exporter, lane, 0)->lane);
            held += !window_at(exporter, lane, 0)->is_leaving;
            last = lane;
        }
    }
    if (is_asked && held > 1) {
        set_leaving(exporter, last, true);
    }
}

static void release_window(struct tracez_exporter *exporter, struct window *window)
{
    tracez_lane_release(window->lane);
    window->is_leased = false;
    window->is_leaving = false;
    exporter->leased--;
}

/* The first collector's goes last: it is the lane's. */
static void release_lane(struct tracez_exporter *exporter, uint32_t lane)
{
    for (uint32_t i = exporter->collector_count; i > 0; i--) {
        struct window *window = window_at(exporter, lane, i - 1);
        if (window->is_leased) {
            release_window(exporter, window);
        }
    }
}

/* What has ended behind a batch that has not would be sent again as well. */
static bool is_under_way(struct tracez_exporter *exporter, uint32_t lane)
{
    bool is = false;

    for (uint32_t i = 0; i < exporter->collector_count; i++) {
        const struct window *window = window_at(exporter, lane, i);
        is |= window_find(window, BATCH_SENT) != NULL || window_find(window, BATCH_DONE) != NULL;
    }
    return is;
}

void lanes_let_go(struct tracez_exporter *exporter)
{
    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        if (!window_at(exporter, lane, 0)->is_leaving || is_under_way(exporter, lane)) {
            continue;
        }
        for (uint32_t i = 0; i < exporter->collector_count; i++) {
            struct window *window = window_at(exporter, lane, i);
            if (window->is_leased) {
                window_abandon(window, &exporter->pool);
            }
        }
        release_lane(exporter, lane);
        /* Who asked comes within one interval. */
        exporter->lease_ns = exporter_now_ns() + 2 * LEASE_INTERVAL_MS * NS_PER_MS;
    }
}

void lanes_release_all(struct tracez_exporter *exporter)
{
    for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
        release_lane(exporter, lane);
    }
}

/* ---- When ------------------------------------------------------------------------------------ */

bool lanes_are_due(const struct tracez_exporter *exporter)
{
    return exporter->leased < exporter->window_count || exporter->lane_count > 1;
}

void lanes_take(struct tracez_exporter *exporter, uint64_t now_ns)
{
    uint64_t interval_ms = exporter->orders.stop ? LEASE_INTERVAL_STOPPING_MS : LEASE_INTERVAL_MS;

    if (!lanes_are_due(exporter) || now_ns < exporter->lease_ns ||
        exporter_is_handing_over(exporter)) {
        return;
    }
    exporter->lease_ns = now_ns + interval_ms * NS_PER_MS;
    if (exporter->orders.stop) {
        for (uint32_t lane = 0; lane < exporter->lane_count; lane++) {
            set_leaving(exporter, lane, false);
        }
    } else {
        heed(exporter);
    }
    take_lanes(exporter);
    if (exporter->leased == 0 && exporter->lane_count > 1) {
        ask_for_one(exporter);
    }
}
