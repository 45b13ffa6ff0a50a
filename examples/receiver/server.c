/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "budget.h"
#include "otlp.h"

#define CONNECTIONS_MAX 128
#define IDLE_SECONDS_MAX 30

struct server {
    struct MHD_Daemon *daemon;
    struct store *store;
    struct complaint *complaint;
};

struct refusal {
    unsigned status;
    const char *text;
};

static const struct refusal too_large = {413, "a body may have at most 64 MiB"};
static const struct refusal too_many_values = {413,
                                               "the body takes too much memory once it is read"};
static const struct refusal compressed = {415, "a compressed body is not understood here"};
static const struct refusal not_json = {415, "the Content-Type must be application/json"};
static const struct refusal no_memory = {503, "no memory for it now, try again"};
static const struct refusal not_otlp = {400, "not OTLP: there is no array resourceSpans"};
static const struct refusal no_such_path = {404, "no such path: POST /v1/traces, GET /spans"};
static const struct refusal wrong_method = {405, "not with this method"};

struct request {
    const struct route *route;     /* NULL: no such path */
    const struct refusal *refusal; /* NULL so far; with one, the body is read and forgotten */
    struct body body;
};

/* A path. check: NULL, or refuses a request by its head. */
struct route {
    const char *path;
    const char *methods; /* as the header Allow has them */
    const struct refusal *(*check)(struct MHD_Connection *connection);
    enum MHD_Result (*respond)(struct server *server, struct MHD_Connection *connection,
                               const struct request *request);
};

/* ---- Answers
 * ------------------------------------------------------------------------------------- */

/* response: taken; NULL without memory, which ends the connection. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
                              struct MHD_Response *response)
{
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* body: taken; NULL without memory, as the response then is. */
static struct MHD_Response *json_response(json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    if (text == NULL) {
        return NULL;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(strlen(text), text, budget_free);
    if (response == NULL) {
        budget_free(text);
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    return response;
}

static enum MHD_Result refuse(const struct server *server, struct MHD_Connection *connection,
                              const struct refusal *refusal, const struct request *request)
{
    char complaint[COMPLAINT_BYTES_MAX];
    struct MHD_Response *response = json_response(json_pack("{s:s}", "message", refusal->text));

    snprintf(complaint, sizeof(complaint), "refused a request with %u: %s", refusal->status,
             refusal->text);
    complaint_add(server->complaint, complaint);
    if (refusal == &wrong_method && response != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, request->route->methods);
    }
    return answer(connection, refusal->status, response);
}

/* ---- POST /v1/traces
 * ------------------------------------------------------------------------------ */

static bool is_json(const char *content_type)
{
    static const char wanted[] = "application/json";
    size_t bytes = sizeof(wanted) - 1;

    return content_type != NULL && strncasecmp(content_type, wanted, bytes) == 0 &&
           strchr("; \t", content_type[bytes]) != NULL; /* or its end */
}

static const struct refusal *check_traces(struct MHD_Connection *connection)
{
    const char *encoding =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_ENCODING);
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);

    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        return &compressed;
    }
    return is_json(type) ? NULL : &not_json;
}

static void add_to_store(struct span *span, void *store)
{
    store_add(store, span);
}

/* "{}" when all were taken. */
static enum MHD_Result answer_result(const struct server *server, struct MHD_Connection *connection,
                                     const struct otlp_result *result)
{
    char complaint[COMPLAINT_BYTES_MAX];
    char rejected[24];

    if (result->rejected == 0) {
        return answer(connection, MHD_HTTP_OK, json_response(json_object()));
    }
    snprintf(rejected, sizeof(rejected), "%zu", result->rejected);
    snprintf(complaint, sizeof(complaint), "rejected %s of %zu spans: %s", rejected,
             result->rejected + result->accepted, result->reason);
    complaint_add(server->complaint, complaint);
    return answer(connection, MHD_HTTP_OK,
                  json_response(json_pack("{s:{s:s, s:s}}", "partialSuccess", "rejectedSpans",
                                          rejected, "errorMessage", result->reason)));
}

/* The parser quotes what it did not understand. */
static void format_parse_error(char *text, size_t text_bytes, const json_error_t *error)
{
    snprintf(text, text_bytes, "not JSON: line %d, column %d: %s", error->line, error->column,
             error->text);
    for (; *text != '\0'; text++) {
        *text = *text >= ' ' && *text <= '~' ? *text : '?';
    }
}

