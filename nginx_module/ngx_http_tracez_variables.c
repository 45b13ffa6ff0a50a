/* SPDX-License-Identifier: MIT
 *
 * Variables: a request's place in its trace, for logs and headers. They have a
 * value for every request that is traced, sampled or not, and none for any
 * other. Asking for one starts the span. */
#include "ngx_http_tracez.h"


static ngx_int_t ngx_http_tracez_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


enum {
    NGX_HTTP_TRACEZ_TRACE_ID,
    NGX_HTTP_TRACEZ_SPAN_ID,
    NGX_HTTP_TRACEZ_PARENT_ID,
    NGX_HTTP_TRACEZ_PARENT_SAMPLED,
    NGX_HTTP_TRACEZ_SAMPLED,
    NGX_HTTP_TRACEZ_TRACEPARENT,
    NGX_HTTP_TRACEZ_SAMPLING_REASON
};


static ngx_http_variable_t  ngx_http_tracez_variables[] = {

    { ngx_string("tracez_trace_id"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_TRACE_ID, 0, 0 },

    { ngx_string("tracez_span_id"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_SPAN_ID, 0, 0 },

    { ngx_string("tracez_parent_id"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_PARENT_ID, 0, 0 },

    { ngx_string("tracez_parent_sampled"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_PARENT_SAMPLED, 0, 0 },

    { ngx_string("tracez_sampled"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_SAMPLED, 0, 0 },

    { ngx_string("tracez_traceparent"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_TRACEPARENT, 0, 0 },

    { ngx_string("tracez_sampling_reason"), NULL, ngx_http_tracez_variable,
      NGX_HTTP_TRACEZ_SAMPLING_REASON, 0, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_tracez_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_tracez_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* Writes at most TRACEZ_TRACEPARENT_TEXT_BYTES; empty where there is nothing to
 * say. A span that has not started has a parent only. */

static void
ngx_http_tracez_write_variable(ngx_http_tracez_ctx_t *ctx, uintptr_t which,
    char *text)
{
    ngx_uint_t  has_parent;

    has_parent = tracez_context_is_valid(&ctx->parent);
    text[0] = '\0';

    if (!ctx->started && which != NGX_HTTP_TRACEZ_PARENT_ID
        && which != NGX_HTTP_TRACEZ_PARENT_SAMPLED)
    {
        return;
    }

    switch (which) {

    case NGX_HTTP_TRACEZ_TRACE_ID:
        tracez_context_format_trace_id(&ctx->context, text);
        break;

    case NGX_HTTP_TRACEZ_SPAN_ID:
        tracez_context_format_span_id(&ctx->context, text);
        break;

    case NGX_HTTP_TRACEZ_PARENT_ID:
        if (has_parent) {
            tracez_context_format_span_id(&ctx->parent, text);
        }

        break;

    case NGX_HTTP_TRACEZ_PARENT_SAMPLED:
        if (has_parent) {
            text[0] = (ctx->parent.flags & TRACEZ_FLAG_SAMPLED) ? '1' : '0';
            text[1] = '\0';
        }

        break;

    case NGX_HTTP_TRACEZ_SAMPLED:
        text[0] = ctx->decision.sampled ? '1' : '0';
        text[1] = '\0';
        break;

    case NGX_HTTP_TRACEZ_TRACEPARENT:
        tracez_context_format_traceparent(&ctx->context, text);
        break;

    default:                               /* NGX_HTTP_TRACEZ_SAMPLING_REASON */
        (void) ngx_cpystrn((u_char *) text, (u_char *) ctx->decision.reason,
                           TRACEZ_TRACEPARENT_TEXT_BYTES);
    }
}


static ngx_int_t
ngx_http_tracez_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                 *p;
    ngx_http_tracez_ctx_t  *ctx;

    ctx = ngx_http_tracez_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_tracez_find_ctx(r);
    }

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, TRACEZ_TRACEPARENT_TEXT_BYTES);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_tracez_write_variable(ctx, data, (char *) p);

    v->data = p;
    v->len = ngx_strlen(p) & 0xff;
    v->not_found = (v->len == 0);
    v->valid = !v->not_found;
    v->no_cacheable = 0;

    return NGX_OK;
}
