/* SPDX-License-Identifier: MIT
 *
 * Who a server's spans come from (a resource: service.name and further
 * attributes), and in which buffer they wait (a collector). A server that says
 * nothing of its own shares both with http{}, which has number 0. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_NAME_BYTES    64     /* a collector's, with its NUL */


char *
ngx_http_tracez_set_service_name(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_tracez_srv_conf_t  *tscf = conf;

    ngx_str_t  *value;

    if (tscf->service_name.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '$'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_service_name \"%V\" rejected: it must be "
                           "a text without variables", &value[1]);
        return NGX_CONF_ERROR;
    }

    tscf->service_name = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_tracez_set_resource_attr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_tracez_srv_conf_t  *tscf = conf;

    ngx_str_t               *value;
    ngx_http_tracez_attr_t  *attr;

    value = cf->args->elts;

    if (value[1].len == 0
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '$')
        || ngx_strlchr(value[2].data, value[2].data + value[2].len, '$'))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_resource_attr \"%V\" rejected: key and "
                           "value must be texts without variables",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "service.name") == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_resource_attr \"service.name\" rejected: "
                           "tracez_service_name sets it");
        return NGX_CONF_ERROR;
    }

    if (tscf->attrs == NGX_CONF_UNSET_PTR) {
        tscf->attrs = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_tracez_attr_t));
        if (tscf->attrs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    attr = ngx_array_push(tscf->attrs);
    if (attr == NULL) {
        return NGX_CONF_ERROR;
    }

    attr->key = value[1];
    attr->value = value[2];

    return NGX_CONF_OK;
}


/* a server's own attributes come last: they replace those of http{} */

static ngx_int_t
ngx_http_tracez_add_attrs(ngx_array_t *tags, ngx_array_t *attrs)
{
    ngx_uint_t               i, k;
    struct tracez_tag       *tag;
    ngx_http_tracez_attr_t  *attr;

    if (attrs == NGX_CONF_UNSET_PTR) {
        return NGX_OK;
    }

    attr = attrs->elts;

    for (i = 0; i < attrs->nelts; i++) {
        tag = tags->elts;

        for (k = 0; k < tags->nelts; k++) {
            if (ngx_strcmp(tag[k].key, attr[i].key.data) == 0) {
                break;
            }
        }

        tag = (k < tags->nelts) ? &tag[k] : ngx_array_push(tags);
        if (tag == NULL) {
            return NGX_ERROR;
        }

        tag->key = (const char *) attr[i].key.data;
        tag->type = TRACEZ_TAG_STRING;
        tag->value.string.text = (const char *) attr[i].value.data;
        tag->value.string.bytes = attr[i].value.len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_tracez_init_resource(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_srv_conf_t *conf,
    ngx_http_tracez_srv_conf_t *above)
{
    ngx_array_t             *tags;
    struct tracez_resource  *resource;

    if (above != NULL && conf->service_name.data == NULL
        && conf->attrs == NGX_CONF_UNSET_PTR)
    {
        conf->resource = above->resource;
        return NGX_OK;
    }

    if (conf->service_name.data == NULL && above != NULL) {
        conf->service_name = above->service_name;
    }

    if (tmcf->resources.nelts == TRACEZ_RESOURCES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez: more than %d servers with a service name "
                           "or resource attributes of their own",
                           TRACEZ_RESOURCES_MAX - 1);
        return NGX_ERROR;
    }

    tags = ngx_array_create(cf->pool, 4, sizeof(struct tracez_tag));

    if (tags == NULL
        || (above != NULL
            && ngx_http_tracez_add_attrs(tags, above->attrs) != NGX_OK)
        || ngx_http_tracez_add_attrs(tags, conf->attrs) != NGX_OK)
    {
        return NGX_ERROR;
    }

    conf->resource = tmcf->resources.nelts;

    resource = ngx_array_push(&tmcf->resources);
    if (resource == NULL) {
        return NGX_ERROR;
    }

    resource->service_name = conf->service_name.data != NULL
                             ? (const char *) conf->service_name.data
                             : tmcf->tracer_config.service_name;
    resource->attributes = tmcf->tracer_config.resource_attributes;
    resource->tags = tags->elts;
    resource->tag_count = tags->nelts;

    return NGX_OK;
}


/* tracez_buffer_size 50000; or auto rate=1000; */

char *
ngx_http_tracez_set_buffer_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_srv_conf_t  *tscf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (tscf->buffer_rate != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        return ngx_http_tracez_set_number(cf, cmd, conf);
    }

    if (tscf->buffer_size != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    n = NGX_ERROR;

    if (ngx_strcmp(value[1].data, "auto") == 0
        && ngx_strncmp(value[2].data, "rate=", 5) == 0)
    {
        n = ngx_http_tracez_parse_per_second(value[2].data + 5,
                                             value[2].len - 5);
    }

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_buffer_size \"%V %V\" rejected: it must be "
                           "a number of spans, or auto rate=n with n from 1 "
                           "to 1000000000 spans a second",
                           &value[1], &value[2]);
        return NGX_CONF_ERROR;
    }

    tscf->buffer_rate = (ngx_uint_t) n;

    return NGX_CONF_OK;
}


