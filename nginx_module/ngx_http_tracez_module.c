/* SPDX-License-Identifier: MIT
 *
 * The directives, and how the configurations of levels are made and merged.
 * A configuration in which nothing is traced adds no handler, no zone and no
 * thread. */
#include "ngx_http_tracez.h"


static void *ngx_http_tracez_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_tracez_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_tracez_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_tracez_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tracez_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_tracez_postconfiguration(ngx_conf_t *cf);


#define NGX_HTTP_TRACEZ_LEVELS                                                \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_http_tracez_commands[] = {

    { ngx_string("tracez"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE1,
      ngx_http_tracez_set_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_sample_rate"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE1,
      ngx_http_tracez_set_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_environment"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_tracez_set_environment,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_buffer_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE12,
      ngx_http_tracez_set_buffer_size,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_tracez_srv_conf_t, buffer_size),
      NULL },

    { ngx_string("tracez_max_tag_size"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE1,
      ngx_http_tracez_set_number,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tracez_loc_conf_t, max_tag_size),
      NULL },

    { ngx_string("tracez_service_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_http_tracez_set_service_name,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_resource_attr"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE2,
      ngx_http_tracez_set_resource_attr,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_span_name"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tracez_loc_conf_t, span_name),
      NULL },

    { ngx_string("tracez_tag"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE23,
      ngx_http_tracez_set_tag,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tracez_loc_conf_t, tags),
      NULL },

    { ngx_string("tracez_extract"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE1,
      ngx_http_tracez_set_propagation,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tracez_loc_conf_t, extract),
      NULL },

    { ngx_string("tracez_inject"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_TAKE1,
      ngx_http_tracez_set_propagation,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tracez_loc_conf_t, inject),
      NULL },

    { ngx_string("tracez_redact_query"),
      NGX_HTTP_TRACEZ_LEVELS|NGX_CONF_1MORE,
      ngx_http_tracez_set_redact,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_exporter"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_http_tracez_exporter_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_tracez_set_limit,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_collector"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_tracez_set_collector,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_monitor"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_tracez_set_monitor,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tracez_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_tracez_set_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tracez_loc_conf_t, status_format),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tracez_module_ctx = {
    ngx_http_tracez_add_variables,         /* preconfiguration */
    ngx_http_tracez_postconfiguration,     /* postconfiguration */

    ngx_http_tracez_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_tracez_create_srv_conf,       /* create server configuration */
    ngx_http_tracez_merge_srv_conf,        /* merge server configuration */

    ngx_http_tracez_create_loc_conf,       /* create location configuration */
    ngx_http_tracez_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_tracez_module = {
    NGX_MODULE_V1,
    &ngx_http_tracez_module_ctx,           /* module context */
    ngx_http_tracez_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_tracez_create_main_conf(ngx_conf_t *cf)
{
    void                         **core;
    ngx_http_tracez_main_conf_t   *tmcf;

    tmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tracez_main_conf_t));
    if (tmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&tmcf->collectors, cf->pool, 1,
                       sizeof(ngx_http_tracez_collector_t))
        != NGX_OK
        || ngx_array_init(&tmcf->collector_configs, cf->pool, 1,
                          sizeof(struct tracez_collector_config))
           != NGX_OK
        || ngx_array_init(&tmcf->resources, cf->pool, 1,
                          sizeof(struct tracez_resource))
           != NGX_OK)
    {
        return NULL;
    }

    tracez_config_init(&tmcf->tracer_config);
    tracez_exporter_config_init(&tmcf->exporter_config);
    ngx_http_tracez_init_monitor(tmcf);
    tmcf->exporter_config.headers = tmcf->headers;
    tmcf->line = NGX_ERROR;

    if (ngx_http_tracez_read_environment(cf, tmcf) != NGX_OK) {
        return NULL;
    }

    /* the core module goes on from here, once the whole file is read */
    core = (void **) ngx_get_conf(cf->cycle->conf_ctx, ngx_tracez_module);
    *core = tmcf;

    return tmcf;
}


