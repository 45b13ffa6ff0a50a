/* SPDX-License-Identifier: MIT
 *
 * The lines of the block tracez_exporter { }: what each takes, and where it is
 * kept. Values of headers are secrets: no message repeats them. */
#include "ngx_http_tracez.h"


static char *ngx_http_tracez_exporter_compression(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_endpoint(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_format(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_lanes(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_msec(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_number(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_proxy(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_retry(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_size(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);
static char *ngx_http_tracez_exporter_verify(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset);


static ngx_http_tracez_setting_t  ngx_http_tracez_settings[] = {

    { ngx_string("endpoint"), 1, ngx_http_tracez_exporter_endpoint, 0 },

    { ngx_string("format"), 1, ngx_http_tracez_exporter_format, 0 },

    { ngx_string("header"), 2, ngx_http_tracez_exporter_header, 0 },

    { ngx_string("compression"), 1, ngx_http_tracez_exporter_compression, 0 },

    { ngx_string("trusted_certificate"), 1, ngx_http_tracez_exporter_file,
      ngx_http_tracez_offset(trusted_certificate) },

    { ngx_string("certificate"), 1, ngx_http_tracez_exporter_file,
      ngx_http_tracez_offset(certificate) },

    { ngx_string("certificate_key"), 1, ngx_http_tracez_exporter_file,
      ngx_http_tracez_offset(certificate_key) },

    { ngx_string("verify"), 1, ngx_http_tracez_exporter_verify, 0 },

    { ngx_string("proxy"), 1, ngx_http_tracez_exporter_proxy, 0 },

    { ngx_string("interval"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(interval_ms) },

    { ngx_string("batch_size"), 1, ngx_http_tracez_exporter_number,
      ngx_http_tracez_offset(batch_size) },

    { ngx_string("max_batch_bytes"), 1, ngx_http_tracez_exporter_size,
      ngx_http_tracez_offset(max_batch_bytes) },

    { ngx_string("connections"), 1, ngx_http_tracez_exporter_number,
      ngx_http_tracez_offset(connections) },

    { ngx_string("lanes"), 1, ngx_http_tracez_exporter_lanes, 0 },

    { ngx_string("keepalive_timeout"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(keepalive_timeout_ms) },

    { ngx_string("timeout"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(timeout_ms) },

    { ngx_string("connect_timeout"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(connect_timeout_ms) },

    { ngx_string("low_speed_timeout"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(low_speed_timeout_ms) },

    { ngx_string("retry"), 2, ngx_http_tracez_exporter_retry, 0 },

    { ngx_string("retry_max_elapsed"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(retry_max_elapsed_ms) },

    { ngx_string("shutdown_timeout"), 1, ngx_http_tracez_exporter_msec,
      ngx_http_tracez_offset(shutdown_timeout_ms) },

    { ngx_null_string, 0, NULL, 0 }
};


ngx_http_tracez_setting_t *
ngx_http_tracez_exporter_find(ngx_str_t *name, ngx_uint_t *row)
{
    ngx_uint_t                  i;
    ngx_http_tracez_setting_t  *setting;

    for (i = 0; ngx_http_tracez_settings[i].set; i++) {
        setting = &ngx_http_tracez_settings[i];

        if (setting->name.len == name->len
            && ngx_strncmp(setting->name.data, name->data, name->len) == 0)
        {
            *row = i;
            return setting;
        }
    }

    return NULL;
}


static char *
ngx_http_tracez_exporter_refuse(ngx_conf_t *cf, const char *allowed)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "tracez_exporter: %V \"%V\" rejected: it must be %s",
                       &value[0], &value[1], allowed);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_tracez_exporter_compression(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "gzip") == 0) {
        tmcf->exporter_config.compression = TRACEZ_COMPRESSION_GZIP;

    } else if (ngx_strcmp(value[1].data, "none") == 0) {
        tmcf->exporter_config.compression = TRACEZ_COMPRESSION_NONE;

    } else {
        return ngx_http_tracez_exporter_refuse(cf, "\"none\" or \"gzip\"");
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_exporter_endpoint(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;
    tmcf->exporter_config.endpoint = (const char *) value[1].data;
    tmcf->exporter_config.endpoint_form = TRACEZ_ENDPOINT_COMPLETED;

    return NGX_CONF_OK;
}


/* where OTLP goes, and with which secrets, as OpenTelemetry's variables say
 * it, which alone make endpoints of these forms; tracez's own are for all */

static void
ngx_http_tracez_exporter_forget_otlp(struct tracez_exporter_config *config)
{
    if (config->endpoint_form != TRACEZ_ENDPOINT_COMPLETED) {
        config->endpoint = NULL;
        config->endpoint_form = TRACEZ_ENDPOINT_COMPLETED;
    }

    if (tracez_environment_text("TRACEZ_EXPORTER_HEADERS") == NULL) {
        config->header_list = NULL;
    }
}


static char *
ngx_http_tracez_exporter_format(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t            *value;
    struct tracez_error   error;

    value = cf->args->elts;

    if (tracez_format_parse((const char *) value[1].data,
                            &tmcf->exporter_config.format, &error)
        != TRACEZ_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "tracez_exporter: %s",
                           error.text);
        return NGX_CONF_ERROR;
    }

    if (tmcf->exporter_config.format != TRACEZ_FORMAT_OTLP) {
        ngx_http_tracez_exporter_forget_otlp(&tmcf->exporter_config);
    }

    return NGX_CONF_OK;
}


char *
ngx_http_tracez_exporter_header(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    size_t      n;
    ngx_str_t  *value;

    value = cf->args->elts;
    n = tmcf->exporter_config.header_count;

    if (n == NGX_HTTP_TRACEZ_HEADERS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_exporter: header \"%V\" rejected: there "
                           "are %d already, which is the most",
                           &value[1], NGX_HTTP_TRACEZ_HEADERS_MAX);
        return NGX_CONF_ERROR;
    }

    /* those of the environment may be meant for another endpoint */
    tmcf->exporter_config.header_list = NULL;

    tmcf->headers[n].name = (const char *) value[1].data;
    tmcf->headers[n].value = (const char *) value[2].data;
    tmcf->exporter_config.header_count = n + 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_exporter_store(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset, ngx_int_t n,
    const char *allowed)
{
    u_char    *p;
    uint32_t   stored;

    if (n < 0 || (uint64_t) n > UINT32_MAX) {
        return ngx_http_tracez_exporter_refuse(cf, allowed);
    }

    stored = (uint32_t) n;
    p = (u_char *) &tmcf->exporter_config;
    ngx_memcpy(p + offset, &stored, sizeof(uint32_t));

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_exporter_number(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_tracez_exporter_store(cf, tmcf, offset,
                                          ngx_atoi(value[1].data,
                                                   value[1].len),
                                          "a plain number");
}


static char *
ngx_http_tracez_exporter_size(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_tracez_exporter_store(cf, tmcf, offset,
                                          (ngx_int_t) ngx_parse_size(&value[1]),
                                          "a size such as 512k or 4m");
}


static char *
ngx_http_tracez_exporter_msec(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return ngx_http_tracez_exporter_store(cf, tmcf, offset,
                                          ngx_parse_time(&value[1], 0),
                                          "a time such as 500ms or 5s");
}


/* relative to the configuration's directory, as other modules' certificates */

char *
ngx_http_tracez_exporter_file(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    u_char     *p;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    p = (u_char *) &tmcf->exporter_config;

    return ngx_http_tracez_read_pem(cf, (const char *) value[1].data,
                                    (struct tracez_text *) (p + offset));
}


static char *
ngx_http_tracez_exporter_verify(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        tmcf->exporter_config.verify = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        tmcf->exporter_config.verify = 0;

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "tracez_exporter: with verify off spans, and "
                           "headers with them, go to whoever answers");

    } else {
        return ngx_http_tracez_exporter_refuse(cf, "\"on\" or \"off\"");
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_exporter_proxy(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    tmcf->exporter_config.proxy = ngx_strcmp(value[1].data, "off") == 0
                                  ? "" : (const char *) value[1].data;

    return NGX_CONF_OK;
}


/* how many workers may export at once: a setting of the buffer */

static char *
ngx_http_tracez_exporter_lanes(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > TRACEZ_LANES_MAX) {
        return ngx_http_tracez_exporter_refuse(cf, "1 to "
                            ngx_value(TRACEZ_LANES_MAX));
    }

    tmcf->tracer_config.lanes = (uint32_t) n;

    return NGX_CONF_OK;
}


/* retry 1s 30s: from the first wait to the longest one */

static char *
ngx_http_tracez_exporter_retry(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, size_t offset)
{
    ngx_int_t   min, max;
    ngx_str_t  *value;

    value = cf->args->elts;

    min = ngx_parse_time(&value[1], 0);
    max = ngx_parse_time(&value[2], 0);

    if (ngx_http_tracez_exporter_store(cf, tmcf,
                                       ngx_http_tracez_offset(retry_min_ms),
                                       min, "two times such as 1s 30s")
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_tracez_exporter_store(cf, tmcf,
                                          ngx_http_tracez_offset(retry_max_ms),
                                          max, "two times such as 1s 30s");
}
