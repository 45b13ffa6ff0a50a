/* SPDX-License-Identifier: MIT
 *
 * Shared memory. The ledger's zone has a constant size and lives as long as
 * the master; the buffer's zone is named after its layout, so that a reload
 * keeps it, with all spans in it, while the layout stays the same, and gets a
 * fresh one otherwise. Each holds one block of its slab pool: a header of ours
 * and, behind it, what tracez formats itself.
 *
 * A zone in which a reload finds garbage is left to the workers that use it:
 * the new ones get a fresh one, of another name. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_LEDGER_MAGIC  0x74726163657a6c67     /* "tracezlg" */
#define NGX_HTTP_TRACEZ_BUFFER_MAGIC  0x74726163657a6266     /* "tracezbf" */


static ngx_int_t ngx_http_tracez_init_ledger_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_tracez_init_buffer_zone(ngx_shm_zone_t *zone,
    void *data);


/* numbers that the master gives out; not in shared memory, where anybody may
 * write */

static ngx_uint_t  ngx_http_tracez_configurations;
static ngx_uint_t  ngx_http_tracez_buffers;
static ngx_uint_t  ngx_http_tracez_bad_ledgers;
static ngx_uint_t  ngx_http_tracez_bad_buffers;


static ngx_shm_zone_t *
ngx_http_tracez_add_zone(ngx_cycle_t *cycle, ngx_str_t *name, size_t bytes,
    ngx_http_tracez_main_conf_t *tmcf, ngx_shm_zone_init_pt init)
{
    ngx_conf_t       cf;
    ngx_shm_zone_t  *zone;

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    cf.cycle = cycle;
    cf.pool = cycle->pool;
    cf.log = cycle->log;

    /* a slab pool keeps a record for each of its pages */

    bytes += bytes / ngx_pagesize * 2 * sizeof(ngx_slab_page_t)
             + 16 * ngx_pagesize;

    zone = ngx_shared_memory_add(&cf, name, ngx_align(bytes, ngx_pagesize),
                                 &ngx_http_tracez_module);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = init;
    zone->data = tmcf;

    return zone;
}


static void *
ngx_http_tracez_alloc(ngx_shm_zone_t *zone, size_t bytes)
{
    void             *p;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    p = ngx_slab_alloc(shpool, bytes);

    if (p == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "tracez: no room for %uz bytes in zone \"%V\"",
                      bytes, &zone->shm.name);
        return NULL;
    }

    shpool->data = p;

    return p;
}


/* ---- the ledger --------------------------------------------------------- */

static ngx_int_t
ngx_http_tracez_init_ledger_zone(ngx_shm_zone_t *zone, void *data)
{
    size_t                     bytes;
    struct tracez_error        error;
    ngx_http_tracez_shared_t  *shared;

    if (data != NULL) {
        zone->data = data;
        return NGX_OK;
    }

    bytes = tracez_ledger_bytes();

    shared = ngx_http_tracez_alloc(zone,
                                   ngx_align(sizeof(ngx_http_tracez_shared_t),
                                             NGX_HTTP_TRACEZ_ALIGNMENT)
                                   + bytes);
    if (shared == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(shared, sizeof(ngx_http_tracez_shared_t));
    zone->data = shared;

    if (ngx_http_tracez_init_lines(shared) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "tracez: no robust, process-shared mutexes here");
        return NGX_ERROR;
    }

    if (tracez_ledger_format(ngx_http_tracez_behind(shared), bytes, NULL,
                             &error)
        != TRACEZ_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "tracez: %s",
                      error.text);
        return NGX_ERROR;
    }

    shared->magic = NGX_HTTP_TRACEZ_LEDGER_MAGIC;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_tracez_is_ledger(ngx_http_tracez_shared_t *shared)
{
    return shared->magic == NGX_HTTP_TRACEZ_LEDGER_MAGIC
           && ngx_http_tracez_are_lines(shared)
           && tracez_ledger_check(ngx_http_tracez_behind(shared),
                                  tracez_ledger_bytes(), NULL)
              == TRACEZ_OK;
}


/* ---- the buffer --------------------------------------------------------- */

