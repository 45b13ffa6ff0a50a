/* SPDX-License-Identifier: MIT
 *
 * Goal: trace and span ids are never zero, never given twice, evenly spread, and differ between
 * threads and between a process and its forked child.
 * Method: ids are taken through the public API, sorted and compared; spread is judged per bit. */
#include "spans.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDS_COUNT 100000
#define THREADS 4

struct id {
    uint8_t trace_id[TRACEZ_TRACE_ID_BYTES];
    uint8_t span_id[TRACEZ_SPAN_ID_BYTES];
};

static struct id make_id(struct tracez_tracer *tracer)
{
    struct tracez_context own;
    struct id id;

    tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "id", NULL, &own);
    if (!tracez_context_is_valid(&own)) { /* an assertion would write a line down for each id */
        ck_abort_msg("an id of zero");
    }
    memcpy(id.trace_id, own.trace_id, sizeof(id.trace_id));
    memcpy(id.span_id, own.span_id, sizeof(id.span_id));
    return id;
}

/* A tracer that gives ids out and records nothing. */
static struct tracez_tracer *create_never(void)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.sampler = tracez_sampler_never();
    return tracer_create(&config);
}

static int compare_trace_ids(const void *a, const void *b)
{
    return memcmp(((const struct id *)a)->trace_id, ((const struct id *)b)->trace_id,
                  TRACEZ_TRACE_ID_BYTES);
}

static int compare_span_ids(const void *a, const void *b)
{
    return memcmp(((const struct id *)a)->span_id, ((const struct id *)b)->span_id,
                  TRACEZ_SPAN_ID_BYTES);
}

static size_t count_repeated(struct id *ids, size_t count,
                             int (*compare)(const void *, const void *))
{
    size_t repeated = 0;

    qsort(ids, count, sizeof(ids[0]), compare);
    for (size_t i = 1; i < count; i++) {
        repeated += compare(&ids[i - 1], &ids[i]) == 0;
    }
    return repeated;
}

static void assert_all_different(struct id *ids, size_t count)
{
    ck_assert_uint_eq(count_repeated(ids, count, compare_trace_ids), 0);
    ck_assert_uint_eq(count_repeated(ids, count, compare_span_ids), 0);
}

START_TEST(no_id_is_given_twice)
{
    struct tracez_tracer *tracer = create_never();
    struct id *ids = calloc(IDS_COUNT, sizeof(ids[0]));

    ck_assert_ptr_nonnull(ids);
    for (size_t i = 0; i < IDS_COUNT; i++) {
        ids[i] = make_id(tracer);
    }

    assert_all_different(ids, IDS_COUNT);
    free(ids);
    tracez_tracer_destroy(tracer);
}
END_TEST

struct maker {
    pthread_t thread;
    struct tracez_tracer *tracer;
    struct id *ids; /* IDS_COUNT / THREADS of them */
};

static void *run_maker(void *state)
{
    struct maker *maker = state;

    for (size_t i = 0; i < IDS_COUNT / THREADS; i++) {
        maker->ids[i] = make_id(maker->tracer);
    }
    return NULL;
}

