/* SPDX-License-Identifier: MIT
 *
 * Reading the values of directives. A bad one says what was read, what is
 * allowed and, where people make the same mistake, what was probably meant;
 * nginx adds file and line. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_KEY_MAX        255


static ngx_int_t
ngx_http_tracez_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *compiled)
{
    ngx_http_compile_complex_value_t   ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = compiled;

    return ngx_http_compile_complex_value(&ccv);
}


/* NGX_DECLINED: the text has no variables, and is for the caller to read */

ngx_int_t
ngx_http_tracez_compile_variable(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_tracez_value_t *value)
{
    value->text = *text;
    value->variable = NULL;

    if (ngx_http_script_variables_count(text) == 0) {
        return NGX_DECLINED;
    }

    value->variable = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (value->variable == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_tracez_compile(cf, text, value->variable);
}


char *
ngx_http_tracez_set_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_loc_conf_t  *tlcf = conf;

    ngx_int_t                     rc;
    ngx_str_t                    *value;
    ngx_http_tracez_main_conf_t  *tmcf;

    if (tlcf->enabled != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    rc = ngx_http_tracez_compile_variable(cf, &value[1], &tlcf->enable);

    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (rc == NGX_OK || ngx_strcmp(value[1].data, "on") == 0) {
        tlcf->enabled = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        tlcf->enabled = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez \"%V\" rejected: it must be \"on\", "
                           "\"off\" or a variable", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (tlcf->enabled) {
        tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tracez_module);
        tmcf->enabled = 1;
    }

    return NGX_CONF_OK;
}


typedef struct {
    ngx_str_t     name;
    ngx_int_t     min;
    ngx_int_t     max;
    const char   *unit;
    const char   *hint;                     /* for a number with a suffix */
} ngx_http_tracez_number_t;


static ngx_http_tracez_number_t  ngx_http_tracez_numbers[] = {

    { ngx_string("tracez_buffer_size"), 1, 16777216, "spans",
      "it counts spans, not bytes" },

    { ngx_string("tracez_max_tag_size"), 16, 32000, "bytes",
      "it is a plain number of bytes" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


char *
ngx_http_tracez_set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    u_char                    *end;
    ngx_int_t                  n;
    ngx_str_t                 *value;
    ngx_uint_t                *np;
    ngx_http_tracez_number_t  *number;

    np = (ngx_uint_t *) (void *) (p + cmd->offset);

    if (*np != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (number = ngx_http_tracez_numbers;
         ngx_strcmp(number->name.data, value[0].data) != 0;
         number++)
    {
        /* void */
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n >= number->min && n <= number->max) {
        *np = (ngx_uint_t) n;
        return NGX_CONF_OK;
    }

    for (end = value[1].data; *end >= '0' && *end <= '9'; end++) { /* void */ }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%V \"%V\" rejected: %s%sit must be %i to %i %s",
                       &value[0], &value[1],
                       end > value[1].data && *end ? number->hint : "",
                       end > value[1].data && *end ? "; " : "",
                       number->min, number->max, number->unit);

    return NGX_CONF_ERROR;
}


char *
ngx_http_tracez_set_propagation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t   *value;
    ngx_uint_t  *np;

    np = (ngx_uint_t *) (void *) (p + cmd->offset);

    if (*np != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "w3c") == 0) {
        *np = NGX_HTTP_TRACEZ_W3C;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        *np = NGX_HTTP_TRACEZ_PROPAGATE_OFF;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V \"%V\" rejected: it must be \"w3c\" or \"off\"",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* ---- tags --------------------------------------------------------------- */

static char *
ngx_http_tracez_set_filter(ngx_conf_t *cf, ngx_http_tracez_tag_t *tag,
    ngx_str_t *parameter)
{
    ngx_str_t  text;

    if (parameter->len <= 3 || ngx_strncmp(parameter->data, "if=", 3) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_tag parameter \"%V\" rejected: it must be "
                           "if=condition", parameter);
        return NGX_CONF_ERROR;
    }

    text.data = parameter->data + 3;
    text.len = parameter->len - 3;

    tag->filter = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));

    if (tag->filter == NULL
        || ngx_http_tracez_compile(cf, &text, tag->filter) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_tracez_set_tag(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_loc_conf_t  *tlcf = conf;

    ngx_str_t              *value;
    ngx_http_tracez_tag_t  *tag;

    if (tlcf->tags == NGX_CONF_UNSET_PTR) {
        tlcf->tags = ngx_array_create(cf->pool, 4,
                                      sizeof(ngx_http_tracez_tag_t));
        if (tlcf->tags == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > NGX_HTTP_TRACEZ_KEY_MAX
        || ngx_http_script_variables_count(&value[1]) > 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_tag key \"%V\" rejected: it must be 1 to "
                           "%d bytes without variables",
                           &value[1], NGX_HTTP_TRACEZ_KEY_MAX);
        return NGX_CONF_ERROR;
    }

    if (tlcf->tags->nelts == TRACEZ_TAGS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_tag \"%V\" rejected: a span has at most "
                           "%d tags", &value[1], TRACEZ_TAGS_MAX);
        return NGX_CONF_ERROR;
    }

    tag = ngx_array_push(tlcf->tags);
    if (tag == NULL) {
        return NGX_CONF_ERROR;
    }

    tag->key = value[1];
    tag->filter = NULL;

    if (ngx_http_tracez_compile(cf, &value[2], &tag->value) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return cf->args->nelts == 4
           ? ngx_http_tracez_set_filter(cf, tag, &value[3]) : NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_tracez_has_tag(ngx_array_t *tags, ngx_str_t *key)
{
    ngx_uint_t              i;
    ngx_http_tracez_tag_t  *tag;

    tag = tags->elts;

    for (i = 0; i < tags->nelts; i++) {
        if (tag[i].key.len == key->len
            && ngx_strncmp(tag[i].key.data, key->data, key->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* what a level says of a key replaces what the levels above said of it */

ngx_int_t
ngx_http_tracez_merge_tags(ngx_conf_t *cf, ngx_array_t **tags,
    ngx_array_t *above)
{
    ngx_uint_t              i;
    ngx_array_t            *own, *merged;
    ngx_http_tracez_tag_t  *tag, *copy;

    own = *tags;

    if (own == NGX_CONF_UNSET_PTR || above == NULL) {
        *tags = (own == NGX_CONF_UNSET_PTR) ? above : own;
        return NGX_OK;
    }

    merged = ngx_array_create(cf->pool, above->nelts + own->nelts,
                              sizeof(ngx_http_tracez_tag_t));
    if (merged == NULL) {
        return NGX_ERROR;
    }

    tag = above->elts;

    for (i = 0; i < above->nelts; i++) {
        if (!ngx_http_tracez_has_tag(own, &tag[i].key)) {
            copy = ngx_array_push(merged);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = tag[i];
        }
    }

    copy = ngx_array_push_n(merged, own->nelts);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, own->elts, own->nelts * sizeof(ngx_http_tracez_tag_t));
    *tags = merged;

    return NGX_OK;
}


/* ---- redaction ---------------------------------------------------------- */

char *
ngx_http_tracez_set_redact(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_loc_conf_t  *tlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (tlcf->redact != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        tlcf->redact = NGX_HTTP_TRACEZ_REDACT_OFF;
        return NGX_CONF_OK;
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "all") == 0) {
        tlcf->redact = NGX_HTTP_TRACEZ_REDACT_ALL;
        return NGX_CONF_OK;
    }

    tlcf->redact = NGX_HTTP_TRACEZ_REDACT_KEYS;
    tlcf->nredact_keys = cf->args->nelts - 1;
    tlcf->redact_keys = ngx_palloc(cf->pool, tlcf->nredact_keys
                                             * sizeof(struct tracez_text));
    if (tlcf->redact_keys == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < tlcf->nredact_keys; i++) {
        if (value[i + 1].len == 0
            || ngx_strlchr(value[i + 1].data,
                           value[i + 1].data + value[i + 1].len, '$'))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "tracez_redact_query \"%V\" rejected: it must "
                               "be keys without variables, \"off\" or \"all\"",
                               &value[i + 1]);
            return NGX_CONF_ERROR;
        }

        tlcf->redact_keys[i].text = (const char *) value[i + 1].data;
        tlcf->redact_keys[i].bytes = value[i + 1].len;
    }

    return NGX_CONF_OK;
}
