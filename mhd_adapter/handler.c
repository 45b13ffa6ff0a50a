/* SPDX-License-Identifier: MIT
 *
 * What libmicrohttpd calls: URI logger, handler, completed callback. Each calls the application's
 * own in turn, with what that would get without us.
 *
 * The application may install callbacks of its own behind ours. Its URI logger in place of ours:
 * the handler meets requests that never began, and serves them untraced. Its completed callback in
 * place of ours: requests begin that never ended, and from the first one that is noticed, all are
 * served untraced. Where ours was ever called it is in place, and a request without an end is one
 * of those that libmicrohttpd drops without a word, such as one whose arguments outgrow its memory:
 * it alone is not traced. */
#include "request.h"

/* ---- Begin ----------------------------------------------------------------------------------- */

static void begin(struct tracez_mhd *tracing, const char *uri, struct MHD_Connection *connection)
{
    struct request *left_over = table_find(&tracing->table, connection);

    if (left_over != NULL) {
        request_forget(left_over);
        /* Relaxed, as everywhere with these two: an early look decides as well as a late one. */
        if (!atomic_load_explicit(&tracing->has_seen_end, memory_order_relaxed)) {
            atomic_store_explicit(&tracing->has_lost_ends, true, memory_order_relaxed);
        }
    }
    if (!atomic_load_explicit(&tracing->has_lost_ends, memory_order_relaxed)) {
        request_begin(tracing, connection, uri);
    }
}

static void *log_uri(void *state, const char *uri, struct MHD_Connection *connection)
{
    struct tracez_mhd *tracing = state;
    const struct callbacks *callbacks = &tracing->callbacks;

    begin(tracing, uri, connection);
    return callbacks->uri_log != NULL
               ? callbacks->uri_log(callbacks->uri_log_state, uri, connection)
               : NULL;
}

/* ---- The handler ----------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
enum MHD_Result tracez_mhd_handler(void *state, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload_data,
                                   size_t *upload_data_size, void **con_cls)
{
    struct tracez_mhd *tracing = state;
    const struct callbacks *callbacks = &tracing->callbacks;
    struct request *request = table_find(&tracing->table, connection);

    if (callbacks->handler == NULL) {
        return MHD_NO; /* started by hand, with no handler in the configuration */
    }
    if (request == NULL) {
        request = request_begin_untraced(tracing, connection);
    }
    if (request == NULL || request->is_counted) {
        return callbacks->handler(callbacks->handler_state, connection, url, method, version,
                                  upload_data, upload_data_size, con_cls);
    }
    if (!request->is_started) {
        request_start(request, connection, &(struct request_line){method, version});
    }
    struct tracez_scope scope =
        tracez_scope_enter(tracing->tracer, request->span, &request->context);
    enum MHD_Result result = callbacks->handler(callbacks->handler_state, connection, url, method,
                                                version, upload_data, upload_data_size, con_cls);
    tracez_scope_leave(&scope);
    request_note_call(request, connection, result);
    return result;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Without our URI logger libmicrohttpd tells of the end only when the handler was called. */
static bool concerns_application(const struct callbacks *callbacks, const struct request *request,
                                 void *const *con_cls)
{
    if (callbacks->completed == NULL) {
        return false;
    }
    if (callbacks->uri_log != NULL) {
        return true;
    }
    if (request == NULL) {
        return *con_cls != NULL; /* no place was free: all that there is to go by */
    }
    return request->was_handled || request->is_counted;
}

static void complete(void *state, struct MHD_Connection *connection, void **con_cls,
                     enum MHD_RequestTerminationCode ending)
{
    struct tracez_mhd *tracing = state;
    const struct callbacks *callbacks = &tracing->callbacks;
    struct request *request = table_find(&tracing->table, connection);
    uint64_t end_ns = tracez_tracer_now_ns(tracing->tracer);

    if (!atomic_load_explicit(&tracing->has_seen_end, memory_order_relaxed)) {
        atomic_store_explicit(&tracing->has_seen_end, true, memory_order_relaxed);
    }
    if (concerns_application(callbacks, request, con_cls)) {
        callbacks->completed(callbacks->completed_state, connection, con_cls, ending);
    }
    if (request != NULL) {
        request_end(request, connection, ending, end_ns);
    } else {
        tracez_tracer_count_request(tracing->tracer, false);
    }
}

void handler_init_options(struct tracez_mhd *tracing)
{
    tracing->options[0] =
        (struct MHD_OptionItem){MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)complete, tracing};
    tracing->options[1] =
        (struct MHD_OptionItem){MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)log_uri, tracing};
    tracing->options[2] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}
