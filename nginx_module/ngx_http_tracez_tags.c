/* SPDX-License-Identifier: MIT
 *
 * What a SERVER span says of its request: OpenTelemetry's HTTP conventions by
 * itself, and the tags of the configuration. The core knows what the names
 * mean; here texts are only fetched. All of it happens at the log phase, when
 * nothing changes any more; path and query are those the client sent, whatever
 * redirects made of them. */
#include "ngx_http_tracez.h"


static void
ngx_http_tracez_set_text(struct tracez_text *text, ngx_str_t *value)
{
    text->text = (const char *) value->data;
    text->bytes = value->len;
}


/* "/path?query#fragment" as it came in; empty where the request line could not
 * be read */

static void
ngx_http_tracez_set_url(ngx_http_request_t *r,
    struct tracez_http_request *request)
{
    size_t   len;
    u_char  *p, *start;

    start = r->unparsed_uri.data;
    len = r->unparsed_uri.len;

    if (len == 0) {
        return;
    }

    p = memchr(start, '#', len);
    if (p != NULL) {
        len = (size_t) (p - start);
    }

    request->path.text = (const char *) start;
    request->path.bytes = len;

    p = memchr(start, '?', len);
    if (p != NULL) {
        request->path.bytes = (size_t) (p - start);
        request->query.text = (const char *) p + 1;
        request->query.bytes = len - request->path.bytes - 1;
    }
}


/* the version is a guess of nginx's until the request line was read */

static void
ngx_http_tracez_set_version(ngx_http_request_t *r, struct tracez_text *text)
{
    static ngx_str_t  v09 = ngx_string("0.9");
    static ngx_str_t  v10 = ngx_string("1.0");
    static ngx_str_t  v11 = ngx_string("1.1");
    static ngx_str_t  v20 = ngx_string("2");

    if (r->method_name.len == 0) {
        return;
    }

    switch (r->http_version) {

    case NGX_HTTP_VERSION_9:
        ngx_http_tracez_set_text(text, &v09);
        break;

    case NGX_HTTP_VERSION_10:
        ngx_http_tracez_set_text(text, &v10);
        break;

    case NGX_HTTP_VERSION_11:
        ngx_http_tracez_set_text(text, &v11);
        break;

    case NGX_HTTP_VERSION_20:
        ngx_http_tracez_set_text(text, &v20);
        break;
    }
}


static void
ngx_http_tracez_set_connection(ngx_http_request_t *r,
    struct tracez_http_request *request)
{
    ngx_connection_t  *c;

    static ngx_str_t   http = ngx_string("http");
#if (NGX_SSL || NGX_COMPAT)
    static ngx_str_t   https = ngx_string("https");
#endif

    c = r->connection;

    ngx_http_tracez_set_text(&request->scheme, &http);

#if (NGX_SSL || NGX_COMPAT)
    if (c->ssl) {
        ngx_http_tracez_set_text(&request->scheme, &https);
    }
#endif

    ngx_http_tracez_set_version(r, &request->protocol_version);

    if (c->local_sockaddr) {
        request->server_port = ngx_inet_get_port(c->local_sockaddr);
    }

    if (c->sockaddr->sa_family != AF_UNIX) {
        ngx_http_tracez_set_text(&request->client_address, &c->addr_text);
        ngx_http_tracez_set_text(&request->peer_address, &c->addr_text);
        request->peer_port = ngx_inet_get_port(c->sockaddr);
    }
}


static void
ngx_http_tracez_set_redaction(ngx_http_tracez_loc_conf_t *tlcf,
    struct tracez_http_request *request)
{
    switch (tlcf->redact) {

    case NGX_HTTP_TRACEZ_REDACT_ALL:
        request->redact_whole_query = 1;
        break;

    case NGX_HTTP_TRACEZ_REDACT_KEYS:
        request->redacted_keys = tlcf->redact_keys;
        request->redacted_key_count = tlcf->nredact_keys;
        break;
    }
}


/* an empty value takes a tag away, also one that tracez sets by itself */

static void
ngx_http_tracez_set_own_tags(ngx_http_request_t *r, struct tracez_span span,
    ngx_array_t *tags)
{
    ngx_str_t               value;
    ngx_uint_t              i;
    ngx_http_tracez_tag_t  *tag;

    tag = tags->elts;

    for (i = 0; i < tags->nelts; i++) {

        if (tag[i].filter != NULL
            && (ngx_http_complex_value(r, tag[i].filter, &value) != NGX_OK
                || value.len == 0
                || (value.len == 1 && value.data[0] == '0')))
        {
            continue;
        }

        if (ngx_http_complex_value(r, &tag[i].value, &value) != NGX_OK) {
            continue;
        }

        if (value.len == 0) {
            tracez_span_remove_tag(span, (const char *) tag[i].key.data);
            continue;
        }

        tracez_span_set_bytes(span, (const char *) tag[i].key.data,
                              (const char *) value.data, value.len);
    }
}


void
ngx_http_tracez_set_tags(ngx_http_request_t *r, ngx_http_tracez_ctx_t *ctx)
{
    ngx_str_t                    name;
    struct tracez_http_request   request;
    ngx_http_tracez_loc_conf_t  *tlcf;

    tlcf = ngx_http_get_module_loc_conf(r, ngx_http_tracez_module);

    ngx_memzero(&request, sizeof(struct tracez_http_request));

    ngx_http_tracez_set_text(&request.method, &r->method_name);
    ngx_http_tracez_set_text(&request.server_address, &r->headers_in.server);
    ngx_http_tracez_set_url(r, &request);
    ngx_http_tracez_set_connection(r, &request);
    ngx_http_tracez_set_redaction(tlcf, &request);

    if (r->headers_in.user_agent != NULL) {
        ngx_http_tracez_set_text(&request.user_agent,
                                 &r->headers_in.user_agent->value);
    }

    tracez_http_tag_request(ctx->span, &request);

    if (tlcf->span_name != NULL
        && ngx_http_complex_value(r, tlcf->span_name, &name) == NGX_OK
        && name.len != 0)
    {
        tracez_span_set_name(ctx->span, (const char *) name.data, name.len);
    }

    if (tlcf->tags != NULL) {
        ngx_http_tracez_set_own_tags(r, ctx->span, tlcf->tags);
    }
}