START_TEST(threads_never_give_out_the_same_id)
{
    struct tracez_tracer *tracer = create_never();
    struct id *ids = calloc(IDS_COUNT, sizeof(ids[0]));
    struct maker makers[THREADS];

    ck_assert_ptr_nonnull(ids);
    for (size_t i = 0; i < THREADS; i++) {
        makers[i] = (struct maker){.tracer = tracer, .ids = ids + i * (IDS_COUNT / THREADS)};
        ck_assert_int_eq(pthread_create(&makers[i].thread, NULL, run_maker, &makers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(makers[i].thread, NULL), 0);
    }

    assert_all_different(ids, IDS_COUNT);
    free(ids);
    tracez_tracer_destroy(tracer);
}
END_TEST

static void read_all(int fd, void *bytes, size_t count)
{
    size_t done = 0;

    while (done < count) {
        ssize_t got = read(fd, (char *)bytes + done, count - done);
        ck_assert_int_gt(got, 0);
        done += (size_t)got;
    }
}

/* In a child: makes one id with a tracer of its own, after the parent's generator was in use. */
static void make_in_child(int fd)
{
    struct tracez_config config;
    struct tracez_tracer *tracer = NULL;
    struct tracez_context own;
    struct id id;

    tracez_config_init(&config);
    if (tracez_tracer_create(&config, &tracer, NULL) != TRACEZ_OK) {
        _exit(1);
    }
    tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "id", NULL, &own);
    memcpy(id.trace_id, own.trace_id, sizeof(id.trace_id));
    memcpy(id.span_id, own.span_id, sizeof(id.span_id));
    _exit(write(fd, &id, sizeof(id)) == (ssize_t)sizeof(id) ? 0 : 1);
}

START_TEST(forked_children_and_their_parent_give_out_different_ids)
{
    enum { CHILDREN = 8 };
    struct tracez_tracer *tracer = create_never();
    struct id ids[CHILDREN + 1];
    int fds[2];

    make_id(tracer); /* the generator is seeded now; a child that kept its state would repeat it */
    ck_assert_int_eq(pipe(fds), 0);
    for (size_t i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            make_in_child(fds[1]);
        }
        int status = -1;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        read_all(fds[0], &ids[i], sizeof(ids[i]));
    }
    ids[CHILDREN] = make_id(tracer);

    assert_all_different(ids, CHILDREN + 1);
    close(fds[0]);
    close(fds[1]);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(every_bit_is_set_half_of_the_time)
{
    struct tracez_tracer *tracer = create_never();
    unsigned set[8 * sizeof(struct id)] = {0};

    for (size_t i = 0; i < IDS_COUNT; i++) {
        struct id id = make_id(tracer);
        for (size_t bit = 0; bit < 8 * sizeof(id); bit++) {
            set[bit] += (unsigned)((const uint8_t *)&id)[bit / 8] >> (bit % 8) & 1U;
        }
    }

    for (size_t bit = 0; bit < 8 * sizeof(struct id); bit++) {
        /* 6 sigma of IDS_COUNT coins, sigma = sqrt(100000) / 2 = 158 */
        ck_assert_uint_ge(set[bit], IDS_COUNT / 2 - 6 * 158);
        ck_assert_uint_le(set[bit], IDS_COUNT / 2 + 6 * 158);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_new_trace_sets_the_random_flag)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context own;

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "root", NULL, &own);

    ck_assert_uint_eq(own.flags, TRACEZ_FLAG_RANDOM | TRACEZ_FLAG_SAMPLED);
    tracez_span_finish(span);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(a_child_copies_the_random_flag_of_its_parent)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_context parent = {.trace_id = {1}, .span_id = {2}, .flags = TRACEZ_FLAG_SAMPLED};
    struct tracez_context own;

    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "child", &parent, &own));
    ck_assert_uint_eq(own.flags, TRACEZ_FLAG_SAMPLED);

    parent.flags |= TRACEZ_FLAG_RANDOM;
    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_SERVER, "child", &parent, &own));
    ck_assert_uint_eq(own.flags, TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ids");
    TCase *different = case_of(suite, "different");
    TCase *spread = case_of(suite, "spread and flags");

    tcase_add_test(different, no_id_is_given_twice);
    tcase_add_test(different, threads_never_give_out_the_same_id);
    tcase_add_test(different, forked_children_and_their_parent_give_out_different_ids);
    tcase_add_test(spread, every_bit_is_set_half_of_the_time);
    tcase_add_test(spread, a_new_trace_sets_the_random_flag);
    tcase_add_test(spread, a_child_copies_the_random_flag_of_its_parent);
    return run_suite(suite);
}
