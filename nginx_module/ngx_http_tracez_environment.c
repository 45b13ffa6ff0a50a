/* SPDX-License-Identifier: MIT
 *
 * Settings from environment variables, TRACEZ_* and OTEL_*: the defaults that
 * directives replace. They are read by the master while it reads the
 * configuration, as nginx takes the environment away from workers; at a reload
 * again, from what the master was started with, so that they stay the same.
 *
 * A bad value is ignored, and told once the whole configuration is read: who
 * traces nothing is told nothing. Texts stay in the master's environment. */
#include "ngx_http_tracez.h"

#include <tracez/environment.h>
#include <tracez/preset.h>


#define NGX_HTTP_TRACEZ_SEPARATORS   " \t,"
#define NGX_HTTP_TRACEZ_WORD_MAX     40       /* as it is told */


/* what a word of a list stands for */
typedef struct {
    const char   *name;
    ngx_uint_t    propagate;                  /* 0: nothing by itself */
} ngx_http_tracez_propagator_t;


static ngx_http_tracez_propagator_t  ngx_http_tracez_otel_propagators[] = {
    { "tracecontext", NGX_HTTP_TRACEZ_W3C },
    { "baggage", 0 },                         /* a header as any other */
    { "none", 0 },
    { NULL, 0 }
};


static ngx_http_tracez_propagator_t  ngx_http_tracez_own_propagators[] = {
    { "w3c", NGX_HTTP_TRACEZ_W3C },
    { "off", 0 },
    { NULL, 0 }
};


/* kept until it is known whether anything is traced; what a variable holds may
 * be anything, and must not begin a line of its own in the log */

