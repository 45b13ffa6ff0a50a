/* SPDX-License-Identifier: MIT
 *
 * The block tracez_exporter { }: where spans are sent, and at which pace. Each
 * value is checked by the exporter itself as soon as it is read, so that an
 * error has the line of its directive. What the lines are is in settings. */
#include "ngx_http_tracez.h"


static char *ngx_http_tracez_exporter_check(ngx_conf_t *cf,
    struct tracez_exporter_config *config);
static char *ngx_http_tracez_exporter_setting(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


/* which settings of the block were seen, while it is read */
typedef struct {
    ngx_http_tracez_main_conf_t  *tmcf;
    ngx_uint_t                    seen;     /* a bit for each row of settings */
} ngx_http_tracez_exporter_block_t;


char *
ngx_http_tracez_exporter_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_main_conf_t  *tmcf = conf;

    char                              *rv;
    ngx_conf_t                         save;
    ngx_http_tracez_exporter_block_t   block;

    if (tmcf->has_exporter) {
        return "is duplicate";
    }

    tmcf->has_exporter = 1;

    block.tmcf = tmcf;
    block.seen = 0;

    save = *cf;
    cf->handler = ngx_http_tracez_exporter_setting;
    /* cppcheck-suppress autoVariables ; *cf is restored below */
    cf->handler_conf = &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_tracez_exporter_check(cf, &tmcf->exporter_config);
}


static char *
ngx_http_tracez_exporter_check(ngx_conf_t *cf,
    struct tracez_exporter_config *config)
{
    struct tracez_error  error;

    if (tracez_exporter_check(config, &error) != TRACEZ_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "tracez_exporter: %s",
                           error.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* a certificate and its key make sense together, and come one by one */

static ngx_uint_t
ngx_http_tracez_exporter_is_half(struct tracez_exporter_config *config)
{
    return (config->certificate.text == NULL)
           != (config->certificate_key.text == NULL);
}


/* Trying certificates takes a while, tens of milliseconds for a system's
 * authorities: not at every line, only where they stand, and at the end. */

static char *
ngx_http_tracez_exporter_check_line(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_setting_t *setting)
{
    struct tracez_exporter_config  config;

    config = tmcf->exporter_config;

    if (setting->set != ngx_http_tracez_exporter_file
        || ngx_http_tracez_exporter_is_half(&config))
    {
        config.trusted_certificate = (struct tracez_text) { NULL, 0 };
        config.certificate = (struct tracez_text) { NULL, 0 };
        config.certificate_key = (struct tracez_text) { NULL, 0 };
        config.trusted_certificate_file = NULL;
        config.certificate_file = NULL;
        config.certificate_key_file = NULL;
    }

    return ngx_http_tracez_exporter_check(cf, &config);
}


static char *
ngx_http_tracez_exporter_setting(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_exporter_block_t  *block = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    row, bit;
    ngx_http_tracez_setting_t    *setting;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = block->tmcf;
    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[0].data, "include") == 0) {
        return ngx_conf_include(cf, cmd, conf);
    }

    setting = ngx_http_tracez_exporter_find(&value[0], &row);

    if (setting == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown parameter \"%V\" in \"tracez_exporter\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts != setting->nargs + 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_exporter: %V takes %ui value%s, not %ui",
                           &value[0], setting->nargs,
                           setting->nargs == 1 ? "" : "s",
                           cf->args->nelts - 1);
        return NGX_CONF_ERROR;
    }

    bit = (ngx_uint_t) 1 << row;

    if ((block->seen & bit) && setting->set != ngx_http_tracez_exporter_header)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_exporter: %V is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    block->seen |= bit;

    if (setting->offset == ngx_http_tracez_offset(interval_ms)) {
        tmcf->has_interval = 1;
    }

    rv = setting->set(cf, tmcf, setting->offset);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_tracez_exporter_check_line(cf, tmcf, setting);
}
