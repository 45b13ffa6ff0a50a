/* SPDX-License-Identifier: MIT
 *
 * Shared memory. The ledger's zone has a constant size and lives as long as
 * the master; the buffer's zone is named after its layout, so that a reload
 * keeps it, with all spans in it, while the layout stays the same, and gets a
 * fresh one otherwise. Each holds one block of its slab pool: a header of ours
 * and, behind it, what tracez formats itself. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_ALIGNMENT    ((size_t) 64)

#define ngx_http_tracez_behind(header)                                        \
    ((void *) ((u_char *) (header)                                            \
               + ngx_align(sizeof(*(header)), NGX_HTTP_TRACEZ_ALIGNMENT)))


static ngx_int_t ngx_http_tracez_init_ledger_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_tracez_init_buffer_zone(ngx_shm_zone_t *zone,
    void *data);


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
    shared->ledger = ngx_http_tracez_behind(shared);
    zone->data = shared;

    if (ngx_http_tracez_init_lines(shared) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "tracez: no robust, process-shared mutexes here");
        return NGX_ERROR;
    }

    if (tracez_ledger_format(shared->ledger, bytes, NULL, &error)
        != TRACEZ_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "tracez: %s",
                      error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* ---- the buffer --------------------------------------------------------- */

static ngx_int_t
ngx_http_tracez_format_buffer(ngx_shm_zone_t *zone,
    ngx_http_tracez_main_conf_t *tmcf, ngx_http_tracez_buffer_t *buffer,
    bool *was_kept)
{
    struct tracez_error  error;

    if (tracez_buffer_format(&tmcf->tracer_config, buffer->memory,
                             tracez_buffer_bytes(&tmcf->tracer_config, NULL),
                             was_kept, &error)
        != TRACEZ_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "tracez: %s",
                      error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tracez_init_buffer_zone(ngx_shm_zone_t *zone, void *data)
{
    bool                          was_kept;
    size_t                        bytes;
    ngx_http_tracez_buffer_t     *buffer;
    ngx_http_tracez_shared_t     *shared;
    ngx_http_tracez_main_conf_t  *tmcf;

    tmcf = zone->data;
    buffer = data;

    if (buffer == NULL) {
        bytes = tracez_buffer_bytes(&tmcf->tracer_config, NULL);

        buffer = ngx_http_tracez_alloc(zone, NGX_HTTP_TRACEZ_ALIGNMENT + bytes);
        if (buffer == NULL) {
            return NGX_ERROR;
        }

        shared = ngx_http_tracez_shared(tmcf);

        /* the pages are fresh, and tracez takes only its own for formatted */

        buffer->memory = ngx_http_tracez_behind(buffer);
        buffer->id = (ngx_uint_t) ngx_atomic_fetch_add(&shared->buffers, 1) + 1;
    }

    zone->data = buffer;
    tmcf->configuration = ++buffer->configurations;

    if (ngx_http_tracez_format_buffer(zone, tmcf, buffer, &was_kept) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (data != NULL && !was_kept) {
        ngx_log_error(NGX_LOG_WARN, zone->shm.log, 0,
                      "tracez: the buffer in zone \"%V\" was not ours: "
                      "it begins empty", &zone->shm.name);
    }

    return NGX_OK;
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
    ngx_uint_t                        i;
    ngx_core_conf_t                  *ccf;
    struct tracez_config             *config;
    struct tracez_collector_config  *collector;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    collector = tmcf->collector_configs.elts;

    for (i = 0; i < tmcf->collector_configs.nelts; i++) {
        collector[i].writers = (uint32_t) ngx_max(1,
                               ngx_min(ccf->worker_processes,
                                       TRACEZ_WRITERS_MAX));
    }

    config = &tmcf->tracer_config;
    config->collectors = collector;
    config->collector_count = tmcf->collector_configs.nelts;
    config->resources = tmcf->resources.elts;
    config->resource_count = tmcf->resources.nelts;
    config->max_tag_bytes = NGX_HTTP_TRACEZ_TAG_SIZE;

    return NGX_OK;
}


ngx_int_t
ngx_http_tracez_add_zones(ngx_cycle_t *cycle,
    ngx_http_tracez_main_conf_t *tmcf)
{
    size_t               bytes;
    ngx_str_t            name;
    struct tracez_error  error;

    static ngx_str_t     ledger = ngx_string("tracez_ledger");

    if (ngx_http_tracez_complete_config(cycle, tmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    bytes = tracez_buffer_bytes(&tmcf->tracer_config, &error);

    if (bytes == 0) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "tracez: %s", error.text);
        return NGX_ERROR;
    }

    name.data = ngx_pnalloc(cycle->pool, sizeof("tracez_buffer_ffffffff"));
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    name.len = (size_t) (ngx_sprintf(name.data, "tracez_buffer_%08xD",
                                     ngx_http_tracez_layout(tmcf))
                         - name.data);

    /* in this order: the buffer's gets its id from the ledger's */

    tmcf->ledger_zone = ngx_http_tracez_add_zone(cycle, &ledger,
                                          sizeof(ngx_http_tracez_shared_t)
                                          + tracez_ledger_bytes(), tmcf,
                                          ngx_http_tracez_init_ledger_zone);
    if (tmcf->ledger_zone == NULL) {
        return NGX_ERROR;
    }

    tmcf->buffer_zone = ngx_http_tracez_add_zone(cycle, &name, bytes, tmcf,
                                          ngx_http_tracez_init_buffer_zone);

    return tmcf->buffer_zone != NULL ? NGX_OK : NGX_ERROR;
}