static void
ngx_http_tracez_keep_warning(const char *text, void *state)
{
    ngx_http_tracez_main_conf_t  *tmcf = state;

    u_char      *p;
    ngx_str_t   *warning;

    warning = ngx_array_push(&tmcf->warnings);
    if (warning == NULL) {
        return;
    }

    warning->len = ngx_strlen(text);
    warning->data = ngx_pnalloc(tmcf->warnings.pool, warning->len);

    if (warning->data == NULL) {
        warning->len = 0;
        return;
    }

    ngx_memcpy(warning->data, text, warning->len);

    for (p = warning->data; p < warning->data + warning->len; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
}


static ngx_http_tracez_propagator_t *
ngx_http_tracez_find_propagator(ngx_http_tracez_propagator_t *known,
    const char *word, size_t len)
{
    while (known->name != NULL
           && (ngx_strlen(known->name) != len
               || ngx_strncmp(known->name, word, len) != 0))
    {
        known++;
    }

    return known;
}


/* NGX_HTTP_TRACEZ_W3C or _PROPAGATE_OFF; 0 for unset, and for a list with a
 * word that is unknown */

static ngx_uint_t
ngx_http_tracez_read_propagators(const char *name,
    ngx_http_tracez_propagator_t *known,
    const struct tracez_environment *environment)
{
    size_t                         len;
    ngx_uint_t                     propagate;
    const char                    *word;
    ngx_http_tracez_propagator_t  *propagator;

    word = tracez_environment_text(name);
    if (word == NULL) {
        return 0;
    }

    propagate = NGX_HTTP_TRACEZ_PROPAGATE_OFF;

    for ( ;; ) {
        word += strspn(word, NGX_HTTP_TRACEZ_SEPARATORS);
        len = strcspn(word, NGX_HTTP_TRACEZ_SEPARATORS);

        if (len == 0) {
            return propagate;
        }

        propagator = ngx_http_tracez_find_propagator(known, word, len);

        if (propagator->name == NULL) {
            tracez_environment_ignore(environment, name,
                                      "\"%.*s\" is none of %s, %s%s",
                                      (int) ngx_min(len,
                                                    NGX_HTTP_TRACEZ_WORD_MAX),
                                      word, known[0].name, known[1].name,
                                      known[2].name ? ", none" : "");
            return 0;
        }

        if (propagator->propagate) {
            propagate = propagator->propagate;
        }

        word += len;
    }
}


static void
ngx_http_tracez_read_propagation(ngx_http_tracez_main_conf_t *tmcf,
    const struct tracez_environment *environment)
{
    ngx_uint_t  propagate;

    tmcf->inject = ngx_http_tracez_read_propagators("OTEL_PROPAGATORS",
                                              ngx_http_tracez_otel_propagators,
                                              environment);
    tmcf->extract = tmcf->inject;

    propagate = ngx_http_tracez_read_propagators("TRACEZ_EXTRACT",
                                              ngx_http_tracez_own_propagators,
                                              environment);
    if (propagate) {
        tmcf->extract = propagate;
    }
}


/* the rate as text, as if a directive had it */

static ngx_int_t
ngx_http_tracez_set_default_rate(ngx_pool_t *pool,
    ngx_http_tracez_main_conf_t *tmcf)
{
    int      len;
    char     text[NGX_INT64_LEN];
    u_char  *p;

    len = snprintf(text, sizeof(text), "%.9g", tmcf->tracer_config.sample_rate);

    p = ngx_pnalloc(pool, (size_t) len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text, (size_t) len);
    tmcf->sample_rate.data = p;
    tmcf->sample_rate.len = (size_t) len;

    return NGX_OK;
}


static void
ngx_http_tracez_read_variables(ngx_http_tracez_main_conf_t *tmcf,
    const char *preset, struct tracez_config *tracer,
    struct tracez_exporter_config *exporter)
{
    struct tracez_environment  environment;

    static const char          known_methods[] =
                                     "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

    environment.warn = ngx_http_tracez_keep_warning;
    environment.state = tmcf;
    environment.preset = preset;

    tmcf->warnings.nelts = 0;

    tracez_config_read_environment(tracer, &environment);
    tracez_exporter_config_read_environment(exporter, &environment);
    ngx_http_tracez_read_propagation(tmcf, &environment);

    if (tracez_environment_text(known_methods) != NULL) {
        tracez_environment_ignore(&environment, known_methods,
                                  "known are those of the conventions");
    }
}


ngx_int_t
ngx_http_tracez_read_environment(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf)
{
    if (ngx_array_init(&tmcf->warnings, cf->pool, 1, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* NULL afterwards where the attributes name the service */
    tmcf->tracer_config.service_name = NGX_HTTP_TRACEZ_SERVICE;

    ngx_http_tracez_read_variables(tmcf, NULL, &tmcf->tracer_config,
                                   &tmcf->exporter_config);

    return ngx_http_tracez_set_default_rate(cf->pool, tmcf);
}


/* A preset is the first of what is read, so that variables win over it; and of
 * what was read before, only its four values are taken anew, as directives may
 * have set others already. */

char *
ngx_http_tracez_set_environment(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_main_conf_t  *tmcf = conf;

    ngx_str_t                      *value;
    struct tracez_error             error;
    struct tracez_config            tracer;
    struct tracez_preset            preset;
    struct tracez_exporter_config   exporter;

    if (tmcf->environment.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    tmcf->environment = value[1];

    if (value[1].len != 0
        && tracez_preset_find((const char *) value[1].data, &preset, &error)
           != TRACEZ_OK)
    {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "tracez_environment: %s",
                           error.text);
    }

    tracez_config_init(&tracer);
    tracez_exporter_config_init(&exporter);

    ngx_http_tracez_read_variables(tmcf, (const char *) value[1].data, &tracer,
                                   &exporter);

    tmcf->tracer_config.spans_max = tracer.spans_max;
    tmcf->tracer_config.max_tag_bytes = tracer.max_tag_bytes;
    tmcf->tracer_config.sample_rate = tracer.sample_rate;

    if (!tmcf->has_interval) {
        tmcf->exporter_config.interval_ms = exporter.interval_ms;
    }

    return ngx_http_tracez_set_default_rate(cf->pool, tmcf) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


void
ngx_http_tracez_tell_environment(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_str_t   *warning;
    ngx_uint_t   i;

    warning = tmcf->warnings.elts;

    for (i = 0; i < tmcf->warnings.nelts; i++) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "tracez: %V", &warning[i]);
    }

    if (tmcf->tracer_config.is_disabled) {
        ngx_log_error(NGX_LOG_NOTICE, cf->log, 0,
                      "tracez: nothing is traced, as OTEL_SDK_DISABLED is "
                      "true");
    }
}