/* the interval is known when all of http{} is read */

void
ngx_http_tracez_init_buffer_size(ngx_http_tracez_main_conf_t *tmcf,
    ngx_http_tracez_srv_conf_t *conf)
{
    if (conf->buffer_rate != 0) {
        conf->buffer_size = tracez_collector_capacity_for(
                                       (uint32_t) conf->buffer_rate,
                                       tmcf->exporter_config.interval_ms);
    }
}


static ngx_uint_t
ngx_http_tracez_is_taken(ngx_http_tracez_main_conf_t *tmcf, u_char *name)
{
    ngx_uint_t                        i;
    struct tracez_collector_config  *config;

    config = tmcf->collector_configs.elts;

    for (i = 0; i < tmcf->collector_configs.nelts; i++) {
        if (ngx_strcmp(config[i].name, name) == 0) {
            return 1;
        }
    }

    return 0;
}


/* the server's name; "-2" and so on where several servers have the same */

static u_char *
ngx_http_tracez_collector_name(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_str_t *wanted)
{
    size_t       len;
    u_char      *name;
    ngx_uint_t   n;

    static ngx_str_t  nameless = ngx_string("server");

    name = ngx_pnalloc(cf->pool, NGX_HTTP_TRACEZ_NAME_BYTES);
    if (name == NULL) {
        return NULL;
    }

    if (wanted->len == 0) {
        wanted = &nameless;
    }

    len = ngx_min(wanted->len,
                  NGX_HTTP_TRACEZ_NAME_BYTES - 1 - sizeof("-65535"));

    ngx_cpystrn(name, wanted->data, len + 1);

    for (n = 2; ngx_http_tracez_is_taken(tmcf, name); n++) {
        ngx_sprintf(name + len, "-%ui%Z", n);
    }

    return name;
}


ngx_int_t
ngx_http_tracez_init_collector(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_srv_conf_t *conf,
    ngx_str_t *wanted)
{
    u_char                           *name;
    ngx_http_tracez_collector_t      *collector;
    struct tracez_collector_config  *config;

    if (tmcf->collectors.nelts == TRACEZ_COLLECTORS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_buffer_size: more than %d servers with a "
                           "buffer of their own",
                           TRACEZ_COLLECTORS_MAX - 1);
        return NGX_ERROR;
    }

    name = ngx_http_tracez_collector_name(cf, tmcf, wanted);
    if (name == NULL) {
        return NGX_ERROR;
    }

    conf->collector = tmcf->collectors.nelts;

    collector = ngx_array_push(&tmcf->collectors);
    if (collector == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(collector, sizeof(ngx_http_tracez_collector_t));
    collector->name.data = name;
    collector->name.len = ngx_strlen(name);

    config = ngx_array_push(&tmcf->collector_configs);
    if (config == NULL) {
        return NGX_ERROR;
    }

    /* each request names its server's collector */

    ngx_memzero(config, sizeof(struct tracez_collector_config));
    config->name = (const char *) name;
    config->spans_max = (uint32_t) conf->buffer_size;
    config->match = TRACEZ_MATCH_NAMED_ONLY;

    return NGX_OK;
}
