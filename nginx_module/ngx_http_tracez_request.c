/* SPDX-License-Identifier: MIT
 *
 * A request's span, from start to finish.
 *
 * It starts in the rewrite phase, when the location is known, or earlier when
 * a variable asks for it; a request that is refused while its headers are read
 * skips every phase but the last, and gets its span there. It is finished in
 * the log phase. In between it is found through the pool's cleanups, because
 * internal redirects clear the contexts of modules. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_HEADERS_MSEC     2     /* reading them took longer */
#define NGX_HTTP_TRACEZ_CLOCKS_MSEC      1000  /* nginx's two, apart at most */


static void ngx_http_tracez_cleanup(void *data);


ngx_http_tracez_ctx_t *
ngx_http_tracez_find_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_tracez_ctx_t  *ctx;

    r = r->main;
    ctx = ngx_http_get_module_ctx(r, ngx_http_tracez_module);

    if (ctx != NULL) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_tracez_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_tracez_module);
            return ctx;
        }
    }

    return NULL;
}


/* the log phase comes before the pool's end: nothing is open here */

static void
ngx_http_tracez_cleanup(void *data)
{
    ngx_http_tracez_ctx_t  *ctx = data;

    if (ctx->started && !ctx->finished) {
        tracez_span_finish(ctx->span);
    }
}


/* ---- is it traced ------------------------------------------------------- */

static ngx_uint_t
ngx_http_tracez_is_enabled(ngx_http_request_t *r,
    ngx_http_tracez_loc_conf_t *tlcf)
{
    ngx_str_t  value;

    if (tlcf->enable.variable == NULL) {
        return (ngx_uint_t) tlcf->enabled;
    }

    if (ngx_http_complex_value(r, tlcf->enable.variable, &value) != NGX_OK) {
        return 0;
    }

    return value.len != 0
           && !(value.len == 1 && value.data[0] == '0')
           && !(value.len == 3 && ngx_strncmp(value.data, "off", 3) == 0);
}


/* What can't be read as a rate is none: nothing is traced. *ratio is memory for
 * a sampler whose rate is the request's own. */

static void
ngx_http_tracez_get_sampler(ngx_http_request_t *r,
    ngx_http_tracez_loc_conf_t *tlcf, struct tracez_sampler *ratio,
    struct tracez_sampler *sampler)
{
    double     rate;
    ngx_str_t  value;

    if (ngx_http_complex_value(r, tlcf->rate.variable, &value) != NGX_OK
        || value.len == 0
        || ngx_http_tracez_parse_rate(&value, &rate) != NGX_OK)
    {
        rate = 0;
    }

    *ratio = tracez_sampler_ratio(rate);
    *sampler = tracez_sampler_parent_based(ratio);
}


/* ---- start -------------------------------------------------------------- */

/* When the request began, where reading its headers took a while; 0 for now.
 * nginx's own stamps have a step of a millisecond. */

static uint64_t
ngx_http_tracez_get_start(ngx_http_request_t *r)
{
    ngx_time_t      *tp;
    ngx_msec_int_t   ms, connected;

    tp = ngx_timeofday();
    ms = (ngx_msec_int_t) (tp->sec - r->start_sec) * 1000
         + ((ngx_msec_int_t) tp->msec - (ngx_msec_int_t) r->start_msec);

    /* before there was a connection: somebody set the clock meanwhile */

    connected = (ngx_msec_int_t) (ngx_current_msec - r->connection->start_time);

    if (ms <= NGX_HTTP_TRACEZ_HEADERS_MSEC
        || ms > connected + NGX_HTTP_TRACEZ_CLOCKS_MSEC)
    {
        return 0;
    }

    return ((uint64_t) r->start_sec * 1000 + r->start_msec) * 1000000;
}


static void
ngx_http_tracez_start_span(ngx_http_request_t *r, ngx_http_tracez_ctx_t *ctx,
    ngx_http_tracez_loc_conf_t *tlcf)
{
    char                          name[16];
    struct tracez_text            method, no_route;
    struct tracez_sampler         ratio, sampler;
    struct tracez_span_options    options;
    ngx_http_tracez_srv_conf_t   *tscf;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tracez_module);
    tscf = ngx_http_get_module_srv_conf(r, ngx_http_tracez_module);

    ngx_memzero(&options, sizeof(struct tracez_span_options));

    if (tlcf->rate.variable == NULL) {
        options.sampler = &tlcf->sampler;

    } else {
        ngx_http_tracez_get_sampler(r, tlcf, &ratio, &sampler);
        options.sampler = &sampler;
    }

    ngx_memzero(&no_route, sizeof(struct tracez_text));
    method.text = (char *) r->method_name.data;
    method.bytes = r->method_name.len;

    options.kind = TRACEZ_KIND_SERVER;
    options.name.text = name;
    options.name.bytes = tracez_http_span_name(method, no_route, name,
                                               sizeof(name));
    options.parent = &ctx->parent;
    options.collector = tracez_tracer_collector(tmcf->tracer, tscf->collector);
    options.resource = (uint32_t) tscf->resource;
    options.max_tag_bytes = (uint32_t) tlcf->max_tag_size;
    options.start_unix_ns = ngx_http_tracez_get_start(r);
    options.decision = &ctx->decision;

    ctx->span = tracez_span_start_with(tmcf->tracer, &options, &ctx->context);
}


