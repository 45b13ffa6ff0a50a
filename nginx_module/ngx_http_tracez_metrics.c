/* SPDX-License-Identifier: MIT
 *
 * The status page as text for Prometheus, with OpenTelemetry's names where its
 * SDK metrics have one. */
#include "ngx_http_tracez.h"


/* a counter or gauge that is a member of a struct of figures */
typedef struct {
    const char  *name;
    const char  *type;
    const char  *help;
    size_t       offset;
} ngx_http_tracez_figure_t;


/* a histogram, and of what unit its values are so many */
typedef struct {
    const char      *name;
    const uint64_t  *bounds;
    uint64_t         unit;
} ngx_http_tracez_family_t;


#define ngx_http_tracez_figure(stats, figure)                                 \
    (*(uint64_t *) (void *) ((u_char *) (stats) + (figure)->offset))


static ngx_http_tracez_figure_t  ngx_http_tracez_of_ledger[] = {

    { "otel_sdk_span_live", "gauge",
      "Spans started and not ended yet.",
      offsetof(struct tracez_stats, live) },

    { "otel_sdk_exporter_span_inflight", "gauge",
      "Spans on their way to the backend.",
      offsetof(struct tracez_stats, inflight) },

    { "tracez_spans_not_kept_total", "counter",
      "Recorded spans that no rule kept.",
      offsetof(struct tracez_stats, not_kept) },

    { "tracez_spans_finished_total", "counter",
      "Recorded spans that ended.",
      offsetof(struct tracez_stats, finished) },

    { "tracez_tags_set_total", "counter",
      "Tags of spans that ended.",
      offsetof(struct tracez_stats, tags_set) },

    { "tracez_tags_refused_total", "counter",
      "Tags, events and links beyond their bounds.",
      offsetof(struct tracez_stats, tags_refused) },

    { NULL, NULL, NULL, 0 }
};


static ngx_http_tracez_figure_t  ngx_http_tracez_of_collector[] = {

    { "otel_sdk_processor_span_queue_size", "gauge",
      "Finished spans that wait in a collector.",
      offsetof(struct tracez_collector_stats, queued) },

    { "otel_sdk_processor_span_queue_capacity", "gauge",
      "Spans that a collector holds.",
      offsetof(struct tracez_collector_stats, spans_max) },

    { "tracez_collector_spans_exported_total", "counter",
      "Spans of a collector that the backend accepted.",
      offsetof(struct tracez_collector_stats, exported) },

    { NULL, NULL, NULL, 0 }
};


static ngx_http_tracez_figure_t  ngx_http_tracez_of_exporter[] = {

    { "tracez_exporter_retries_total", "counter",
      "Requests to the backend that repeated an earlier one.",
      offsetof(struct tracez_exporter_stats, retries) },

    { "tracez_exporter_requests_inflight", "gauge",
      "Requests on their way to the backend.",
      offsetof(struct tracez_exporter_stats, requests_inflight) },

    { "tracez_exporter_connections_opened_total", "counter",
      "Connections to the backend that were made.",
      offsetof(struct tracez_exporter_stats, connections_opened) },

    { "tracez_exporter_malformed_responses_total", "counter",
      "Answers of 2xx whose body made no sense.",
      offsetof(struct tracez_exporter_stats, malformed_responses) },

    { "tracez_exporter_body_bytes_total", "counter",
      "Bytes of bodies that were accepted, before compression.",
      offsetof(struct tracez_exporter_stats, body_bytes) },

    { "tracez_exporter_wire_bytes_total", "counter",
      "Bytes of bodies that were accepted, as they were sent.",
      offsetof(struct tracez_exporter_stats, wire_bytes) },

    { NULL, NULL, NULL, 0 }
};


static void
ngx_http_tracez_print_metric(ngx_http_tracez_page_t *page, const char *name,
    const char *type, const char *help)
{
    ngx_http_tracez_print(page, "# HELP %s %s\n# TYPE %s %s\n",
                          name, help, name, type);
}


static void
ngx_http_tracez_print_figures(ngx_http_tracez_page_t *page,
    ngx_http_tracez_figure_t *figure, void *stats)
{
    for ( /* void */ ; figure->name; figure++) {
        ngx_http_tracez_print_metric(page, figure->name, figure->type,
                                     figure->help);
        ngx_http_tracez_print(page, "%s %uL\n", figure->name,
                              ngx_http_tracez_figure(stats, figure));
    }
}


/* Spans whose export has ended: the backend accepted them, or why not. */

