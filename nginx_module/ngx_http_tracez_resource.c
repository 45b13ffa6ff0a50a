/* SPDX-License-Identifier: MIT
 *
 * Who a server's spans come from: a resource, which is service.name and further
 * attributes. A server that says nothing of its own shares that of http{},
 * which has number 0. */
#include "ngx_http_tracez.h"


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
