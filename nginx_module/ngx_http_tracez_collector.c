/* SPDX-License-Identifier: MIT
 *
 * Collectors: the buffers in which spans wait. http{} has one, "default"; a
 * server with a tracez_buffer_size of its own has another; and tracez_collector
 * adds some that take spans of all servers by what they are, before the
 * server's own gets them. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_NAME_BYTES    64     /* with its NUL */
#define NGX_HTTP_TRACEZ_SPANS_MAX     16777216


typedef struct {
    ngx_str_t     name;                      /* with the equals sign */
    char       *(*set)(ngx_conf_t *cf, ngx_str_t *value,
                       struct tracez_collector_config *config,
                       struct tracez_collector_pace *pace);
} ngx_http_tracez_parameter_t;


static char *ngx_http_tracez_collector_size(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config,
    struct tracez_collector_pace *pace);
static char *ngx_http_tracez_collector_interval(ngx_conf_t *cf,
    ngx_str_t *value, struct tracez_collector_config *config,
    struct tracez_collector_pace *pace);
static char *ngx_http_tracez_collector_batch(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config,
    struct tracez_collector_pace *pace);
static char *ngx_http_tracez_collector_match(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config,
    struct tracez_collector_pace *pace);


static ngx_http_tracez_parameter_t  ngx_http_tracez_parameters[] = {

    { ngx_string("size="), ngx_http_tracez_collector_size },

    { ngx_string("interval="), ngx_http_tracez_collector_interval },

    { ngx_string("batch_size="), ngx_http_tracez_collector_batch },

    { ngx_string("match="), ngx_http_tracez_collector_match },

    { ngx_null_string, NULL }
};


static ngx_uint_t
ngx_http_tracez_is_taken(ngx_http_tracez_main_conf_t *tmcf, u_char *name)
{
    ngx_uint_t                       i;
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


/* NULL: out of memory, or there are too many */

static struct tracez_collector_config *
ngx_http_tracez_push_collector(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, u_char *name)
{
    ngx_http_tracez_collector_t     *collector;
    struct tracez_collector_config  *config;

    if (tmcf->collectors.nelts == TRACEZ_COLLECTORS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez: more than %d buffers: that of http, those "
                           "of servers with a tracez_buffer_size of their "
                           "own, and those of tracez_collector",
                           TRACEZ_COLLECTORS_MAX);
        return NULL;
    }

    collector = ngx_array_push(&tmcf->collectors);
    config = ngx_array_push(&tmcf->collector_configs);

    if (collector == NULL || config == NULL) {
        return NULL;
    }

    ngx_memzero(collector, sizeof(ngx_http_tracez_collector_t));
    collector->name.data = name;
    collector->name.len = ngx_strlen(name);

    ngx_memzero(config, sizeof(struct tracez_collector_config));
    config->name = (const char *) name;

    return config;
}


/* each request names its server's collector */

ngx_int_t
ngx_http_tracez_init_collector(ngx_conf_t *cf,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_srv_conf_t *conf,
    ngx_str_t *wanted)
{
    u_char                          *name;
    struct tracez_collector_config  *config;

    name = ngx_http_tracez_collector_name(cf, tmcf, wanted);
    if (name == NULL) {
        return NGX_ERROR;
    }

    conf->collector = tmcf->collectors.nelts;

    config = ngx_http_tracez_push_collector(cf, tmcf, name);
    if (config == NULL) {
        return NGX_ERROR;
    }

    config->spans_max = (uint32_t) conf->buffer_size;

    /* all others were read before the first server's is made */
    config->match = tmcf->npaces ? TRACEZ_MATCH_NAMED_REST
                                 : TRACEZ_MATCH_NAMED_ONLY;

    return NGX_OK;
}


/* ---- tracez_buffer_size ------------------------------------------------ */

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


/* ---- tracez_collector --------------------------------------------------- */

static char *
ngx_http_tracez_collector_refuse(ngx_conf_t *cf, const char *parameter,
    ngx_str_t *value, const char *allowed)
{
    ngx_str_t  *args;

    args = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "tracez_collector \"%V\": %s \"%V\" rejected: it must "
                       "be %s", &args[1], parameter, value, allowed);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_tracez_collector_size(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config, struct tracez_collector_pace *pace)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || n > NGX_HTTP_TRACEZ_SPANS_MAX) {
        return ngx_http_tracez_collector_refuse(cf, "size", value,
                   "1 to 16777216 spans, as it counts spans, not bytes");
    }

    config->spans_max = (uint32_t) n;

    return NGX_CONF_OK;
}


/* ranges are the exporter's to check; 0 would mean its own */

