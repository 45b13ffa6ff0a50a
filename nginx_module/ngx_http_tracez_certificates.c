/* SPDX-License-Identifier: MIT
 *
 * Certificates and keys of tracez_exporter { }: read by the master, which may
 * still read them, and given to the exporter as texts, so that no worker opens
 * a file. They live as long as the configuration, and are wiped with it. */
#include "ngx_http_tracez.h"


static void
ngx_http_tracez_free_pem(void *data)
{
    struct tracez_text  *pem = data;

    tracez_exporter_free_pem(pem);
}


char *
ngx_http_tracez_read_pem(ngx_conf_t *cf, const char *path,
    struct tracez_text *pem)
{
    ngx_pool_cleanup_t   *cln;
    struct tracez_text   *text;
    struct tracez_error   error;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(struct tracez_text));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    text = cln->data;

    if (tracez_exporter_read_pem(path, text, &error) != TRACEZ_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "tracez_exporter: %s",
                           error.text);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_tracez_free_pem;
    *pem = *text;

    return NGX_CONF_OK;
}


/* What the environment names, where the configuration has nothing. */

char *
ngx_http_tracez_read_pem_files(ngx_conf_t *cf,
    struct tracez_exporter_config *config)
{
    ngx_uint_t   i;

    struct {
        const char         **path;
        struct tracez_text  *pem;
    } files[] = {
        { &config->trusted_certificate_file, &config->trusted_certificate },
        { &config->certificate_file, &config->certificate },
        { &config->certificate_key_file, &config->certificate_key },
    };

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (*files[i].path != NULL && files[i].pem->text == NULL
            && ngx_http_tracez_read_pem(cf, *files[i].path, files[i].pem)
               != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        *files[i].path = NULL;
    }

    return NGX_CONF_OK;
}
