/* SPDX-License-Identifier: MIT
 *
 * tracez_sample_rate: a share, one that follows the load, or a variable. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_RATE_DIGITS    9     /* after the point */


/* "0.1" or "10%"; 0 to 1 */

ngx_int_t
ngx_http_tracez_parse_rate(ngx_str_t *text, double *rate)
{
    size_t      len;
    double      unit;
    ngx_int_t   n;

    len = text->len;
    unit = 1e9;

    if (len > 1 && text->data[len - 1] == '%') {
        len--;
        unit = 1e11;
    }

    n = ngx_atofp(text->data, len, NGX_HTTP_TRACEZ_RATE_DIGITS);

    if (n == NGX_ERROR || text->data[0] == '.' || text->data[len - 1] == '.') {
        return NGX_ERROR;
    }

    *rate = (double) n / unit;

    return *rate <= 1.0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_tracez_cleanup_adaptive(void *data)
{
    tracez_adaptive_destroy(data);
}


/* One for all of a process, as there is one exporter. */

static ngx_int_t
ngx_http_tracez_set_adaptive(ngx_conf_t *cf, ngx_http_tracez_loc_conf_t *tlcf)
{
    ngx_pool_cleanup_t           *cln;
    struct tracez_error           error;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tracez_module);

    if (tmcf->adaptive == NULL) {
        cln = ngx_pool_cleanup_add(cf->pool, 0);

        if (cln == NULL
            || tracez_adaptive_create(NULL, &tmcf->adaptive, &error)
               != TRACEZ_OK)
        {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_tracez_cleanup_adaptive;
        cln->data = tmcf->adaptive;
    }

    tlcf->ratio = tracez_sampler_adaptive(tmcf->adaptive);

    return NGX_OK;
}


char *
ngx_http_tracez_set_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_loc_conf_t  *tlcf = conf;

    double      rate;
    ngx_int_t   rc;
    ngx_str_t  *value;

    if (tlcf->rate.text.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    rc = ngx_http_tracez_compile_variable(cf, &value[1], &tlcf->rate);

    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    if (rc == NGX_OK) {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "adaptive") == 0) {
        return ngx_http_tracez_set_adaptive(cf, tlcf) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_http_tracez_parse_rate(&value[1], &rate) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_sample_rate \"%V\" rejected: it must be "
                           "a number from 0 to 1, a percentage from 0%% to "
                           "100%%, with at most %d digits after the point, "
                           "\"adaptive\" or a variable",
                           &value[1], NGX_HTTP_TRACEZ_RATE_DIGITS);
        return NGX_CONF_ERROR;
    }

    tlcf->ratio = tracez_sampler_ratio(rate);

    return NGX_CONF_OK;
}