static void *
ngx_http_tracez_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_tracez_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tracez_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->buffer_size = NGX_CONF_UNSET_UINT;
    conf->attrs = NGX_CONF_UNSET_PTR;
    conf->collector = NGX_CONF_UNSET_UINT;
    conf->resource = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_tracez_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tracez_srv_conf_t  *prev = parent;
    ngx_http_tracez_srv_conf_t  *conf = child;

    ngx_str_t                     name;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_tracez_main_conf_t  *tmcf;

    static ngx_str_t              everywhere = ngx_string("default");

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tracez_module);

    ngx_http_tracez_init_buffer_size(tmcf, prev);
    ngx_http_tracez_init_buffer_size(tmcf, conf);

    /* what belongs to http{} itself is number 0: made before the first
     * server's */

    if (prev->resource == NGX_CONF_UNSET_UINT) {
        ngx_conf_init_uint_value(prev->buffer_size,
                                 tmcf->tracer_config.spans_max);

        if (ngx_http_tracez_init_resource(cf, tmcf, prev, NULL) != NGX_OK
            || ngx_http_tracez_init_collector(cf, tmcf, prev, &everywhere)
               != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (conf->buffer_size != NGX_CONF_UNSET_UINT) {
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
        name = cscf->server_name;

        if (ngx_http_tracez_init_collector(cf, tmcf, conf, &name) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_merge_uint_value(conf->buffer_size, prev->buffer_size,
                              tmcf->tracer_config.spans_max);
    ngx_conf_merge_uint_value(conf->collector, prev->collector, 0);

    if (ngx_http_tracez_init_resource(cf, tmcf, conf, prev) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_tracez_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tracez_loc_conf_t  *conf;

    /*
     * set by ngx_pcalloc():
     *
     *     conf->enable, conf->rate = { { 0, NULL }, NULL };
     *     conf->extract, conf->inject = 0;
     *     conf->redact_keys = NULL;
     *     conf->redact = 0;
     *     conf->status_format = 0;
     */

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tracez_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->enabled = NGX_CONF_UNSET;
    conf->max_tag_size = NGX_CONF_UNSET_UINT;
    conf->span_name = NGX_CONF_UNSET_PTR;
    conf->tags = NGX_CONF_UNSET_PTR;

    return conf;
}


static void
ngx_http_tracez_merge_switch(ngx_http_tracez_loc_conf_t *conf,
    ngx_http_tracez_loc_conf_t *prev)
{
    if (conf->enable.text.data == NULL) {
        conf->enable = prev->enable;
    }

    ngx_conf_merge_value(conf->enabled, prev->enabled, 0);
}


static void
ngx_http_tracez_merge_rate(ngx_http_tracez_main_conf_t *tmcf,
    ngx_http_tracez_loc_conf_t *conf, ngx_http_tracez_loc_conf_t *prev)
{
    if (conf->rate.text.data == NULL) {
        conf->rate = prev->rate;
        conf->ratio = prev->ratio;
        conf->alone = prev->alone;
    }

    if (conf->rate.text.data == NULL) {
        conf->rate.text = tmcf->sample_rate;
        conf->ratio = tracez_sampler_ratio(tmcf->tracer_config.sample_rate);
        conf->alone = (tmcf->tracer_config.sampler.decide != NULL);
    }

    conf->sampler = conf->alone ? conf->ratio
                                : tracez_sampler_parent_based(&conf->ratio);
}


static void
ngx_http_tracez_merge_redact(ngx_http_tracez_loc_conf_t *conf,
    ngx_http_tracez_loc_conf_t *prev)
{
    if (conf->redact == 0) {
        conf->redact = prev->redact;
        conf->redact_keys = prev->redact_keys;
        conf->nredact_keys = prev->nredact_keys;
    }

    if (conf->redact == 0) {
        conf->redact = NGX_HTTP_TRACEZ_REDACT_KEYS;
        conf->redact_keys =
                 (struct tracez_text *) tracez_http_redacted_keys_default;
        conf->nredact_keys = TRACEZ_HTTP_REDACTED_KEYS_DEFAULT;
    }
}


static char *
ngx_http_tracez_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tracez_loc_conf_t  *prev = parent;
    ngx_http_tracez_loc_conf_t  *conf = child;

    ngx_http_tracez_srv_conf_t   *tscf;
    ngx_http_tracez_main_conf_t  *tmcf;
    ngx_http_tracez_collector_t  *collector;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tracez_module);

    ngx_http_tracez_merge_switch(conf, prev);
    ngx_http_tracez_merge_rate(tmcf, conf, prev);
    ngx_http_tracez_merge_redact(conf, prev);

    ngx_conf_merge_uint_value(conf->max_tag_size, prev->max_tag_size,
                              tmcf->tracer_config.max_tag_bytes);
    ngx_conf_merge_ptr_value(conf->span_name, prev->span_name, NULL);

    if (conf->extract == 0) {
        conf->extract = prev->extract ? prev->extract
                        : tmcf->extract ? tmcf->extract : NGX_HTTP_TRACEZ_W3C;
    }

    if (conf->inject == 0) {
        conf->inject = prev->inject ? prev->inject
                       : tmcf->inject ? tmcf->inject : NGX_HTTP_TRACEZ_W3C;
    }

    if (prev->tags == NGX_CONF_UNSET_PTR) {
        prev->tags = NULL;
    }

    if (ngx_http_tracez_merge_tags(cf, &conf->tags, prev->tags) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* the first one merged for a collector is that of its server itself */

    tscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_tracez_module);

    collector = tmcf->collectors.elts;
    collector = &collector[tscf->collector];

    if (collector->sample_rate.len == 0) {
        collector->sample_rate = conf->rate.text;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tracez_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt          *h;
    ngx_http_core_main_conf_t    *cmcf;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tracez_module);

    if (!tmcf->enabled) {
        return NGX_OK;
    }

    ngx_http_tracez_tell_environment(cf, tmcf);

    if (tmcf->tracer_config.is_disabled) {
        tmcf->enabled = 0;
        return NGX_OK;
    }

    if (ngx_http_tracez_read_pem_files(cf, &tmcf->exporter_config)
        != NGX_CONF_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_tracez_rewrite_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_tracez_log_handler;

    return NGX_OK;
}
