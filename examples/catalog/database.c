/* SPDX-License-Identifier: MIT */
#include "database.h"

#include <tracez/tracez.h>

#include <time.h>

#define QUESTION_NS 400000

#define COUNT_OF(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct item items[] = {{7, "tea pot", 2490}, {8, "tea", 590}, {9, "biscuits", 320}};
static const struct order orders[] = {{41, 8, 2}, {42, 7, 1}, {43, 99, 1}};

/* A span below the one that is current, which is the request's. A question is a CLIENT's. */
static struct tracez_span ask(const char *statement, const char *summary)
{
    struct tracez_context parent;
    struct tracez_span span = {0};

    if (tracez_current_context(&parent)) {
        span =
            tracez_span_start(tracez_current_tracer(), TRACEZ_KIND_CLIENT, summary, &parent, NULL);
    }
    tracez_span_set_string(span, TRACEZ_KEY(DB_SYSTEM_NAME), "memory");
    tracez_span_set_string(span, TRACEZ_KEY(DB_OPERATION_NAME), "SELECT");
    tracez_span_set_string(span, TRACEZ_KEY(DB_QUERY_TEXT), statement);
    nanosleep(&(struct timespec){.tv_nsec = QUESTION_NS}, NULL);
    return span;
}

const struct item *database_find_item(int id)
{
    struct tracez_span span = ask("SELECT name, price FROM items WHERE id = ?", "SELECT items");
    const struct item *found = NULL;

    for (size_t i = 0; i < COUNT_OF(items) && found == NULL; i++) {
        found = items[i].id == id ? &items[i] : NULL;
    }
    tracez_span_set_int(span, "db.response.returned_rows", found != NULL);
    tracez_span_finish(span);
    return found;
}

const struct order *database_find_order(int id)
{
    struct tracez_span span = ask("SELECT item, count FROM orders WHERE id = ?", "SELECT orders");
    const struct order *found = NULL;

    for (size_t i = 0; i < COUNT_OF(orders) && found == NULL; i++) {
        found = orders[i].id == id ? &orders[i] : NULL;
    }
    tracez_span_set_int(span, "db.response.returned_rows", found != NULL);
    tracez_span_finish(span);
    return found;
}
