/* SPDX-License-Identifier: MIT
 *
 * tracez_monitor: once an interval how tracing goes, at the level "info"; and
 * a warning when many spans are dropped, or a buffer is nearly full. What the
 * monitor remembers lies in shared memory, so that the worker which takes over
 * from another one says nothing twice. */
#include "ngx_http_tracez.h"


static void
ngx_http_tracez_hear(const struct tracez_notice *notice, void *state)
{
    ngx_log_t  *log = state;

    ngx_uint_t  level;

    switch (notice->kind) {

    case TRACEZ_NOTICE_REPORT:
        level = NGX_LOG_INFO;
        break;

    case TRACEZ_NOTICE_DROPS:
    case TRACEZ_NOTICE_PRESSURE:
        level = NGX_LOG_WARN;
        break;

    default:
        level = NGX_LOG_NOTICE;
    }

    ngx_log_error(level, log, 0, "tracez: %s", notice->text);
}


void
ngx_http_tracez_init_monitor(ngx_http_tracez_main_conf_t *tmcf)
{
    tracez_monitor_config_init(&tmcf->monitor);
    tmcf->monitor.fn = ngx_http_tracez_hear;
}


/* by the process that reads the first lane of the newest buffer: it alone */

void
ngx_http_tracez_monitor(ngx_http_tracez_main_conf_t *tmcf, ngx_log_t *log)
{
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);

    if (tmcf->monitor_off
        || ngx_http_tracez_is_newer(shared->newest_buffer,
                                    ngx_http_tracez_buffer(tmcf)->id))
    {
        return;
    }

    tmcf->monitor.state = log;

    tracez_monitor_look(&shared->monitor, &tmcf->monitor, tmcf->tracer);
}


/* ---- the directive ------------------------------------------------------ */

typedef struct {
    ngx_str_t    name;
    ngx_int_t  (*parse)(ngx_str_t *value);
    size_t       offset;                /* in the monitor's config */
    const char  *allowed;
} ngx_http_tracez_monitor_parameter_t;


static ngx_int_t
ngx_http_tracez_monitor_msec(ngx_str_t *value)
{
    return ngx_parse_time(value, 0);
}


static ngx_int_t
ngx_http_tracez_monitor_number(ngx_str_t *value)
{
    return ngx_atoi(value->data, value->len);
}


static ngx_int_t
ngx_http_tracez_monitor_percent(ngx_str_t *value)
{
    if (value->len < 2 || value->data[value->len - 1] != '%') {
        return NGX_ERROR;
    }

    return ngx_atoi(value->data, value->len - 1);
}


static ngx_http_tracez_monitor_parameter_t
    ngx_http_tracez_monitor_parameters[] = {

    { ngx_string("interval="), ngx_http_tracez_monitor_msec,
      offsetof(struct tracez_monitor_config, interval_ms),
      "interval=1s to interval=1d" },

    { ngx_string("drops="), ngx_http_tracez_monitor_number,
      offsetof(struct tracez_monitor_config, drops_max),
      "drops=number" },

    { ngx_string("pressure="), ngx_http_tracez_monitor_percent,
      offsetof(struct tracez_monitor_config, pressure_percent_max),
      "pressure=1% to pressure=100%" },

    { ngx_null_string, NULL, 0, NULL }
};


static char *
ngx_http_tracez_monitor_refuse(ngx_conf_t *cf, ngx_str_t *value,
    const char *allowed)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "tracez_monitor \"%V\" rejected: it must be %s",
                       value, allowed);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_tracez_monitor_parameter(ngx_conf_t *cf,
    struct tracez_monitor_config *config, ngx_uint_t *seen, ngx_str_t *value)
{
    u_char                                *p;
    uint32_t                               stored;
    ngx_int_t                              n;
    ngx_str_t                              text;
    ngx_uint_t                             bit;
    ngx_http_tracez_monitor_parameter_t   *parameter;

    for (parameter = ngx_http_tracez_monitor_parameters;
         parameter->parse != NULL
         && ngx_strncmp(value->data, parameter->name.data,
                        parameter->name.len) != 0;
         parameter++)
    {
        /* void */
    }

    if (parameter->parse == NULL) {
        return ngx_http_tracez_monitor_refuse(cf, value,
                              "interval=, drops= or pressure=, or \"off\"");
    }

    bit = (ngx_uint_t) 1 << (parameter - ngx_http_tracez_monitor_parameters);

    if (*seen & bit) {
        return ngx_http_tracez_monitor_refuse(cf, value,
                              "the only one of its kind");
    }

    *seen |= bit;

    text.data = value->data + parameter->name.len;
    text.len = value->len - parameter->name.len;

    n = parameter->parse(&text);

    if (n < 0 || (uint64_t) n > UINT32_MAX) {
        return ngx_http_tracez_monitor_refuse(cf, value, parameter->allowed);
    }

    stored = (uint32_t) n;
    p = (u_char *) config;
    ngx_memcpy(p + parameter->offset, &stored, sizeof(uint32_t));

    if (tracez_monitor_check(config, NULL) != TRACEZ_OK) {
        return ngx_http_tracez_monitor_refuse(cf, value, parameter->allowed);
    }

    return NGX_CONF_OK;
}


char *
ngx_http_tracez_set_monitor(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_main_conf_t  *tmcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i, seen;

    if (tmcf->has_monitor) {
        return "is duplicate";
    }

    tmcf->has_monitor = 1;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        tmcf->monitor_off = 1;
        return NGX_CONF_OK;
    }

    seen = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_tracez_monitor_parameter(cf, &tmcf->monitor, &seen,
                                               &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}
