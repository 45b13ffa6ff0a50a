/* SPDX-License-Identifier: MIT
 *
 * tracez_limit: what tracing may cost, over all workers. Spans a second come
 * out of one bucket in shared memory; of the memory, each worker gets an equal
 * share of what the buffers leave. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_SPANS_MAX     1000000000
#define NGX_HTTP_TRACEZ_SPANS_RANGE                                           \
    "1 to " ngx_value(NGX_HTTP_TRACEZ_SPANS_MAX)


/* "1000" or "1000r/s"; NGX_ERROR: it is neither, or out of range */

ngx_int_t
ngx_http_tracez_parse_per_second(u_char *text, size_t len)
{
    ngx_int_t  n;

    if (len > 3 && ngx_strncmp(text + len - 3, "r/s", 3) == 0) {
        len -= 3;
    }

    n = ngx_atoi(text, len);

    return n >= 1 && n <= NGX_HTTP_TRACEZ_SPANS_MAX ? n : NGX_ERROR;
}


/* what stands behind the name of a parameter; NULL: it is another one */

static u_char *
ngx_http_tracez_limit_value(ngx_str_t *parameter, const char *name,
    ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (ngx_strncmp(parameter->data, name, len) != 0) {
        return NULL;
    }

    value->data = parameter->data + len;
    value->len = parameter->len - len;

    return value->data;
}


static char *
ngx_http_tracez_limit_refuse(ngx_conf_t *cf, ngx_str_t *parameter,
    const char *allowed)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "tracez_limit \"%V\" rejected: it must be %s",
                       parameter, allowed);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_tracez_limit_memory(ngx_conf_t *cf, ngx_http_tracez_main_conf_t *tmcf,
    ngx_str_t *parameter, ngx_str_t *value)
{
    off_t  bytes;

    bytes = ngx_parse_offset(value);

    if (bytes <= 0) {
        return ngx_http_tracez_limit_refuse(cf, parameter,
                                            "a size such as memory=64m");
    }

    if (tmcf->memory_limit != 0) {
        return "has two of \"memory=\"";
    }

    tmcf->memory_limit = (size_t) bytes;

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_limit_spans(ngx_conf_t *cf, ngx_str_t *parameter,
    ngx_str_t *value, uint32_t *limit)
{
    ngx_int_t  n;

    n = ngx_http_tracez_parse_per_second(value->data, value->len);

    if (n == NGX_ERROR) {
        return ngx_http_tracez_limit_refuse(cf, parameter,
                                            NGX_HTTP_TRACEZ_SPANS_RANGE);
    }

    if (*limit != 0) {
        return "has two of \"spans=\" or \"burst=\"";
    }

    *limit = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_limit_parameter(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_str_t *parameter)
{
    ngx_str_t              value;
    struct tracez_config  *config;

    config = &tmcf->tracer_config;

    if (ngx_http_tracez_limit_value(parameter, "memory=", &value)) {
        return ngx_http_tracez_limit_memory(cf, tmcf, parameter, &value);
    }

    if (ngx_http_tracez_limit_value(parameter, "spans=", &value)) {
        return ngx_http_tracez_limit_spans(cf, parameter, &value,
                                           &config->max_spans_per_second);
    }

    if (ngx_http_tracez_limit_value(parameter, "burst=", &value)) {
        return ngx_http_tracez_limit_spans(cf, parameter, &value,
                                           &config->spans_burst);
    }

    return ngx_http_tracez_limit_refuse(cf, parameter,
                                        "memory=, spans= or burst=");
}


char *
ngx_http_tracez_set_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_main_conf_t  *tmcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (tmcf->limit_line != 0) {
        return "is duplicate";
    }

    tmcf->limit_file = cf->conf_file->file.name;
    tmcf->limit_line = cf->conf_file->line;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_tracez_limit_parameter(cf, tmcf, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (tmcf->tracer_config.spans_burst != 0
        && tmcf->tracer_config.max_spans_per_second == 0)
    {
        return "has \"burst=\" without \"spans=\"";
    }

    return NGX_CONF_OK;
}


/* How much the buffers take is known when the whole configuration is read. */

ngx_int_t
ngx_http_tracez_share_memory(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf, ngx_uint_t processes)
{
    size_t                 buffers, needed, span;
    struct tracez_config  *config;

    config = &tmcf->tracer_config;

    buffers = tracez_buffer_bytes(config, NULL);

    if (tmcf->memory_limit == 0 || buffers == 0) {
        return NGX_OK;                  /* what is wrong is said elsewhere */
    }

    buffers += tracez_ledger_bytes();
    span = tracez_memory_bytes_min(config, NULL) - buffers;
    needed = buffers + processes * span;

    if (tmcf->memory_limit < needed) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "tracez_limit memory=%uz rejected: it must be at least "
                      "%uz, %uz for the buffers and %uz for each of %ui "
                      "workers in %V:%ui",
                      tmcf->memory_limit, needed, buffers, span, processes,
                      &tmcf->limit_file, tmcf->limit_line);
        return NGX_ERROR;
    }

    config->max_memory = buffers + (tmcf->memory_limit - buffers) / processes;

    return NGX_OK;
}