static ngx_http_tracez_ctx_t *
ngx_http_tracez_create_ctx(ngx_http_request_t *r,
    ngx_http_tracez_loc_conf_t *tlcf)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_tracez_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_tracez_ctx_t));
    if (cln == NULL) {
        return NULL;                         /* untraced beats unanswered */
    }

    ctx = cln->data;
    ngx_memzero(ctx, offsetof(ngx_http_tracez_ctx_t, span));

    cln->handler = ngx_http_tracez_cleanup;
    ngx_http_set_ctx(r, ctx, ngx_http_tracez_module);

    if (tlcf->extract == NGX_HTTP_TRACEZ_W3C) {
        ngx_http_tracez_extract(r, &ctx->parent);
    }

    return ctx;
}


/* The context of a main request with its span started, NULL where the request
 * is not traced. The parent is known before it is decided whether to trace at
 * all, so that a variable may decide by it. */

ngx_http_tracez_ctx_t *
ngx_http_tracez_get_ctx(ngx_http_request_t *r)
{
    ngx_http_tracez_ctx_t        *ctx;
    ngx_http_tracez_loc_conf_t   *tlcf;
    ngx_http_tracez_main_conf_t  *tmcf;

    ctx = ngx_http_tracez_find_ctx(r);

    if (ctx != NULL && ctx->started) {
        return ctx;
    }

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tracez_module);
    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_tracez_module);

    if (r != r->main || tmcf->tracer == NULL || !tlcf->enabled) {
        return NULL;
    }

    if (ctx == NULL) {
        ctx = ngx_http_tracez_create_ctx(r, tlcf);
    }

    if (ctx == NULL || ctx->deciding) {
        return NULL;
    }

    ctx->deciding = 1;

    if (ngx_http_tracez_is_enabled(r, tlcf)) {
        ngx_http_tracez_start_span(r, ctx, tlcf);
        ctx->started = 1;
    }

    ctx->deciding = 0;

    return ctx->started ? ctx : NULL;
}


ngx_int_t
ngx_http_tracez_rewrite_handler(ngx_http_request_t *r)
{
    ngx_http_tracez_ctx_t       *ctx;
    ngx_http_tracez_loc_conf_t  *tlcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_tracez_get_ctx(r);

    if (ctx == NULL || ctx->injected) {
        return NGX_DECLINED;
    }

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_tracez_module);

    if (tlcf->inject == NGX_HTTP_TRACEZ_W3C) {
        ctx->injected = 1;
        ngx_http_tracez_inject(r, ctx);
    }

    return NGX_DECLINED;
}


/* ---- finish ------------------------------------------------------------- */

/* as $status says it */

static ngx_uint_t
ngx_http_tracez_get_status(ngx_http_request_t *r)
{
    return r->err_status ? r->err_status : r->headers_out.status;
}


/* Why the client did not get the whole response; NULL when it did. A client
 * that was told nothing at all because nginx closed the connection on purpose
 * (444) got what it was meant to. */

static const char *
ngx_http_tracez_get_abort(ngx_http_request_t *r, ngx_uint_t status)
{
    if (status == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        return "client_aborted";
    }

    if (r->request_complete || !r->header_sent) {
        return NULL;
    }

    if (r->connection->timedout) {
        return "timeout";
    }

    return r->connection->error ? "client_aborted" : "response_truncated";
}


ngx_int_t
ngx_http_tracez_log_handler(ngx_http_request_t *r)
{
    ngx_uint_t                    status;
    ngx_http_tracez_ctx_t        *ctx;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tracez_module);

    if (r != r->main || tmcf->tracer == NULL) {
        return NGX_OK;
    }

    ctx = ngx_http_tracez_get_ctx(r);

    if (ctx == NULL) {
        tracez_tracer_count_request(tmcf->tracer, false);
        return NGX_OK;
    }

    if (ctx->finished) {
        return NGX_OK;
    }

    ctx->finished = 1;
    tracez_tracer_count_request(tmcf->tracer, ctx->decision.record);

    if (tracez_span_is_recording(ctx->span)) {
        status = ngx_http_tracez_get_status(r);

        ngx_http_tracez_set_tags(r, ctx);
        tracez_http_tag_response(ctx->span, TRACEZ_KIND_SERVER, (int) status,
                                 ngx_http_tracez_get_abort(r, status));
        tracez_span_finish(ctx->span);
    }

    return NGX_OK;
}
