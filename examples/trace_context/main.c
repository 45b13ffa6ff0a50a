/* SPDX-License-Identifier: MIT
 *
 * The service that W3C's test suite for Trace Context talks to: a POST has a JSON list of
 * {"url", "arguments"}; for each, "arguments" is posted to "url" with the trace in its headers and
 * a parent id of its own. Then it answers 200, or 400 to what is no such list.
 *
 * The body is collected in state of the application's own, behind con_cls. */
#include "../caller.h"
#include "../reply.h"
#include "../service.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX 65536

struct body {
    size_t bytes;
    char text[BODY_BYTES_MAX]; /* what is longer is cut, and then no JSON */
};

/* False: it is not such a list. */
static bool call_all(const json_t *calls)
{
    size_t index;
    const json_t *call;

    if (!json_is_array(calls)) {
        return false;
    }
    json_array_foreach(calls, index, call)
    {
        const char *url = json_string_value(json_object_get(call, "url"));
        const json_t *arguments = json_object_get(call, "arguments");
        if (url == NULL || arguments == NULL) {
            return false;
        }
        caller_post(url, arguments);
    }
    return true;
}

static enum MHD_Result answer(struct MHD_Connection *connection, const struct body *body)
{
    json_t *calls = json_loadb(body->text, body->bytes, 0, NULL);
    bool is_list = call_all(calls);

    json_decref(calls);
    return is_list ? reply_send(connection, MHD_HTTP_OK, json_pack("{}"))
                   : reply_send(connection, MHD_HTTP_BAD_REQUEST,
                                json_pack("{s:s}", "error", "a list of {url, arguments}, please"));
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *own_url, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *piece,
                              size_t *piece_bytes, void **connection_state)
{
    struct body *body = *connection_state;

    (void)own_url;
    (void)path;
    (void)method;
    (void)version;
    if (body == NULL) {
        *connection_state = calloc(1, sizeof(*body));
        return *connection_state != NULL ? MHD_YES : MHD_NO;
    }
    if (*piece_bytes > 0) {
        size_t room = sizeof(body->text) - body->bytes;
        size_t kept = *piece_bytes < room ? *piece_bytes : room;
        memcpy(body->text + body->bytes, piece, kept);
        body->bytes += kept;
        *piece_bytes = 0;
        return MHD_YES;
    }
    return answer(connection, body);
}

static void completed(void *own_url, struct MHD_Connection *connection, void **connection_state,
                      enum MHD_RequestTerminationCode ending)
{
    (void)own_url;
    (void)connection;
    (void)ending;
    free(*connection_state);
    *connection_state = NULL;
}

int main(int argc, char **argv)
{
    static const struct service trace_context = {
        .name = "trace-context",
        .purpose = "The service that W3C's test suite for Trace Context talks to.",
        .port = 5000,
        .handle = handle,
        .completed = completed,
    };

    return service_run(&trace_context, argc, argv);
}
