/* SPDX-License-Identifier: MIT
 *
 * Goal: threads are counted up to a limit, whoever takes them at once, and each process counts its
 * own.
 * Method: the count by itself; no thread of an exporter is made here. */
#include "threads.h"

#include "spans.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAKERS 8

static void give_back(int count)
{
    for (int i = 0; i < count; i++) {
        threads_give_back();
    }
}

START_TEST(no_more_are_given_than_the_limit)
{
    ck_assert(threads_take(2));
    ck_assert(threads_take(2));
    ck_assert(!threads_take(2));
    ck_assert(threads_take(3));

    threads_give_back();
    threads_give_back();
    ck_assert(threads_take(2));
    give_back(2);
}
END_TEST

START_TEST(without_a_limit_there_are_as_many_as_one_likes_and_all_count)
{
    for (int i = 0; i < 100; i++) {
        ck_assert(threads_take(0));
    }

    ck_assert(!threads_take(100));
    ck_assert(threads_take(101));
    give_back(101);
}
END_TEST

START_TEST(a_forked_child_has_none_of_its_parents)
{
    int status;
    ck_assert(threads_take(1));

    pid_t child = fork();
    if (child == 0) {
        bool is_given = threads_take(1);
        bool is_given_again = threads_take(1);
        _exit(is_given && !is_given_again ? 0 : 1);
    }

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(!threads_take(1));
    threads_give_back();
}
END_TEST

static void *take(void *state)
{
    *(int *)state = threads_take(3) ? 1 : 0;
    return NULL;
}

START_TEST(who_takes_at_once_gets_no_more_together)
{
    pthread_t threads[TAKERS];
    int taken[TAKERS];
    int sum = 0;

    for (int i = 0; i < TAKERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take, &taken[i]), 0);
    }
    for (int i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
        sum += taken[i];
    }

    ck_assert_int_eq(sum, 3);
    give_back(3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *count = case_of(suite, "count");

    tcase_add_test(count, no_more_are_given_than_the_limit);
    tcase_add_test(count, without_a_limit_there_are_as_many_as_one_likes_and_all_count);
    tcase_add_test(count, a_forked_child_has_none_of_its_parents);
    tcase_add_test(count, who_takes_at_once_gets_no_more_together);
    return run_suite(suite);
}
