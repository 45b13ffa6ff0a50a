/* SPDX-License-Identifier: MIT
 *
 * Goal: a connection finds its own place and nobody else's, until it gives it back, however many
 * there are.
 * Method: the full table first; then a long random run against a plain list; then threads whose
 * connections come and go, each place marked by its user. */
#include "table.h"

#include "spans.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* libmicrohttpd allocates connections: aligned, at a distance. */
static const struct MHD_Connection *connection(size_t number)
{
    return (const struct MHD_Connection *)(uintptr_t)(0x7f0000000000 + 0x290 * (number + 1));
}

static struct table create(uint32_t connections_max)
{
    struct table table = {0};

    ck_assert(table_init(&table, connections_max));
    return table;
}

static void count(void *place, void *state)
{
    size_t *places = state;

    ck_assert_ptr_nonnull(place);
    ++*places;
}

static size_t places_in_use(struct table *table)
{
    size_t places = 0;

    table_each(table, count, &places);
    return places;
}

START_TEST(a_full_table_has_no_place_until_one_is_given_back)
{
    struct table table = create(1);
    const size_t capacity = table.group_count * TABLE_GROUP_PLACES;
    void *places[64] = {NULL};
    ck_assert_uint_le(capacity, 64);

    for (size_t i = 0; i < capacity; i++) {
        places[i] = table_take(&table, connection(i));
        ck_assert_ptr_nonnull(places[i]);
    }
    ck_assert_ptr_null(table_take(&table, connection(capacity)));
    ck_assert_ptr_null(table_find(&table, connection(capacity)));
    for (size_t i = 0; i < capacity; i++) {
        ck_assert_ptr_eq(table_find(&table, connection(i)), places[i]);
    }
    table_give_back(&table, places[3]);

    ck_assert_ptr_null(table_find(&table, connection(3)));
    ck_assert_ptr_eq(table_take(&table, connection(capacity)), places[3]);
    ck_assert_ptr_eq(table_find(&table, connection(capacity)), places[3]);
    ck_assert_uint_eq(places_in_use(&table), capacity);
    table_deinit(&table);
}
END_TEST

START_TEST(an_empty_table_is_deinitialised_twice_without_harm)
{
    struct table table = {0};

    ck_assert_uint_eq(places_in_use(&table), 0);
    table_deinit(&table);
    table = create(1);
    table_deinit(&table);
    table_deinit(&table);
}
END_TEST

START_TEST(as_many_connections_as_announced_all_have_a_place)
{
    static const uint32_t maxima[] = {1, 2, 7, 28, 100, 1020, 4096, 10000};

    for (size_t row = 0; row < sizeof(maxima) / sizeof(maxima[0]); row++) {
        struct table table = create(maxima[row]);

        for (size_t i = 0; i < maxima[row]; i++) {
            ck_assert_msg(table_take(&table, connection(i)) != NULL, "%zu of %u", i, maxima[row]);
        }

        ck_assert_uint_eq(places_in_use(&table), maxima[row]);
        table_deinit(&table);
    }
}
END_TEST

START_TEST(every_connection_finds_its_own_place_through_a_long_random_run)
{
    enum { CONNECTIONS = 60, ROUNDS = 200000 };
    struct table table = create(16); /* 56 places: often full */
    void *places[CONNECTIONS] = {NULL};
    size_t used = 0;
    srandom(11);

    for (int round = 0; round < ROUNDS; round++) {
        size_t i = (size_t)random() % CONNECTIONS;

        ck_assert_ptr_eq(table_find(&table, connection(i)), places[i]);
        if (places[i] != NULL) {
            ck_assert_uint_eq(*(size_t *)places[i], i);
            table_give_back(&table, places[i]);
            places[i] = NULL;
            used--;
        } else if ((places[i] = table_take(&table, connection(i))) != NULL) {
            *(size_t *)places[i] = i;
            used++;
        }
    }

    ck_assert_uint_eq(places_in_use(&table), used);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (places[i] != NULL) {
            table_give_back(&table, places[i]);
        }
    }
    /* Nobody is counted as displaced any more. */
    for (size_t group = 0; group < table.group_count; group++) {
        ck_assert_uint_eq(atomic_load(&table.groups[group].displaced), 0);
    }
    table_deinit(&table);
}
END_TEST

/* ---- Threads --------------------------------------------------------------------------------- */

#define THREADS 4
#define PER_THREAD 12
#define PASSES 20000

struct user {
    pthread_t thread;
    struct table *table;
    size_t first; /* connection */
    size_t refused;
};

static void *use(void *state)
{
    struct user *user = state;

    for (size_t pass = 0; pass < PASSES; pass++) {
        size_t number = user->first + pass % PER_THREAD;
        size_t *place = table_find(user->table, connection(number));

        if (place == NULL) {
            place = table_take(user->table, connection(number));
            user->refused += place == NULL;
            if (place != NULL) {
                *place = number;
            }
        } else {
            ck_assert_uint_eq(*place, number);
            *place = 0;
            table_give_back(user->table, place);
        }
    }
    return NULL;
}

START_TEST(threads_never_meet_in_a_place)
{
    struct table table = create(16);
    struct user users[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        users[i] = (struct user){.table = &table, .first = i * PER_THREAD};
        ck_assert_int_eq(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(users[i].thread, NULL);
    }

    ck_assert_uint_le(places_in_use(&table), (size_t)THREADS * PER_THREAD);
    table_deinit(&table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd table");
    TCase *places = case_of(suite, "places");

    tcase_add_test(places, a_full_table_has_no_place_until_one_is_given_back);
    tcase_add_test(places, an_empty_table_is_deinitialised_twice_without_harm);
    tcase_add_test(places, as_many_connections_as_announced_all_have_a_place);
    tcase_add_test(places, every_connection_finds_its_own_place_through_a_long_random_run);
    tcase_add_test(places, threads_never_meet_in_a_place);
    return run_suite(suite);
}
