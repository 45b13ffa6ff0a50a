/* SPDX-License-Identifier: MIT
 *
 * Reading and writing traceparent and tracestate in the list of a request's
 * headers, which upstream modules pass on.
 *
 * Nothing in the list moves: nginx and other modules keep pointers into it.
 * One traceparent is changed in place. Where there are more, the parts of the
 * list are split around them, and one is added at the end. A part never
 * becomes empty, because nobody who walks the list expects that. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_STATE_BYTES  8192    /* of all lines; more: none */
#define NGX_HTTP_TRACEZ_NALLOC       20


static ngx_str_t  ngx_http_tracez_traceparent = ngx_string("traceparent");
static ngx_str_t  ngx_http_tracez_tracestate = ngx_string("tracestate");


static ngx_inline uint64_t
ngx_http_tracez_get_lower(u_char *p)
{
    uint64_t  letters;

    ngx_memcpy(&letters, p, 8);

    return letters | 0x2020202020202020;
}


/* The names have 8 to 16 bytes, all of them letters, so that setting bit 5 is
 * lowering the case. Every header of every request is looked at. */

static ngx_inline ngx_uint_t
ngx_http_tracez_is_header(ngx_table_elt_t *h, ngx_str_t *name)
{
    size_t  last;

    if (h->key.len != name->len) {
        return 0;
    }

    last = name->len - 8;

    return ngx_http_tracez_get_lower(h->key.data)
           == ngx_http_tracez_get_lower(name->data)
           && ngx_http_tracez_get_lower(h->key.data + last)
              == ngx_http_tracez_get_lower(name->data + last);
}


static ngx_uint_t
ngx_http_tracez_is_ours(ngx_table_elt_t *h)
{
    return ngx_http_tracez_is_header(h, &ngx_http_tracez_traceparent)
           || ngx_http_tracez_is_header(h, &ngx_http_tracez_tracestate);
}


/* ---- reading ------------------------------------------------------------ */

typedef struct {
    ngx_table_elt_t  *traceparent;           /* the first one */
    ngx_table_elt_t  *tracestate;            /* likewise */
    ngx_uint_t        ntraceparent;
    ngx_uint_t        ntracestate;
    size_t            state_bytes;           /* joined, with a comma each */
} ngx_http_tracez_found_t;


static void
ngx_http_tracez_note_line(ngx_http_tracez_found_t *lines, ngx_table_elt_t *h)
{
    if (ngx_http_tracez_is_header(h, &ngx_http_tracez_traceparent)) {
        if (lines->ntraceparent++ == 0) {
            lines->traceparent = h;
        }

    } else if (ngx_http_tracez_is_header(h, &ngx_http_tracez_tracestate)) {
        lines->state_bytes += h->value.len + 1;

        if (lines->ntracestate++ == 0) {
            lines->tracestate = h;
        }
    }
}


/* HTTP/0.9 has no list: its first part is all zero */

static void
ngx_http_tracez_find_lines(ngx_http_request_t *r,
    ngx_http_tracez_found_t *lines)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_memzero(lines, sizeof(ngx_http_tracez_found_t));

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            ngx_http_tracez_note_line(lines, &h[i]);
        }
    }
}


/* several lines are one list (W3C Trace Context, section 3.3.1) */

static ngx_int_t
ngx_http_tracez_join_states(ngx_http_request_t *r, size_t bytes,
    ngx_str_t *joined)
{
    u_char           *p;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (bytes > NGX_HTTP_TRACEZ_STATE_BYTES) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, bytes);
    if (p == NULL) {
        return NGX_ERROR;
    }

    joined->data = p;
    joined->len = bytes - 1;                 /* without the last comma */

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_tracez_is_header(&h[i], &ngx_http_tracez_tracestate)) {
                p = ngx_cpymem(p, h[i].value.data, h[i].value.len);
                *p++ = ',';
            }
        }
    }

    return NGX_OK;
}


void
ngx_http_tracez_extract(ngx_http_request_t *r, struct tracez_context *parent)
{
    ngx_str_t                state;
    ngx_http_tracez_found_t  lines;

    ngx_http_tracez_find_lines(r, &lines);

    /* two are as good as none: nobody knows which is meant */

    if (lines.ntraceparent != 1
        || !tracez_context_parse_traceparent(parent,
                                 (char *) lines.traceparent->value.data,
                                 lines.traceparent->value.len))
    {
        return;
    }

    if (lines.ntracestate == 0) {
        return;
    }

    if (lines.ntracestate == 1) {
        state = lines.tracestate->value;

    } else if (ngx_http_tracez_join_states(r, lines.state_bytes, &state)
               != NGX_OK)
    {
        return;
    }

    (void) tracez_context_parse_tracestate(parent, (char *) state.data,
                                           state.len);
}


/* ---- writing ------------------------------------------------------------ */

/* splits a part before and after an element that is to be left out */

static ngx_int_t
ngx_http_tracez_split(ngx_http_request_t *r, ngx_list_part_t *part,
    ngx_uint_t i)
{
    ngx_list_t       *list;
    ngx_list_part_t  *rest;
    ngx_table_elt_t  *h;

    list = &r->headers_in.headers;
    h = part->elts;

    rest = ngx_palloc(r->pool, sizeof(ngx_list_part_t));
    if (rest == NULL) {
        return NGX_ERROR;
    }

    rest->elts = &h[i + 1];
    rest->nelts = part->nelts - i - 1;
    rest->next = part->next;

    part->nelts = i;
    part->next = rest;

    if (list->last == part) {
        list->last = rest;
    }

    return NGX_OK;
}


/* takes all lines of ours out; empty parts may stay */

