/* SPDX-License-Identifier: MIT
 *
 * What stands for a database: a table in memory that takes its time, and that is asked as one would
 * ask a real one, with a span for each question. */
#ifndef EXAMPLES_DATABASE_H
#define EXAMPLES_DATABASE_H

struct item {
    int id;
    const char *name;
    int price_cents;
};

struct order {
    int id;
    int item_id;
    int count;
};

/* NULL: there is none. */
const struct item *database_find_item(int id);
const struct order *database_find_order(int id);

#endif
