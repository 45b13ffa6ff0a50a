/* SPDX-License-Identifier: MIT
 *
 * The status page as text for Prometheus, with OpenTelemetry's names where its
 * SDK metrics have one. */
#include "ngx_http_tracez.h"


static void
ngx_http_tracez_print_metric(ngx_http_tracez_page_t *page, const char *name,
    const char *type, const char *help)
{
    ngx_http_tracez_print(page, "# HELP %s %s\n# TYPE %s %s\n",
                          name, help, name, type);
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

    ngx_http_tracez_print_metric(page, "otel_sdk_span_live", "gauge",
                         "Spans started and not ended yet.");
    ngx_http_tracez_print(page, "otel_sdk_span_live %uL\n", ledger->live);

    ngx_http_tracez_print_metric(page, "otel_sdk_exporter_span_inflight",
                         "gauge", "Spans on their way to the backend.");
    ngx_http_tracez_print(page, "otel_sdk_exporter_span_inflight %uL\n",
                          ledger->inflight);

    ngx_http_tracez_print_metric(page, "otel_sdk_exporter_span_exported_total",
                         "counter", "Spans that the backend accepted.");
    ngx_http_tracez_print(page, "otel_sdk_exporter_span_exported_total %uL\n",
                          ledger->exported);

    ngx_http_tracez_print_metric(page, "tracez_spans_dropped_total", "counter",
                         "Recorded spans that were not exported, by reason.");

    for (i = 0; i < TRACEZ_DROP_COUNT; i++) {
        ngx_http_tracez_print(page,
                              "tracez_spans_dropped_total{reason=\"%s\"} %uL\n",
                              tracez_drop_text((enum tracez_drop) i),
                              ledger->dropped[i]);
    }

    ngx_http_tracez_print_metric(page, "tracez_spans_not_kept_total",
                         "counter", "Recorded spans that no rule kept.");
    ngx_http_tracez_print(page, "tracez_spans_not_kept_total %uL\n",
                          ledger->not_kept);

    ngx_http_tracez_print_metric(page, "tracez_tags_refused_total", "counter",
                         "Tags, events and links beyond their bounds.");
    ngx_http_tracez_print(page, "tracez_tags_refused_total %uL\n",
                          ledger->tags_refused);
}


typedef struct {
    const char  *name;
    const char  *help;
    size_t       offset;
} ngx_http_tracez_gauge_t;


static ngx_http_tracez_gauge_t  ngx_http_tracez_gauges[] = {

    { "otel_sdk_processor_span_queue_size",
      "Finished spans that wait in a collector.",
      offsetof(struct tracez_collector_stats, queued) },

    { "otel_sdk_processor_span_queue_capacity",
      "Spans that a collector holds.",
      offsetof(struct tracez_collector_stats, spans_max) },

    { NULL, NULL, 0 }
};


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
    ngx_http_tracez_gauge_t        *gauge;
    struct tracez_collector_stats   stats;

    static const char              *pressure = "tracez_collector_pressure";

    for (gauge = ngx_http_tracez_gauges; gauge->name; gauge++) {
        ngx_http_tracez_print_metric(page, gauge->name, "gauge", gauge->help);

        for (i = 0; i < page->tmcf->collectors.nelts; i++) {
            ngx_http_tracez_get_collector(page, i, &stats);
            ngx_http_tracez_print_label(page, gauge->name, stats.name);
            ngx_http_tracez_print(page, "%uL\n",
                                  *(uint64_t *) (void *)
                                       ((u_char *) &stats + gauge->offset));
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

    ngx_http_tracez_print_metric(page, "tracez_exporter_body_bytes_total",
                         "counter", "Bytes of bodies that were accepted.");
    ngx_http_tracez_print(page, "tracez_exporter_body_bytes_total %uL\n",
                          stats->body_bytes);
}


void
ngx_http_tracez_print_metrics(ngx_http_tracez_page_t *page)
{
    ngx_http_tracez_print_ledger_metrics(page);
    ngx_http_tracez_print_collector_metrics(page);
    ngx_http_tracez_print_exporter_metrics(page);
}