static ngx_int_t
ngx_http_tracez_remove_lines(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_tracez_is_ours(&h[i])) {
                break;
            }
        }

        if (i < part->nelts && ngx_http_tracez_split(r, part, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The last part is never empty here. The first one belongs to the list itself,
 * so it takes over what the second one has. */

static void
ngx_http_tracez_drop_empty_parts(ngx_list_t *list)
{
    ngx_list_part_t  *part, *next;

    while (list->part.nelts == 0) {
        next = list->part.next;

        if (list->last == next) {
            list->last = &list->part;
        }

        list->part = *next;
    }

    for (part = &list->part; part->next; /* void */) {
        next = part->next;

        if (next->nelts == 0) {
            part->next = next->next;

        } else {
            part = next;
        }
    }
}


/* ngx_hash_key() of both names, which are alike but for their ends */

#define ngx_http_tracez_hash_trace                                            \
    ngx_hash(ngx_hash(ngx_hash(ngx_hash('t', 'r'), 'a'), 'c'), 'e')

#define ngx_http_tracez_hash_traceparent                                      \
    ngx_hash(ngx_hash(ngx_hash(ngx_hash(ngx_hash(ngx_hash(                    \
        ngx_http_tracez_hash_trace, 'p'), 'a'), 'r'), 'e'), 'n'), 't')

#define ngx_http_tracez_hash_tracestate                                       \
    ngx_hash(ngx_hash(ngx_hash(ngx_hash(ngx_hash(                             \
        ngx_http_tracez_hash_trace, 's'), 't'), 'a'), 't'), 'e')


static void
ngx_http_tracez_set_line(ngx_table_elt_t *h, ngx_str_t *name, ngx_str_t *value)
{
    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = *name;
    h->lowcase_key = name->data;
    h->hash = (name == &ngx_http_tracez_traceparent)
              ? ngx_http_tracez_hash_traceparent
              : ngx_http_tracez_hash_tracestate;
    h->value = *value;
}


/* Replaces whatever lines there are by one of each name, in a part of their
 * own at the end: others may push behind them as ever. */

static void
ngx_http_tracez_replace_lines(ngx_http_request_t *r, ngx_str_t *traceparent,
    ngx_str_t *tracestate)
{
    ngx_list_t       *list;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    list = &r->headers_in.headers;

    h = ngx_palloc(r->pool, list->nalloc * sizeof(ngx_table_elt_t));
    part = ngx_palloc(r->pool, sizeof(ngx_list_part_t));

    if (h == NULL || part == NULL) {
        return;
    }

    (void) ngx_http_tracez_remove_lines(r);

    ngx_http_tracez_set_line(&h[0], &ngx_http_tracez_traceparent, traceparent);
    part->nelts = 1;

    if (tracestate->len != 0) {
        ngx_http_tracez_set_line(&h[1], &ngx_http_tracez_tracestate,
                                 tracestate);
        part->nelts = 2;
    }

    part->elts = h;
    part->next = NULL;

    list->last->next = part;
    list->last = part;

    ngx_http_tracez_drop_empty_parts(list);
}


/* one line, changed where it is or pushed */

static void
ngx_http_tracez_put_line(ngx_http_request_t *r, ngx_table_elt_t *line,
    ngx_str_t *name, ngx_str_t *value)
{
    if (line != NULL) {
        line->value = *value;
        return;
    }

    line = ngx_list_push(&r->headers_in.headers);

    if (line != NULL) {
        ngx_http_tracez_set_line(line, name, value);
    }
}


/* The state to pass on: empty for none. A new trace has none of its caller's,
 * and a sampler may publish its threshold in it. */

static ngx_int_t
ngx_http_tracez_format_state(ngx_http_request_t *r, ngx_http_tracez_ctx_t *ctx,
    ngx_str_t *state)
{
    char  text[TRACEZ_TRACESTATE_TEXT_BYTES];

    ngx_str_null(state);

    if (ctx->context.tracestate_bytes == 0 && ctx->context.threshold == 0) {
        return NGX_OK;
    }

    state->len = tracez_context_format_tracestate(&ctx->context, text,
                                                  sizeof(text));
    if (state->len == 0) {
        return NGX_OK;
    }

    state->data = ngx_pnalloc(r->pool, state->len);
    if (state->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(state->data, text, state->len);

    return NGX_OK;
}


void
ngx_http_tracez_inject(ngx_http_request_t *r, ngx_http_tracez_ctx_t *ctx)
{
    ngx_str_t                traceparent, state;
    ngx_http_tracez_found_t  lines;

    if (r->headers_in.headers.pool == NULL                /* HTTP/0.9 */
        && ngx_list_init(&r->headers_in.headers, r->pool,
                         NGX_HTTP_TRACEZ_NALLOC, sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return;
    }

    if (ngx_http_tracez_format_state(r, ctx, &state) != NGX_OK) {
        return;
    }

    tracez_context_format_traceparent(&ctx->context,
                                      (char *) ctx->traceparent);
    traceparent.data = ctx->traceparent;
    traceparent.len = TRACEZ_TRACEPARENT_TEXT_BYTES - 1;

    ngx_http_tracez_find_lines(r, &lines);

    if (lines.ntraceparent > 1 || lines.ntracestate > 1
        || (lines.ntracestate == 1 && state.len == 0))
    {
        ngx_http_tracez_replace_lines(r, &traceparent, &state);
        return;
    }

    ngx_http_tracez_put_line(r, lines.traceparent,
                             &ngx_http_tracez_traceparent, &traceparent);

    if (state.len != 0) {
        ngx_http_tracez_put_line(r, lines.tracestate,
                                 &ngx_http_tracez_tracestate, &state);
    }
}