static ngx_int_t
ngx_http_tracez_init_buffer_zone(ngx_shm_zone_t *zone, void *data)
{
    size_t                        bytes;
    struct tracez_error           error;
    ngx_http_tracez_buffer_t     *buffer;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = zone->data;
    buffer = data;
    bytes = tracez_buffer_bytes(&tmcf->tracer_config, NULL);

    if (buffer == NULL) {
        buffer = ngx_http_tracez_alloc(zone, NGX_HTTP_TRACEZ_ALIGNMENT + bytes);
        if (buffer == NULL) {
            return NGX_ERROR;
        }

        /* the pages are fresh, and tracez takes only its own for formatted */

        buffer->id = ++ngx_http_tracez_buffers;
        buffer->magic = NGX_HTTP_TRACEZ_BUFFER_MAGIC ^ buffer->id;
    }

    zone->data = buffer;
    tmcf->configuration = ++ngx_http_tracez_configurations;

    if (tracez_buffer_format(&tmcf->tracer_config,
                             ngx_http_tracez_behind(buffer), bytes, NULL,
                             &error)
        != TRACEZ_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "tracez: %s",
                      error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_tracez_is_buffer(ngx_http_tracez_main_conf_t *tmcf,
    ngx_http_tracez_buffer_t *buffer)
{
    return buffer->magic == (NGX_HTTP_TRACEZ_BUFFER_MAGIC ^ buffer->id)
           && buffer->current <= ngx_http_tracez_configurations
           && buffer->newest <= ngx_http_tracez_configurations
           && tracez_buffer_check(&tmcf->tracer_config,
                                  ngx_http_tracez_behind(buffer),
                                  tracez_buffer_bytes(&tmcf->tracer_config,
                                                      NULL), NULL)
              == TRACEZ_OK;
}


/* two configurations whose buffers are laid out differently must not meet in
 * one zone, though their sizes may be equal */

static uint32_t
ngx_http_tracez_layout(ngx_http_tracez_main_conf_t *tmcf)
{
    uint32_t                         crc;
    ngx_uint_t                       i;
    struct tracez_collector_config  *config;

    ngx_crc32_init(crc);
    ngx_crc32_update(&crc, (u_char *) TRACEZ_VERSION, sizeof(TRACEZ_VERSION));

    ngx_crc32_update(&crc, (u_char *) &tmcf->tracer_config.lanes,
                     sizeof(tmcf->tracer_config.lanes));

    config = tmcf->collector_configs.elts;

    for (i = 0; i < tmcf->collector_configs.nelts; i++) {
        ngx_crc32_update(&crc, (u_char *) config[i].name,
                         ngx_strlen(config[i].name) + 1);
        ngx_crc32_update(&crc, (u_char *) &config[i].spans_max,
                         sizeof(config[i].spans_max));
        ngx_crc32_update(&crc, (u_char *) &config[i].writers,
                         sizeof(config[i].writers));
    }

    ngx_crc32_final(crc);

    return crc;
}


static ngx_int_t
ngx_http_tracez_complete_config(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf)
{
    uint32_t                         processes;
    ngx_uint_t                       i;
    ngx_core_conf_t                 *ccf;
    struct tracez_config            *config;
    struct tracez_collector_config  *collector;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    processes = (uint32_t) ngx_max(1, ngx_min(ccf->worker_processes,
                                              TRACEZ_WRITERS_MAX));
    config = &tmcf->tracer_config;

    if (config->lanes > processes) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "tracez_exporter: lanes %uD taken for %uD, as there are "
                      "no more worker_processes", config->lanes, processes);
        config->lanes = processes;
    }

    collector = tmcf->collector_configs.elts;

    for (i = 0; i < tmcf->collector_configs.nelts; i++) {
        collector[i].writers = processes;
    }

    config->collectors = collector;
    config->collector_count = tmcf->collector_configs.nelts;
    config->resources = tmcf->resources.elts;
    config->resource_count = tmcf->resources.nelts;

    return ngx_http_tracez_share_memory(cycle, tmcf, processes);
}


/* ---- names -------------------------------------------------------------- */

/* what a zone of this name holds now, or NULL: there is none */