static void
ngx_http_tracez_print_exported(ngx_http_tracez_page_t *page)
{
    ngx_uint_t         i;

    static const char *name = "otel_sdk_exporter_span_exported_total";

    static const enum tracez_drop  reasons[] = {
        TRACEZ_DROP_REJECTED,
        TRACEZ_DROP_PARTIAL_REJECTED,
        TRACEZ_DROP_RETRY_EXHAUSTED
    };

    ngx_http_tracez_print_metric(page, name, "counter",
                         "Spans that the backend accepted, or refused.");
    ngx_http_tracez_print(page, "%s %uL\n", name, page->ledger.exported);

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        ngx_http_tracez_print(page, "%s{error_type=\"%s\"} %uL\n", name,
                              tracez_drop_text(reasons[i]),
                              page->ledger.dropped[reasons[i]]);
    }
}


static void
ngx_http_tracez_print_ledger_metrics(ngx_http_tracez_page_t *page)
{
    ngx_uint_t            i;
    struct tracez_stats  *ledger;

    ledger = &page->ledger;

    ngx_http_tracez_print_metric(page, "tracez_requests_total", "counter",
                         "Main requests that ended, with or without a span.");
    ngx_http_tracez_print(page,
                          "tracez_requests_total{traced=\"true\"} %uL\n"
                          "tracez_requests_total{traced=\"false\"} %uL\n",
                          ledger->traced, ledger->not_traced);

    ngx_http_tracez_print_metric(page, "otel_sdk_span_started_total",
                         "counter", "Spans started.");
    ngx_http_tracez_print(page,
                 "otel_sdk_span_started_total{otel_span_sampling_result="
                 "\"RECORD_AND_SAMPLE\"} %uL\n"
                 "otel_sdk_span_started_total{otel_span_sampling_result="
                 "\"DROP\"} %uL\n",
                 ledger->recorded, ledger->not_recorded);

    ngx_http_tracez_print_exported(page);

    ngx_http_tracez_print_metric(page, "tracez_spans_dropped_total", "counter",
                         "Recorded spans that were not exported, by reason.");

    for (i = 0; i < TRACEZ_DROP_COUNT; i++) {
        ngx_http_tracez_print(page,
                              "tracez_spans_dropped_total{reason=\"%s\"} %uL\n",
                              tracez_drop_text((enum tracez_drop) i),
                              ledger->dropped[i]);
    }

    ngx_http_tracez_print_figures(page, ngx_http_tracez_of_ledger, ledger);
}


static void
ngx_http_tracez_print_label(ngx_http_tracez_page_t *page, const char *metric,
    const char *collector)
{
    ngx_http_tracez_print(page, "%s{collector=\"", metric);
    ngx_http_tracez_print_string(page, collector);
    ngx_http_tracez_print(page, "\"} ");
}


static void
ngx_http_tracez_print_collector_metrics(ngx_http_tracez_page_t *page)
{
    ngx_uint_t                      i;
    ngx_http_tracez_figure_t       *figure;
    struct tracez_collector_stats   stats;

    static const char              *pressure = "tracez_collector_pressure";

    for (figure = ngx_http_tracez_of_collector; figure->name; figure++) {
        ngx_http_tracez_print_metric(page, figure->name, figure->type,
                                     figure->help);

        for (i = 0; i < page->tmcf->collectors.nelts; i++) {
            ngx_http_tracez_get_collector(page, i, &stats);
            ngx_http_tracez_print_label(page, figure->name, stats.name);
            ngx_http_tracez_print(page, "%uL\n",
                                  ngx_http_tracez_figure(&stats, figure));
        }
    }

    ngx_http_tracez_print_metric(page, pressure, "gauge",
                         "How full a collector is, in spans or bytes, 0 to 1.");

    for (i = 0; i < page->tmcf->collectors.nelts; i++) {
        ngx_http_tracez_get_collector(page, i, &stats);
        ngx_http_tracez_print_label(page, pressure, stats.name);
        ngx_http_tracez_print(page, "%uD.%02uD\n",
                              stats.pressure_percent / 100,
                              stats.pressure_percent % 100);
    }
}


/* a number of so many of a unit: 2500 of 1000 is 2.5 */

static void
ngx_http_tracez_print_decimal(ngx_http_tracez_page_t *page, uint64_t n,
    uint64_t unit)
{
    ngx_http_tracez_print(page, "%uL", n / unit);

    if (n % unit != 0) {
        ngx_http_tracez_print(page, ".%09uL", n % unit * (1000000000 / unit));

        while (page->pos[-1] == '0') {
            page->pos--;
        }
    }
}


/* One series of a histogram, with the labels that it has beside le, or "". Its
 * counts are those of all values up to a bound. */

