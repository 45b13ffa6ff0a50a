/* SPDX-License-Identifier: MIT
 *
 * The status page: the ledger over all workers, the collectors, and how
 * exporting goes; as JSON, or as text for Prometheus with OpenTelemetry's
 * names where its SDK metrics have one. It is no request that anybody waits
 * for, so it may allocate. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_PAGE_BYTES     32768
#define NGX_HTTP_TRACEZ_PAGE_PER       4096      /* a collector's, at most */


static ngx_int_t ngx_http_tracez_status_handler(ngx_http_request_t *r);


static ngx_str_t  ngx_http_tracez_json_type = ngx_string("application/json");
static ngx_str_t  ngx_http_tracez_prometheus_type =
                                     ngx_string("text/plain; version=0.0.4");


void ngx_cdecl
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

void
ngx_http_tracez_print_text(ngx_http_tracez_page_t *page, u_char *text,
    size_t len)
{
    size_t  bytes;

    bytes = len + ngx_escape_json(NULL, text, len);

    if (bytes <= (size_t) (page->last - page->pos)) {
        page->pos = (u_char *) ngx_escape_json(page->pos, text, len);
    }
}


void
ngx_http_tracez_print_string(ngx_http_tracez_page_t *page, const char *text)
{
    ngx_http_tracez_print_text(page, (u_char *) text, ngx_strlen(text));
}


/* A tracer where there is one: the collector's figures, else zeros. */

void
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
        ngx_http_tracez_print_metrics(&page);
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