static void *
ngx_http_tracez_find_zone(ngx_cycle_t *cycle, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *zone;

    part = &cycle->old_cycle->shared_memory.part;

    for ( /* void */ ; part; part = part->next) {
        zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (zone[i].tag == &ngx_http_tracez_module
                && zone[i].shm.name.len == name->len
                && ngx_strncmp(zone[i].shm.name.data, name->data, name->len)
                   == 0)
            {
                return zone[i].data;
            }
        }
    }

    return NULL;
}


/* the prefix, and how many zones of this kind were found to be bad */

static ngx_int_t
ngx_http_tracez_set_name(ngx_cycle_t *cycle, ngx_str_t *name,
    const char *prefix, ngx_uint_t bad)
{
    name->data = ngx_pnalloc(cycle->pool, ngx_strlen(prefix)
                                          + sizeof("_") + NGX_INT_T_LEN);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    name->len = (size_t) ((bad ? ngx_sprintf(name->data, "%s_%ui", prefix, bad)
                               : ngx_sprintf(name->data, "%s", prefix))
                          - name->data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_tracez_name_ledger(ngx_cycle_t *cycle, ngx_str_t *name)
{
    const char                *prefix = "tracez_ledger";
    ngx_http_tracez_shared_t  *shared;

    if (ngx_http_tracez_set_name(cycle, name, prefix,
                                 ngx_http_tracez_bad_ledgers)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    shared = ngx_http_tracez_find_zone(cycle, name);

    if (shared == NULL || ngx_http_tracez_is_ledger(shared)) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                  "tracez: what lies in zone \"%V\" makes no sense: the "
                  "books begin anew, with an empty buffer", name);

    /* who counts on lines of another ledger must not meet in one buffer */

    ngx_http_tracez_bad_buffers++;

    return ngx_http_tracez_set_name(cycle, name, prefix,
                                    ++ngx_http_tracez_bad_ledgers);
}


static ngx_int_t
ngx_http_tracez_name_buffer(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf, ngx_str_t *name)
{
    u_char                     prefix[sizeof("tracez_buffer_ffffffff")];
    ngx_http_tracez_buffer_t  *buffer;

    *ngx_sprintf(prefix, "tracez_buffer_%08xD", ngx_http_tracez_layout(tmcf))
        = '\0';

    if (ngx_http_tracez_set_name(cycle, name, (char *) prefix,
                                 ngx_http_tracez_bad_buffers)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    buffer = ngx_http_tracez_find_zone(cycle, name);

    if (buffer == NULL || ngx_http_tracez_is_buffer(tmcf, buffer)) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                  "tracez: what lies in zone \"%V\" makes no sense: new "
                  "workers begin with an empty buffer", name);

    return ngx_http_tracez_set_name(cycle, name, (char *) prefix,
                                    ++ngx_http_tracez_bad_buffers);
}


ngx_int_t
ngx_http_tracez_add_zones(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf)
{
    size_t               bytes;
    ngx_str_t            ledger, buffer;
    struct tracez_error  error;

    if (ngx_http_tracez_complete_config(cycle, tmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    bytes = tracez_buffer_bytes(&tmcf->tracer_config, &error);

    if (bytes == 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "tracez: %s", error.text);
        return NGX_ERROR;
    }

    if (ngx_http_tracez_name_ledger(cycle, &ledger) != NGX_OK
        || ngx_http_tracez_name_buffer(cycle, tmcf, &buffer) != NGX_OK)
    {
        return NGX_ERROR;
    }

    tmcf->ledger_zone = ngx_http_tracez_add_zone(cycle, &ledger,
                                          sizeof(ngx_http_tracez_shared_t)
                                          + tracez_ledger_bytes(), tmcf,
                                          ngx_http_tracez_init_ledger_zone);
    if (tmcf->ledger_zone == NULL) {
        return NGX_ERROR;
    }

    tmcf->buffer_zone = ngx_http_tracez_add_zone(cycle, &buffer, bytes, tmcf,
                                          ngx_http_tracez_init_buffer_zone);

    return tmcf->buffer_zone != NULL ? NGX_OK : NGX_ERROR;
}
