/* SPDX-License-Identifier: MIT
 *
 * What unit tests read finished spans with: copies that outlive the collector, look-up of their
 * tags by key, and the ledger's equations as an assertion. Every helper fails the running test
 * itself when something is wrong, so that tests read as arrange, act, assert. */
#ifndef TRACEZ_TESTS_SPANS_H
#define TRACEZ_TESTS_SPANS_H

#include <tracez/reader.h>
#include <tracez/tracez.h>

#include <check.h>

/* Copies of records, in the order in which they came out. Zero is an empty list. */
struct spans {
    struct tracez_record *records;
    size_t count;
    size_t capacity;
};

/* A tracer of this configuration; the test fails when it can't be had. */
struct tracez_tracer *tracer_create(const struct tracez_config *config);

/* One with the defaults, and only one shard, so that one thread sees plain first in, first out. */
struct tracez_tracer *tracer_create_default(void);

/* The tracer's first collector. */
struct tracez_collector *first_collector(struct tracez_tracer *tracer);

/* The collector's first lane; all of it, mostly. */
struct tracez_lane *lane_of(struct tracez_collector *collector);

/* Drains all that is finished. The caller frees with spans_free. */
struct spans spans_drain(struct tracez_collector *collector);
struct spans spans_drain_first(struct tracez_tracer *tracer);
void spans_free(struct spans *spans);

/* Read and drain callbacks whose state is a struct spans. */
bool spans_read(const struct tracez_record *record, void *state);
void spans_keep(const struct tracez_record *record, void *state);

/* Starts and finishes a span; its name is given. */
void span_pass(struct tracez_tracer *tracer, const char *name);
void spans_pass(struct tracez_tracer *tracer, size_t count);

/* The span's tag of this key, or false. */
bool span_find_tag(const struct tracez_record *record, const char *key, struct tracez_entry *entry);

void assert_text(struct tracez_text text, const char *expected);
void assert_tag_string(const struct tracez_record *record, const char *key, const char *expected);
void assert_tag_int(const struct tracez_record *record, const char *key, int64_t expected);
void assert_no_tag(const struct tracez_record *record, const char *key);

/* The tracer's books, after checking that they balance. */
struct tracez_stats books(const struct tracez_tracer *tracer);
struct tracez_collector_stats collector_books(const struct tracez_collector *collector);

/* Runs the suite as the program's whole purpose; returns main's status. */
int run_suite(Suite *suite);

/* A case of these tests, with a deadline that sanitizers can keep. */
TCase *case_of(Suite *suite, const char *name);

#endif