static enum MHD_Result respond_to_traces(struct server *server, struct MHD_Connection *connection,
                                         const struct request *request)
{
    size_t memory_refusals = budget_refusal_count();
    struct otlp_result result;
    json_error_t error;
    char text[JSON_ERROR_TEXT_LENGTH + 64];
    json_t *body = json_loadb(request->body.bytes > 0 ? request->body.text : "",
                              request->body.bytes, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

    if (body == NULL && budget_refusal_count() != memory_refusals) {
        return refuse(server, connection, &too_many_values, request);
    }
    if (body == NULL) {
        format_parse_error(text, sizeof(text), &error);
        return refuse(server, connection, &(struct refusal){MHD_HTTP_BAD_REQUEST, text}, request);
    }
    bool is_otlp = otlp_read(body, add_to_store, server->store, &result);
    json_decref(body);
    return is_otlp ? answer_result(server, connection, &result)
                   : refuse(server, connection, &not_otlp, request);
}

/* ---- GET
 * ------------------------------------------------------------------------------------------ */

static enum MHD_Result respond_with_spans(struct server *server, struct MHD_Connection *connection,
                                          const struct request *request)
{
    json_t *spans = store_json(server->store);

    return spans != NULL ? answer(connection, MHD_HTTP_OK, json_response(spans))
                         : refuse(server, connection, &no_memory, request);
}

static enum MHD_Result respond_with_help(struct server *server, struct MHD_Connection *connection,
                                         const struct request *request)
{
    static char help[] = "The example receiver of tracez.\n\n"
                         "POST /v1/traces   takes spans, as OTLP/HTTP JSON\n"
                         "GET  /spans       shows those it has, as JSON\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(help) - 1, help, MHD_RESPMEM_PERSISTENT);

    (void)server;
    (void)request;
    if (response != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    }
    return answer(connection, MHD_HTTP_OK, response);
}

/* ---- Requests
 * ------------------------------------------------------------------------------------- */

static const struct route routes[] = {
    {"/v1/traces", "POST", check_traces, respond_to_traces},
    {"/spans", "GET, HEAD", NULL, respond_with_spans},
    {"/", "GET, HEAD", NULL, respond_with_help},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

/* Is the method one of "GET, HEAD"? */
static bool is_allowed(const char *method, const char *methods)
{
    size_t bytes = strlen(method);
    const char *at = methods;

    while (*at != '\0') {
        size_t allowed_bytes = strcspn(at, ",");
        if (allowed_bytes == bytes && memcmp(at, method, bytes) == 0) {
            return true;
        }
        at += allowed_bytes;
        at += strspn(at, ", ");
    }
    return false;
}

/* A body that says itself that it is too large need not be read. */
static bool announces_too_much(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return length != NULL && strtoull(length, NULL, 10) > BODY_BYTES_MAX;
}

static const struct refusal *check_head(struct MHD_Connection *connection,
                                        const struct route *route, const char *method)
{
    if (announces_too_much(connection)) {
        return &too_large;
    }
    if (route == NULL) {
        return &no_such_path;
    }
    if (!is_allowed(method, route->methods)) {
        return &wrong_method;
    }
    return route->check != NULL ? route->check(connection) : NULL;
}

static void take_piece(struct request *request, const char *piece, size_t bytes)
{
    static const struct refusal *const refusals[] = {
        [BODY_OK] = NULL, [BODY_TOO_LARGE] = &too_large, [BODY_NO_MEMORY] = &no_memory};

    if (request->refusal == NULL) {
        request->refusal = refusals[body_append(&request->body, piece, bytes)];
    }
}

/* Called by libmicrohttpd for the head, for each piece of the body, and at the end. */
/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *state, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *piece,
                              size_t *piece_bytes, void **connection_state)
{
    struct server *server = state;
    struct request *request = *connection_state;

    (void)version;
    if (request == NULL) {
        *connection_state = request = calloc(1, sizeof(*request));
        if (request == NULL) {
            return MHD_NO;
        }
        request->route = find_route(path);
        request->refusal = check_head(connection, request->route, method);
        return request->refusal == &too_large
                   ? refuse(server, connection, request->refusal, request)
                   : MHD_YES;
    }
    if (*piece_bytes > 0) {
        take_piece(request, piece, *piece_bytes);
        *piece_bytes = 0;
        return MHD_YES;
    }
    return request->refusal != NULL ? refuse(server, connection, request->refusal, request)
                                    : request->route->respond(server, connection, request);
}

static void forget_request(void *state, struct MHD_Connection *connection, void **connection_state,
                           enum MHD_RequestTerminationCode reason)
{
    struct request *request = *connection_state;

    (void)state;
    (void)connection;
    (void)reason;
    if (request != NULL) {
        body_clear(&request->body);
        free(request);
        *connection_state = NULL;
    }
}

/* ---- Start and stop
 * ------------------------------------------------------------------------------- */

struct server *server_start(int listener, struct store *store, struct complaint *complaint)
{
    struct server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        return NULL;
    }
    server->store = store;
    server->complaint = complaint;
    server->daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, server, /* */
        MHD_OPTION_LISTEN_SOCKET, listener,                                            /* */
        MHD_OPTION_NOTIFY_COMPLETED, forget_request, NULL,                             /* */
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,                        /* */
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS_MAX,                     /* */
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        server_stop(server);
        return NULL;
    }
    return server;
}

void server_stop(struct server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon);
    }
    free(server);
}
