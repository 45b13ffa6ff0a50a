/* SPDX-License-Identifier: MIT
 *
 * The least that can be done; see mhd_floor.h. */
#include "mhd_floor.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING_BYTES 4194304 /* of a buffer of 8192 spans */
#define RECORD_BYTES 448   /* of a traced request of mhd_overhead: 440 */
#define TARGET_BYTES_MAX 256
#define TRACEPARENT_BYTES 11

static MHD_AccessHandlerCallback handler_behind;
static void *state_behind;
static unsigned char ring[RING_BYTES];
static size_t ring_at;

/* Begins as any record would; the rest stands for tags. */
static struct {
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t ids[3];
    unsigned status;
    bool is_begun;
    const void *peer;
    const char *parent;
    char target[TARGET_BYTES_MAX];
    unsigned char rest[RECORD_BYTES];
} request;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint64_t random_id(void)
{
    static uint64_t seed = 88172645463325252U;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void *begin(void *state, const char *uri, struct MHD_Connection *connection)
{
    size_t bytes = strnlen(uri, sizeof(request.target));

    (void)state;
    (void)connection;
    request.start_ns = now_ns();
    request.is_begun = false;
    memcpy(request.target, uri, bytes);
    return NULL;
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result read_header(void *state, enum MHD_ValueKind kind, const char *key,
                                   size_t key_bytes, const char *value, size_t value_bytes)
{
    (void)state;
    (void)kind;
    if (key_bytes == TRACEPARENT_BYTES && key[0] == 't' && value_bytes > 0) {
        request.parent = value;
    }
    return MHD_YES;
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
enum MHD_Result floor_handle(void *state, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload_data,
                             size_t *upload_data_size, void **con_cls)
{
    (void)state;
    if (!request.is_begun) {
        request.is_begun = true;
        for (int i = 0; i < 3; i++) {
            request.ids[i] = random_id();
        }
        request.peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        MHD_get_connection_values_n(connection, MHD_HEADER_KIND, read_header, NULL);
    }
    return handler_behind(state_behind, connection, url, method, version, upload_data,
                          upload_data_size, con_cls);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libmicrohttpd's type */
static void complete(void *state, struct MHD_Connection *connection, void **con_cls,
                     enum MHD_RequestTerminationCode ending)
{
    const union MHD_ConnectionInfo *status =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);

    (void)state;
    (void)con_cls;
    (void)ending;
    request.end_ns = now_ns();
    request.status = status == NULL ? 0 : status->http_status;
    memcpy(ring + ring_at, &request, RECORD_BYTES);
    ring_at += RECORD_BYTES;
    if (ring_at > RING_BYTES - RECORD_BYTES) {
        ring_at = 0;
    }
}

void floor_set_handler(MHD_AccessHandlerCallback handler, void *state)
{
    handler_behind = handler;
    state_behind = state;
}

const struct MHD_OptionItem *floor_options(void)
{
    static const struct MHD_OptionItem options[] = {
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)complete, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)begin, NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    return options;
}
