/* SPDX-License-Identifier: MIT
 *
 * From beginning to end; see request.h. Everything here runs in callbacks of libmicrohttpd, of
 * which those of one connection never overlap. */
#include "request.h"

#include "message.h"

#include <string.h>

#define NAME_BYTES 16 /* the longest known method, or HTTP */

_Static_assert(REQUEST_TEXT_BYTES > 3000, "path, query and tracestate of the usual lengths");

/* ---- Begin ----------------------------------------------------------------------------------- */

struct request *request_begin(struct tracez_mhd *tracing, struct MHD_Connection *connection,
                              const char *uri)
{
    struct request *request = table_take(&tracing->table, connection);
    size_t bytes = uri == NULL ? 0 : strnlen(uri, REQUEST_TEXT_BYTES);

    if (request == NULL) {
        return NULL;
    }
    *request = (struct request){
        .tracing = tracing,
        .start_ns = tracez_tracer_now_ns(tracing->tracer),
        .target_bytes = (uint16_t)bytes,
    };
    if (bytes > 0) {
        memcpy(request->target, uri, bytes);
    }
    return request;
}

struct request *request_begin_untraced(struct tracez_mhd *tracing,
                                       struct MHD_Connection *connection)
{
    struct request *request = table_take(&tracing->table, connection);

    if (request != NULL) {
        *request = (struct request){.tracing = tracing, .is_counted = true};
        tracez_tracer_count_request(tracing->tracer, false);
    }
    return request;
}

/* ---- Start ----------------------------------------------------------------------------------- */

void request_start(struct request *request, struct MHD_Connection *connection,
                   const struct request_line *line)
{
    const struct tracez_mhd *tracing = request->tracing;
    struct tracez_sampling_decision decision;
    struct tracez_context parent;
    struct message message;
    char name[NAME_BYTES];

    if (line->method != NULL) {
        request->method = (struct tracez_text){line->method, strlen(line->method)};
    }
    message_read(&message, connection, request);
    tracez_carrier_extract(&message.carrier, tracing->extract, &parent);
    const struct tracez_span_options options = {
        .kind = TRACEZ_KIND_SERVER,
        .name = {name, tracez_http_span_name(request->method, (struct tracez_text){NULL, 0}, name,
                                             sizeof(name))},
        .parent = &parent,
        .sampler = tracing->sampler,
        .collector = tracing->collector,
        .resource = tracing->resource,
        .max_tag_bytes = tracing->max_tag_bytes,
        .start_monotonic_ns = request->start_ns,
        .decision = &decision,
    };
    request->span = tracez_span_start_with(tracing->tracer, &options, &request->context);
    request->is_started = true;
    request->is_recorded = decision.record;
    if (tracez_span_is_recording(request->span)) {
        message_tag(&message, connection, request, line->version);
    }
}

/* ---- End ------------------------------------------------------------------------------------- */

/* 0: nothing was queued. */
static int status_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);

    return info == NULL ? 0 : (int)info->http_status;
}

static bool is_suspended(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);

    return info != NULL && info->suspended == MHD_YES;
}

void request_note_call(struct request *request, struct MHD_Connection *connection,
                       enum MHD_Result result)
{
    request->was_handled = true;
    request->has_failed = result == MHD_NO;
    /* While it is suspended another thread may be queueing a response: do not look. */
    request->may_answer = is_suspended(connection) || status_of(connection) != 0;
}

/* Why the response did not go out whole; NULL when it did. */
static const char *abort_of(const struct request *request, enum MHD_RequestTerminationCode ending,
                            int status)
{
    switch (ending) {
    case MHD_REQUEST_TERMINATED_COMPLETED_OK:
        return NULL;
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
        return TRACEZ_HTTP_TIMEOUT;
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN:
        return TRACEZ_HTTP_SHUTDOWN;
    case MHD_REQUEST_TERMINATED_READ_ERROR:
    case MHD_REQUEST_TERMINATED_CLIENT_ABORT:
        return TRACEZ_HTTP_CLIENT_ABORTED;
    case MHD_REQUEST_TERMINATED_WITH_ERROR:
        break;
    }
    if (request->has_failed) {
        return TRACEZ_HTTP_NO_RESPONSE;
    }
    if (status == 0) {
        return TRACEZ_HTTP_CLIENT_ABORTED;
    }
    /* libmicrohttpd's own refusals end like this, too, and are whole. */
    return request->may_answer ? TRACEZ_HTTP_TRUNCATED : NULL;
}

void request_end(struct request *request, struct MHD_Connection *connection,
                 enum MHD_RequestTerminationCode ending, uint64_t end_ns)
{
    struct tracez_mhd *tracing = request->tracing;
    int status = status_of(connection);

    if (request->has_failed) {
        status = 0; /* what was queued before MHD_NO does not go out */
    } else if (status == 0 && ending == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        status = MHD_HTTP_SWITCHING_PROTOCOLS; /* an upgraded connection has forgotten it */
    }
    if (!request->is_counted) {
        if (!request->is_started) {
            request_start(request, connection, &(struct request_line){0});
        }
        tracez_http_tag_response(request->span, TRACEZ_KIND_SERVER, status,
                                 abort_of(request, ending, status));
        tracez_span_finish_after(request->span, end_ns - request->start_ns);
        tracez_tracer_count_request(tracing->tracer, request->is_recorded);
    }
    table_give_back(&tracing->table, request);
}

void request_forget(struct request *request)
{
    struct tracez_mhd *tracing = request->tracing;

    if (!request->is_counted) {
        tracez_span_discard(request->span);
        tracez_tracer_count_request(tracing->tracer, false);
    }
    table_give_back(&tracing->table, request);
}
