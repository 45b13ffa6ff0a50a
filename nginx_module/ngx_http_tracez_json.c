/* SPDX-License-Identifier: MIT
 *
 * The status page as JSON. */
#include "ngx_http_tracez.h"


static const char  *ngx_http_tracez_states[] = {
    [TRACEZ_EXPORTER_WAITING] = "waiting",
    [TRACEZ_EXPORTER_UP] = "up",
    [TRACEZ_EXPORTER_DOWN] = "down",
};


static void
ngx_http_tracez_print_json_drops(ngx_http_tracez_page_t *page,
    const uint64_t *dropped)
{
    ngx_uint_t  i;

    ngx_http_tracez_print(page, "\"dropped\":{");

    for (i = 0; i < TRACEZ_DROP_COUNT; i++) {
        ngx_http_tracez_print(page, "%s\"%s\":%uL", i ? "," : "",
                              tracez_drop_text((enum tracez_drop) i),
                              dropped[i]);
    }

    ngx_http_tracez_print(page, "}");
}


static void
ngx_http_tracez_print_json_ledger(ngx_http_tracez_page_t *page)
{
    struct tracez_stats  *ledger;

    ledger = &page->ledger;

    ngx_http_tracez_print(page,
                          "\"ledger\":{\"requests\":%uL,\"traced\":%uL,"
                          "\"not_traced\":%uL,\"started\":%uL,"
                          "\"not_recorded\":%uL,\"recorded\":%uL,"
                          "\"live\":%uL,\"not_kept\":%uL,\"queued\":%uL,"
                          "\"inflight\":%uL,\"exported\":%uL,",
                          ledger->requests, ledger->traced,
                          ledger->not_traced, ledger->started,
                          ledger->not_recorded, ledger->recorded,
                          ledger->live, ledger->not_kept, ledger->queued,
                          ledger->inflight, ledger->exported);

    ngx_http_tracez_print_json_drops(page, ledger->dropped);

    ngx_http_tracez_print(page,
                          ",\"finished\":%uL,\"misuse\":%uL,"
                          "\"tags_set\":%uL,\"tags_refused\":%uL}",
                          ledger->finished, ledger->misuse,
                          ledger->tags_set, ledger->tags_refused);
}


/* which spans a collector takes, and when they leave */

static void
ngx_http_tracez_print_json_pace(ngx_http_tracez_page_t *page, ngx_uint_t i)
{
    uint32_t                         interval, batch;
    struct tracez_collector_pace    *pace;
    struct tracez_exporter_config   *exporter;
    struct tracez_collector_config  *config;

    exporter = &page->tmcf->exporter_config;
    config = page->tmcf->collector_configs.elts;

    /* the further ones come first, each with its pace */
    pace = (i < page->tmcf->npaces) ? &page->tmcf->paces[i] : NULL;

    interval = (pace && pace->interval_ms) ? pace->interval_ms
                                           : exporter->interval_ms;
    batch = (pace && pace->batch_size) ? pace->batch_size
                                       : exporter->batch_size;

    ngx_http_tracez_print(page, "\"match\":\"");

    switch (config[i].match) {

    case TRACEZ_MATCH_ALL:
        ngx_http_tracez_print(page, "all");
        break;

    case TRACEZ_MATCH_ERRORS:
        ngx_http_tracez_print(page, "errors");
        break;

    case TRACEZ_MATCH_NAME:
        ngx_http_tracez_print(page, "name:");
        ngx_http_tracez_print_string(page, config[i].match_name);
        break;

    default:
        ngx_http_tracez_print(page, "server");
    }

    ngx_http_tracez_print(page,
                          "\",\"interval_ms\":%uD,\"batch_size\":%uD,",
                          interval, batch);
}


static void
ngx_http_tracez_print_json_collector(ngx_http_tracez_page_t *page,
    ngx_uint_t i)
{
    ngx_http_tracez_collector_t    *collector;
    struct tracez_collector_stats   stats;

    collector = page->tmcf->collectors.elts;
    ngx_http_tracez_get_collector(page, i, &stats);

    ngx_http_tracez_print(page, "%s{\"name\":\"", i ? "," : "");
    ngx_http_tracez_print_string(page, stats.name);
    ngx_http_tracez_print(page, "\",");
    ngx_http_tracez_print_json_pace(page, i);
    ngx_http_tracez_print(page, "\"spans_max\":%uL,\"sample_rate\":\"",
                          stats.spans_max);
    ngx_http_tracez_print_text(page, collector[i].sample_rate.data,
                               collector[i].sample_rate.len);
    ngx_http_tracez_print(page,
                          "\",\"queued\":%uL,\"inflight\":%uL,"
                          "\"exported\":%uL,",
                          stats.queued, stats.inflight, stats.exported);
    ngx_http_tracez_print_json_drops(page, stats.dropped);
    ngx_http_tracez_print(page, ",\"pressure_percent\":%uD}",
                          stats.pressure_percent);
}