static char *
ngx_http_tracez_collector_interval(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config, struct tracez_collector_pace *pace)
{
    ngx_int_t  n;

    n = ngx_parse_time(value, 0);

    if (n < 1 || (uint64_t) n > UINT32_MAX) {
        return ngx_http_tracez_collector_refuse(cf, "interval", value,
                                                "a time from 10ms to 1h");
    }

    pace->interval_ms = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_collector_batch(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config, struct tracez_collector_pace *pace)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || (uint64_t) n > UINT32_MAX) {
        return ngx_http_tracez_collector_refuse(cf, "batch_size", value,
                                                "1 to 65536 spans");
    }

    pace->batch_size = (uint32_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_collector_match(ngx_conf_t *cf, ngx_str_t *value,
    struct tracez_collector_config *config, struct tracez_collector_pace *pace)
{
    if (ngx_strcmp(value->data, "all") == 0) {
        config->match = TRACEZ_MATCH_ALL;

    } else if (ngx_strcmp(value->data, "errors") == 0) {
        config->match = TRACEZ_MATCH_ERRORS;

    } else if (value->len > 5 && ngx_strncmp(value->data, "name:", 5) == 0
               && ngx_strlchr(value->data, value->data + value->len, '$')
                  == NULL)
    {
        config->match = TRACEZ_MATCH_NAME;
        config->match_name = (const char *) value->data + 5;

    } else {
        return ngx_http_tracez_collector_refuse(cf, "match", value,
                   "\"all\", \"errors\" or \"name:\" and the name of a span, "
                   "without variables");
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tracez_collector_parameter(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_uint_t *seen, struct tracez_collector_config *config,
    struct tracez_collector_pace *pace)
{
    ngx_str_t                    *args;
    ngx_uint_t                    bit;
    ngx_http_tracez_parameter_t  *parameter;

    for (parameter = ngx_http_tracez_parameters; parameter->set; parameter++) {
        if (arg->len >= parameter->name.len
            && ngx_strncmp(arg->data, parameter->name.data,
                           parameter->name.len)
               == 0)
        {
            break;
        }
    }

    bit = (ngx_uint_t) 1 << (parameter - ngx_http_tracez_parameters);

    if (parameter->set == NULL || (*seen & bit)) {
        args = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_collector \"%V\": parameter \"%V\" "
                           "rejected: %s", &args[1], arg,
                           parameter->set ? "there is one already"
                           : "known are size=, interval=, batch_size= and "
                             "match=");
        return NGX_CONF_ERROR;
    }

    *seen |= bit;

    arg->data += parameter->name.len;
    arg->len -= parameter->name.len;

    return parameter->set(cf, arg, config, pace);
}


static char *
ngx_http_tracez_check_name(ngx_conf_t *cf, ngx_http_tracez_main_conf_t *tmcf,
    ngx_str_t *name)
{
    const char  *wrong;

    if (name->len == 0 || name->len >= NGX_HTTP_TRACEZ_NAME_BYTES
        || ngx_strlchr(name->data, name->data + name->len, '$'))
    {
        wrong = "it must be 1 to 63 bytes without variables";

    } else if (ngx_strcmp(name->data, "default") == 0) {
        wrong = "tracez_buffer_size sets that one";

    } else if (ngx_http_tracez_is_taken(tmcf, name->data)) {
        wrong = "there is one of this name";

    } else {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "tracez_collector \"%V\" rejected: %s", name, wrong);

    return NGX_CONF_ERROR;
}


char *
ngx_http_tracez_set_collector(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tracez_main_conf_t  *tmcf = conf;

    ngx_str_t                       *args;
    ngx_uint_t                       i, seen;
    struct tracez_error              error;
    struct tracez_collector_pace    *pace;
    struct tracez_collector_config  *config;

    args = cf->args->elts;

    if (ngx_http_tracez_check_name(cf, tmcf, &args[1]) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    config = ngx_http_tracez_push_collector(cf, tmcf, args[1].data);
    if (config == NULL) {
        return NGX_CONF_ERROR;
    }

    pace = &tmcf->paces[tmcf->npaces++];
    pace->collector = config->name;
    seen = 0;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_tracez_collector_parameter(cf, &args[i], &seen, config,
                                                pace)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (config->spans_max == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "tracez_collector \"%V\" rejected: size= is "
                           "missing", &args[1]);
        return NGX_CONF_ERROR;
    }

    tmcf->exporter_config.paces = tmcf->paces;
    tmcf->exporter_config.pace_count = tmcf->npaces;

    if (tracez_exporter_check(&tmcf->exporter_config, &error) != TRACEZ_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "tracez_collector: %s",
                           error.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
