/* SPDX-License-Identifier: MIT
 *
 * The status page: the ledger over all workers, the collectors, and how
 * exporting goes; as JSON, or as text for Prometheus with OpenTelemetry's
 * names where its SDK metrics have one. It is no request that anybody waits
 * for, so it may allocate. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_PAGE_BYTES     16384
#define NGX_HTTP_TRACEZ_PAGE_PER       4096      /* a collector's, at most */


typedef struct {
    u_char                         *pos;
    u_char                         *last;        /* end of the memory */

    ngx_http_tracez_main_conf_t    *tmcf;
    struct tracez_stats             ledger;
    struct tracez_exporter_stats    exporter;
    ngx_http_tracez_lane_t          lanes[TRACEZ_LANES_MAX];
} ngx_http_tracez_page_t;


static ngx_int_t ngx_http_tracez_status_handler(ngx_http_request_t *r);


static ngx_str_t  ngx_http_tracez_json_type = ngx_string("application/json");
static ngx_str_t  ngx_http_tracez_prometheus_type =
                                     ngx_string("text/plain; version=0.0.4");

static const char  *ngx_http_tracez_states[] = {
    [TRACEZ_EXPORTER_WAITING] = "waiting",
    [TRACEZ_EXPORTER_UP] = "up",
    [TRACEZ_EXPORTER_DOWN] = "down",
};


static void ngx_cdecl
ngx_http_tracez_print(ngx_http_tracez_page_t *page, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    page->pos = ngx_vslprintf(page->pos, page->last, fmt, args);
    va_end(args);
}


/* Text that may hold anything, as it stands between quotes: in JSON, and in
 * Prometheus' labels, which know no other escapes than JSON's own for what a
 * name in a configuration can hold. */

static void
ngx_http_tracez_print_text(ngx_http_tracez_page_t *page, u_char *text,
    size_t len)
{
    size_t  bytes;

    bytes = len + ngx_escape_json(NULL, text, len);

    if (bytes <= (size_t) (page->last - page->pos)) {
        page->pos = (u_char *) ngx_escape_json(page->pos, text, len);
    }
}


static void
ngx_http_tracez_print_string(ngx_http_tracez_page_t *page, const char *text)
{
    ngx_http_tracez_print_text(page, (u_char *) text, ngx_strlen(text));
}


/* A tracer where there is one: the collector's figures, else zeros. */

static void
ngx_http_tracez_get_collector(ngx_http_tracez_page_t *page, ngx_uint_t i,
    struct tracez_collector_stats *stats)
{
    struct tracez_collector_config  *config;

    ngx_memzero(stats, sizeof(struct tracez_collector_stats));
    tracez_collector_stats_init(stats);

    if (page->tmcf->tracer != NULL) {
        tracez_collector_stats(tracez_tracer_collector(page->tmcf->tracer, i),
                               stats);
        return;
    }

    config = page->tmcf->collector_configs.elts;
    stats->name = config[i].name;
    stats->spans_max = config[i].spans_max;
}


/* ---- JSON --------------------------------------------------------------- */

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

    ngx_http_tracez_print(page, ",\"misuse\":%uL,\"tags_refused\":%uL}",
                          ledger->misuse, ledger->tags_refused);
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
    ngx_http_tracez_print(page, "\",\"spans_max\":%uL,\"sample_rate\":\"",
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
    ngx_http_tracez_print(page,
                          "\",\"batches\":%uL,\"attempts\":%uL,"
                          "\"failed_attempts\":%uL,"
                          "\"malformed_responses\":%uL,\"exported\":%uL,"
                          "\"body_bytes\":%uL,\"wire_bytes\":%uL,"
                          "\"connections_opened\":%uL,"
                          "\"last_success_unix_ns\":%uL,"
                          "\"down_since_unix_ns\":%uL,\"last_error\":\"",
                          stats->batches, stats->attempts,
                          stats->failed_attempts, stats->malformed_responses,
                          stats->exported, stats->body_bytes,
                          stats->wire_bytes,
                          stats->connections_opened,
                          stats->last_success_unix_ns,
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


static void
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


/* ---- Prometheus --------------------------------------------------------- */

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


/* ---- the request -------------------------------------------------------- */

static ngx_uint_t
ngx_http_tracez_get_format(ngx_http_request_t *r)
{
    ngx_str_t                    value;
    ngx_http_tracez_loc_conf_t  *tlcf;

    if (ngx_http_arg(r, (u_char *) "format", 6, &value) != NGX_OK) {
        tlcf = ngx_http_get_module_loc_conf(r, ngx_http_tracez_module);
        return tlcf->status_format;
    }

    if (value.len == 4 && ngx_strncmp(value.data, "json", 4) == 0) {
        return NGX_HTTP_TRACEZ_JSON;
    }

    if (value.len == 10 && ngx_strncmp(value.data, "prometheus", 10) == 0) {
        return NGX_HTTP_TRACEZ_PROMETHEUS;
    }

    return 0;
}


static void
ngx_http_tracez_read_page(ngx_http_tracez_page_t *page)
{
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = page->tmcf;

    tracez_stats_init(&page->ledger);
    tracez_exporter_stats_init(&page->exporter);

    if (tmcf->tracer == NULL) {
        return;
    }

    tracez_tracer_stats(tmcf->tracer, &page->ledger);

    ngx_http_tracez_read_published(tmcf, page->lanes, &page->exporter);
}


/* what was true a moment ago is of no use, to browsers or to caches */

static ngx_int_t
ngx_http_tracez_forbid_caching(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    return NGX_OK;
}


static ngx_int_t
ngx_http_tracez_send_page(ngx_http_request_t *r, ngx_buf_t *b)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_tracez_status_handler(ngx_http_request_t *r)
{
    size_t                   size;
    ngx_int_t                rc;
    ngx_buf_t               *b;
    ngx_uint_t               format;
    ngx_http_tracez_page_t   page;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    format = ngx_http_tracez_get_format(r);
    if (format == 0) {
        return NGX_HTTP_BAD_REQUEST;
    }

    ngx_memzero(&page, sizeof(ngx_http_tracez_page_t));
    page.tmcf = ngx_http_get_module_main_conf(r, ngx_http_tracez_module);

    size = NGX_HTTP_TRACEZ_PAGE_BYTES
           + page.tmcf->collectors.nelts * NGX_HTTP_TRACEZ_PAGE_PER;

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page.pos = b->last;
    page.last = b->end;

    ngx_http_tracez_read_page(&page);

    if (format == NGX_HTTP_TRACEZ_JSON) {
        ngx_http_tracez_print_json(&page);
        r->headers_out.content_type = ngx_http_tracez_json_type;

    } else {
        ngx_http_tracez_print_ledger_metrics(&page);
        ngx_http_tracez_print_collector_metrics(&page);
        ngx_http_tracez_print_exporter_metrics(&page);
        r->headers_out.content_type = ngx_http_tracez_prometheus_type;
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    b->last = page.pos;

    if (ngx_http_tracez_forbid_caching(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_tracez_send_page(r, b);
}


char *
ngx_http_tracez_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_loc_conf_t  *tlcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (tlcf->status_format != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 1 || ngx_strcmp(value[1].data, "format=json") == 0)
    {
        tlcf->status_format = NGX_HTTP_TRACEZ_JSON;

    } else if (ngx_strcmp(value[1].data, "format=prometheus") == 0) {
        tlcf->status_format = NGX_HTTP_TRACEZ_PROMETHEUS;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_status \"%V\" rejected: it must be "
                           "format=json or format=prometheus", &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_tracez_status_handler;

    return NGX_CONF_OK;
}