/* {"bounds":[1,4],"counts":[0,2,1],"sum":9}: one count more than bounds */

static void
ngx_http_tracez_print_json_histogram(ngx_http_tracez_page_t *page,
    const char *name, struct tracez_histogram *histogram,
    const uint64_t *bounds)
{
    ngx_uint_t  i;

    ngx_http_tracez_print(page, "\"%s\":{\"bounds\":[", name);

    for (i = 0; i < TRACEZ_HISTOGRAM_BOUNDS; i++) {
        ngx_http_tracez_print(page, "%s%uL", i ? "," : "", bounds[i]);
    }

    ngx_http_tracez_print(page, "],\"counts\":[");

    for (i = 0; i <= TRACEZ_HISTOGRAM_BOUNDS; i++) {
        ngx_http_tracez_print(page, "%s%uL", i ? "," : "",
                              histogram->buckets[i]);
    }

    ngx_http_tracez_print(page, "],\"sum\":%uL},", histogram->sum);
}


static void
ngx_http_tracez_print_json_attempts(ngx_http_tracez_page_t *page)
{
    struct tracez_exporter_stats  *stats;

    stats = &page->exporter;

    ngx_http_tracez_print(page,
                          "\"exported\":%uL,\"inflight\":%uL,"
                          "\"attempts\":%uL,\"batches\":%uL,"
                          "\"failed_attempts\":%uL,\"retries\":%uL,"
                          "\"requests_inflight\":%uL,"
                          "\"malformed_responses\":%uL,"
                          "\"connections_opened\":%uL,"
                          "\"body_bytes\":%uL,\"wire_bytes\":%uL,",
                          stats->exported, stats->inflight, stats->attempts,
                          stats->batches, stats->failed_attempts,
                          stats->retries, stats->requests_inflight,
                          stats->malformed_responses,
                          stats->connections_opened, stats->body_bytes,
                          stats->wire_bytes);

    ngx_http_tracez_print_json_histogram(page, "batch_spans",
                                         &stats->batch_spans,
                                         tracez_batch_spans_bounds);
    ngx_http_tracez_print_json_histogram(page, "duration_ns",
                                         &stats->duration_ns,
                                         tracez_export_duration_bounds_ns);
    ngx_http_tracez_print_json_histogram(page, "failed_duration_ns",
                                         &stats->failed_duration_ns,
                                         tracez_export_duration_bounds_ns);
}


static void
ngx_http_tracez_print_json_exporter(ngx_http_tracez_page_t *page)
{
    ngx_uint_t                     i;
    struct tracez_exporter_stats  *stats;

    stats = &page->exporter;

    ngx_http_tracez_print(page,
                          "\"exporter\":{\"state\":\"%s\",\"endpoint\":\"",
                          ngx_http_tracez_states[stats->state]);
    ngx_http_tracez_print_string(page, stats->endpoint);
    ngx_http_tracez_print(page, "\",");
    ngx_http_tracez_print_json_attempts(page);
    ngx_http_tracez_print(page,
                          "\"last_success_unix_ns\":%uL,"
                          "\"last_error_unix_ns\":%uL,"
                          "\"down_since_unix_ns\":%uL,\"last_error\":\"",
                          stats->last_success_unix_ns,
                          stats->last_error_unix_ns,
                          stats->down_since_unix_ns);
    ngx_http_tracez_print_string(page, stats->last_error);
    ngx_http_tracez_print(page, "\",\"lanes\":[");

    for (i = 0; i < page->tmcf->tracer_config.lanes; i++) {
        ngx_http_tracez_print(page, "%s{\"state\":\"%s\",\"worker\":%P,"
                              "\"batches\":%uL}",
                              i ? "," : "",
                              ngx_http_tracez_states[page->lanes[i].state],
                              page->lanes[i].pid, page->lanes[i].batches);
    }

    ngx_http_tracez_print(page, "]}");
}


void
ngx_http_tracez_print_json(ngx_http_tracez_page_t *page)
{
    ngx_uint_t  i;

    ngx_http_tracez_print(page, "{\"version\":\"%s\",", tracez_version());
    ngx_http_tracez_print_json_ledger(page);
    ngx_http_tracez_print(page, ",\"collectors\":[");

    for (i = 0; i < page->tmcf->collectors.nelts; i++) {
        ngx_http_tracez_print_json_collector(page, i);
    }

    ngx_http_tracez_print(page, "],");
    ngx_http_tracez_print_json_exporter(page);
    ngx_http_tracez_print(page, "}\n");
}
