/* SPDX-License-Identifier: MIT
 *
 * Handlers, and the table that leads to them. A route's pattern is also its name in the trace. */
#include "routes.h"

#include "../caller.h"
#include "../reply.h"
#include "database.h"

#include <tracez/mhd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOW_MS_MAX 5000

struct request {
    struct MHD_Connection *connection;
    const char *method;
    int id; /* what stands for {id}; 0: nothing */
    const char *own_url;
};

static enum MHD_Result not_found(const struct request *request)
{
    return reply_send(request->connection, MHD_HTTP_NOT_FOUND,
                      json_pack("{s:s}", "error", "there is no such thing"));
}

static enum MHD_Result answer_hello(const struct request *request)
{
    bool is_post = strcmp(request->method, "POST") == 0;
    const char *traceparent =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "traceparent");

    return reply_send(
        request->connection, is_post ? MHD_HTTP_CREATED : MHD_HTTP_OK,
        json_pack("{s:s, s:s?}", "text", is_post ? "made" : "hello", "traceparent", traceparent));
}

static enum MHD_Result answer_slow(const struct request *request)
{
    const char *wanted =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "ms");
    unsigned long ms = wanted != NULL ? strtoul(wanted, NULL, 10) : 100;

    ms = ms < SLOW_MS_MAX ? ms : SLOW_MS_MAX;
    nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}, NULL);
    return reply_send(request->connection, MHD_HTTP_OK,
                      json_pack("{s:s}", "text", "that took a while"));
}

static enum MHD_Result answer_fail(const struct request *request)
{
    return reply_send(request->connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      json_pack("{s:s}", "error", "out of order"));
}

static enum MHD_Result answer_report(const struct request *request)
{
    return reply_send_file_instead(request->connection, "/files/report.txt");
}

static enum MHD_Result answer_item(const struct request *request)
{
    const struct item *item = database_find_item(request->id);

    if (item == NULL) {
        return not_found(request);
    }
    return reply_send(request->connection, MHD_HTTP_OK,
                      json_pack("{s:i, s:s, s:i}", "id", item->id, "name", item->name,
                                "price_cents", item->price_cents));
}

/* Asks the service for items, which here is the catalog once more: over HTTP, as any other. */
static enum MHD_Result answer_order(const struct request *request)
{
    const struct order *order = database_find_order(request->id);
    json_t *item;
    char url[256];

    if (order == NULL) {
        return not_found(request);
    }
    tracez_span_set_int(tracez_mhd_span(request->connection), "order.id", order->id);
    snprintf(url, sizeof(url), "%s/items/%d", request->own_url, order->item_id);
    if (caller_get(url, "/items/{id}", &item) != MHD_HTTP_OK || item == NULL) {
        json_decref(item);
        return reply_send(request->connection, MHD_HTTP_BAD_GATEWAY,
                          json_pack("{s:s}", "error", "the item can't be had"));
    }
    return reply_send(
        request->connection, MHD_HTTP_OK,
        json_pack("{s:i, s:i, s:o}", "id", order->id, "count", order->count, "item", item));
}

static const struct route {
    const char *pattern; /* {id} at the end stands for a number */
    enum MHD_Result (*answer)(const struct request *request);
} routes[] = {
    {"/hello", answer_hello},   {"/slow", answer_slow},       {"/fail", answer_fail},
    {"/report", answer_report}, {"/items/{id}", answer_item}, {"/orders/{id}", answer_order},
};

/* A number behind the pattern's beginning, and nothing behind it. */
static bool matches(const char *pattern, const char *path, int *id)
{
    const char *brace = strchr(pattern, '{');
    size_t fixed_bytes = brace == NULL ? strlen(pattern) : (size_t)(brace - pattern);
    const char *rest = path + fixed_bytes;

    *id = 0;
    if (strncmp(pattern, path, fixed_bytes) != 0) {
        return false;
    }
    if (brace == NULL) {
        return *rest == '\0';
    }
    size_t digits = strspn(rest, "0123456789");
    *id = digits > 0 && digits < 10 ? atoi(rest) : 0;
    return *id > 0 && rest[digits] == '\0';
}

enum MHD_Result routes_answer(struct MHD_Connection *connection, const char *method,
                              const char *path, const char *own_url)
{
    struct request request = {.connection = connection, .method = method, .own_url = own_url};

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (matches(routes[i].pattern, path, &request.id)) {
            tracez_mhd_set_route(connection, routes[i].pattern);
            return routes[i].answer(&request);
        }
    }
    return not_found(&request);
}
