/* SPDX-License-Identifier: MIT
 *
 * What an application asks and says of a request, by its connection. */
#include "request.h"

#include <string.h>

struct tracez_span tracez_mhd_span(struct MHD_Connection *connection)
{
    const struct request *request = adapter_find_request(connection);

    return request != NULL ? request->span : (struct tracez_span){0};
}

bool tracez_mhd_context(struct MHD_Connection *connection, struct tracez_context *context)
{
    const struct request *request = adapter_find_request(connection);

    *context = request != NULL ? request->context : (struct tracez_context){0};
    return tracez_context_is_valid(context);
}

void tracez_mhd_set_route(struct MHD_Connection *connection, const char *route)
{
    const struct request *request = adapter_find_request(connection);

    if (request != NULL && route != NULL) {
        tracez_http_set_route(request->span, request->method,
                              (struct tracez_text){route, strlen(route)});
    }
}

void tracez_mhd_set_tag(struct MHD_Connection *connection, const char *key, const char *value)
{
    tracez_span_set_string(tracez_mhd_span(connection), key, value);
}