static void
ngx_http_tracez_print_series(ngx_http_tracez_page_t *page,
    ngx_http_tracez_family_t *family, const char *labels,
    struct tracez_histogram *histogram)
{
    uint64_t     count;
    ngx_uint_t   i;
    const char  *name, *comma, *open, *close;

    name = family->name;
    comma = labels[0] ? "," : "";
    open = labels[0] ? "{" : "";
    close = labels[0] ? "}" : "";
    count = 0;

    for (i = 0; i < TRACEZ_HISTOGRAM_BOUNDS; i++) {
        count += histogram->buckets[i];

        ngx_http_tracez_print(page, "%s_bucket{%s%sle=\"", name, labels,
                              comma);
        ngx_http_tracez_print_decimal(page, family->bounds[i], family->unit);
        ngx_http_tracez_print(page, "\"} %uL\n", count);
    }

    count += histogram->buckets[i];

    ngx_http_tracez_print(page, "%s_bucket{%s%sle=\"+Inf\"} %uL\n",
                          name, labels, comma, count);

    ngx_http_tracez_print(page, "%s_sum%s%s%s ", name, open, labels, close);
    ngx_http_tracez_print_decimal(page, histogram->sum, family->unit);

    ngx_http_tracez_print(page, "\n%s_count%s%s%s %uL\n",
                          name, open, labels, close, count);
}


static void
ngx_http_tracez_print_histograms(ngx_http_tracez_page_t *page)
{
    struct tracez_exporter_stats  *stats;

    static ngx_http_tracez_family_t  duration = {
        "otel_sdk_exporter_operation_duration_seconds",
        tracez_export_duration_bounds_ns, 1000000000
    };

    static ngx_http_tracez_family_t  batch = {
        "tracez_exporter_batch_spans",
        tracez_batch_spans_bounds, 1
    };

    stats = &page->exporter;

    ngx_http_tracez_print_metric(page, duration.name, "histogram",
                         "How long requests to the backend took.");
    ngx_http_tracez_print_series(page, &duration, "", &stats->duration_ns);

    /* the conventions' name for any error, where there is none for each */
    ngx_http_tracez_print_series(page, &duration, "error_type=\"_OTHER\"",
                                 &stats->failed_duration_ns);

    ngx_http_tracez_print_metric(page, batch.name, "histogram",
                         "Spans in requests that the backend accepted.");
    ngx_http_tracez_print_series(page, &batch, "", &stats->batch_spans);
}


static void
ngx_http_tracez_print_moment(ngx_http_tracez_page_t *page, const char *name,
    const char *help, uint64_t unix_ns)
{
    ngx_http_tracez_print_metric(page, name, "gauge", help);
    ngx_http_tracez_print(page, "%s ", name);
    ngx_http_tracez_print_decimal(page, unix_ns, 1000000000);
    ngx_http_tracez_print(page, "\n");
}


static void
ngx_http_tracez_print_exporter_metrics(ngx_http_tracez_page_t *page)
{
    struct tracez_exporter_stats  *stats;

    stats = &page->exporter;

    ngx_http_tracez_print_metric(page, "tracez_exporter_up", "gauge",
                         "1 while exporting works, 0 while attempts fail.");
    ngx_http_tracez_print(page, "tracez_exporter_up %d\n",
                          stats->state != TRACEZ_EXPORTER_DOWN);

    ngx_http_tracez_print_metric(page, "tracez_exporter_attempts_total",
                         "counter",
                         "Requests to the backend that ended, by outcome.");
    ngx_http_tracez_print(page,
                 "tracez_exporter_attempts_total{outcome=\"accepted\"} %uL\n"
                 "tracez_exporter_attempts_total{outcome=\"failed\"} %uL\n",
                 stats->batches, stats->failed_attempts);

    ngx_http_tracez_print_figures(page, ngx_http_tracez_of_exporter, stats);

    ngx_http_tracez_print_moment(page,
                         "tracez_exporter_last_success_timestamp_seconds",
                         "When a request was accepted last, 0 for never.",
                         stats->last_success_unix_ns);
    ngx_http_tracez_print_moment(page,
                         "tracez_exporter_last_error_timestamp_seconds",
                         "When a request failed last, 0 for never.",
                         stats->last_error_unix_ns);

    ngx_http_tracez_print_histograms(page);
}


void
ngx_http_tracez_print_metrics(ngx_http_tracez_page_t *page)
{
    ngx_http_tracez_print_ledger_metrics(page);
    ngx_http_tracez_print_collector_metrics(page);
    ngx_http_tracez_print_exporter_metrics(page);
}
