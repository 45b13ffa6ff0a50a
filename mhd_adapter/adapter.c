/* SPDX-License-Identifier: MIT
 *
 * Making and unmaking an adapter, and finding the one that a connection belongs to: whoever has
 * only a connection looks through all of them, mostly one. destroy takes half-built ones. */
#include "adapter.h"

#include "request.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_DEFAULT 4096
#define TAG_BYTES_MIN 16
#define TAG_BYTES_MAX 32000

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_rwlock_t all_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct tracez_mhd *all;

/* ---- All adapters ---------------------------------------------------------------------------- */

/* In a forked child, whose other threads may have held it, and are gone. */
static void unlock_in_child(void)
{
    all_lock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
}

static void init_once(void)
{
    pthread_atfork(NULL, NULL, unlock_in_child);
}

static void enlist(struct tracez_mhd *tracing)
{
    pthread_once(&once, init_once);
    pthread_rwlock_wrlock(&all_lock);
    tracing->next = all;
    all = tracing;
    pthread_rwlock_unlock(&all_lock);
}

static void strike_off(struct tracez_mhd *tracing)
{
    pthread_rwlock_wrlock(&all_lock);
    for (struct tracez_mhd **link = &all; *link != NULL; link = &(*link)->next) {
        if (*link == tracing) {
            *link = tracing->next;
            break;
        }
    }
    pthread_rwlock_unlock(&all_lock);
}

struct request *adapter_find_request(const struct MHD_Connection *connection)
{
    struct request *request = NULL;

    pthread_rwlock_rdlock(&all_lock);
    for (struct tracez_mhd *tracing = all; tracing != NULL && request == NULL;
         tracing = tracing->next) {
        request = table_find(&tracing->table, connection);
        if (request != NULL && !request->is_started && !request->is_counted) {
            request = NULL; /* of a connection that had this address before, with another adapter */
        }
    }
    pthread_rwlock_unlock(&all_lock);
    return request;
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

void tracez_mhd_config_init_bytes(struct tracez_mhd_config *config, size_t struct_bytes)
{
    struct tracez_mhd_config defaults = {
        .struct_bytes = struct_bytes,
        .extract = TRACEZ_PROPAGATE_W3C | TRACEZ_PROPAGATE_B3,
        .connections_max = CONNECTIONS_DEFAULT,
    };

    memset(config, 0, struct_bytes);
    memcpy(config, &defaults, struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
}

static enum tracez_result check(const struct tracez_mhd_config *config, struct tracez_error *error)
{
    if (config->struct_bytes != sizeof(*config)) {
        return tracez_error_fill(error, TRACEZ_INVALID,
                                 "struct_bytes %zu rejected: call tracez_mhd_config_init first",
                                 config->struct_bytes);
    }
    if (config->tracer == NULL) {
        return tracez_error_fill(error, TRACEZ_INVALID, "tracer rejected: it must not be NULL");
    }
    if (config->connections_max < ADAPTER_CONNECTIONS_MIN ||
        config->connections_max > ADAPTER_CONNECTIONS_MAX) {
        return tracez_error_fill(error, TRACEZ_INVALID, "connections_max %u rejected: %d to %u",
                                 config->connections_max, ADAPTER_CONNECTIONS_MIN,
                                 ADAPTER_CONNECTIONS_MAX);
    }
    if (config->max_tag_bytes != 0 &&
        (config->max_tag_bytes < TAG_BYTES_MIN || config->max_tag_bytes > TAG_BYTES_MAX)) {
        return tracez_error_fill(error, TRACEZ_INVALID, "max_tag_bytes %u rejected: 0, or %d to %d",
                                 config->max_tag_bytes, TAG_BYTES_MIN, TAG_BYTES_MAX);
    }
    if ((config->extract & ~(unsigned)(TRACEZ_PROPAGATE_W3C | TRACEZ_PROPAGATE_B3)) != 0) {
        return tracez_error_fill(error, TRACEZ_INVALID,
                                 "extract 0x%x rejected: TRACEZ_PROPAGATE_* or 0", config->extract);
    }
    return TRACEZ_OK;
}

static enum tracez_result build(struct tracez_mhd *tracing, const struct tracez_mhd_config *config,
                                struct tracez_error *error)
{
    if (!table_init(&tracing->table, config->connections_max)) {
        return tracez_error_fill(error, TRACEZ_NO_MEMORY, "no memory for %u connections",
                                 config->connections_max);
    }
    enum tracez_result result = redaction_init(&tracing->redaction, config->redact_query, error);
    if (result != TRACEZ_OK) {
        return result;
    }
    return tracez_http_captures_create(TRACEZ_HTTP_REQUEST, config->capture_request_headers,
                                       &tracing->captures, error);
}

enum tracez_result tracez_mhd_create(const struct tracez_mhd_config *config,
                                     struct tracez_mhd **tracing, struct tracez_error *error)
{
    enum tracez_result result = check(config, error);

    *tracing = NULL;
    if (result != TRACEZ_OK) {
        return result;
    }
    struct tracez_mhd *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return tracez_error_fill(error, TRACEZ_NO_MEMORY, "no memory for an adapter");
    }
    created->tracer = config->tracer;
    created->configured = (struct callbacks){
        .handler = config->handler,
        .handler_state = config->handler_state,
        .completed = config->completed,
        .completed_state = config->completed_state,
        .uri_log = config->uri_log,
        .uri_log_state = config->uri_log_state,
    };
    created->callbacks = created->configured;
    created->sampler = config->sampler;
    created->collector = config->collector;
    created->resource = config->resource;
    created->max_tag_bytes = config->max_tag_bytes;
    created->extract = config->extract;
    created->connections_max = config->connections_max;
    handler_init_options(created);
    result = build(created, config, error);
    if (result != TRACEZ_OK) {
        tracez_mhd_destroy(created);
        return result;
    }
    enlist(created);
    *tracing = created;
    return TRACEZ_OK;
}

/* Of a daemon that was not stopped, or of one whose ends we were not told of. */
static void forget(void *place, void *state)
{
    (void)state;
    request_forget(place);
}

void tracez_mhd_destroy(struct tracez_mhd *tracing)
{
    if (tracing == NULL) {
        return;
    }
    strike_off(tracing);
    table_each(&tracing->table, forget, NULL);
    table_deinit(&tracing->table);
    redaction_deinit(&tracing->redaction);
    tracez_http_captures_destroy(tracing->captures);
    free(tracing);
}

const struct MHD_OptionItem *tracez_mhd_options(const struct tracez_mhd *tracing)
{
    return tracing->options;
}
