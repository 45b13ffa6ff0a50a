/* SPDX-License-Identifier: MIT
 *
 * An application for nginx to stand in front of: a small JSON service of libmicrohttpd, traced.
 *
 *   /items/{id}    200 with an item, which the database was asked for; 404
 *   /orders/{id}   200 with an order and its item, which it asks a service for; 404; 502
 *   /hello         200, or 201 for a POST; says which traceparent it was sent
 *   /slow?ms=N     200 after N milliseconds, at most 5000
 *   /fail          503
 *   /report        200, and nginx is told to send /files/report.txt (X-Accel-Redirect) */
#include "../service.h"
#include "routes.h"

/* Called for the head, for each piece of the body (which nobody wants), and at the end. */
/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *own_url, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *piece,
                              size_t *piece_bytes, void **connection_state)
{
    static char head_seen;

    (void)version;
    (void)piece;
    if (*connection_state == NULL) {
        *connection_state = &head_seen;
        return MHD_YES;
    }
    if (*piece_bytes > 0) {
        *piece_bytes = 0;
        return MHD_YES;
    }
    return routes_answer(connection, method, path, own_url);
}

int main(int argc, char **argv)
{
    static const struct service catalog = {
        .name = "catalog",
        .purpose = "An application for nginx to stand in front of.",
        .port = 8081,
        .handle = handle,
    };

    return service_run(&catalog, argc, argv);
}
