/* SPDX-License-Identifier: MIT
 *
 * Tests of the exporter as a whole stand on this: a tracer with one collector, a scripted backend,
 * and an exporter between them that waits for nothing but batches and flushes, and tries again
 * after milliseconds. What waits here polls with a deadline and fails the running test there. */
#ifndef TRACEZ_TESTS_EXPORTING_H
#define TRACEZ_TESTS_EXPORTING_H

#include "exporter_backend.h"
#include "spans.h"

#include <tracez/exporter.h>

struct exporting {
    struct backend *backend;
    struct tracez_tracer *tracer;
    struct tracez_exporter_config config; /* to be changed before exporting_start */
    int wake_fd;
    struct tracez_exporter *exporter;
};

/* Steps that repeat in many tests. */
#define STEPS(...)                                                                                 \
    (const struct backend_step[]){__VA_ARGS__},                                                    \
        sizeof((const struct backend_step[]){__VA_ARGS__}) / sizeof(struct backend_step)

/* Makes all of it; the exporter only with exporting_start, which returns when it holds the lease.
 */
struct exporting exporting_init(const struct backend_step *steps, size_t step_count);
struct exporting exporting_init_to(struct backend *backend); /* taken */
void exporting_start(struct exporting *exporting);

/* Both at once, for tests that change nothing. */
struct exporting exporting_begin(const struct backend_step *steps, size_t step_count);

/* An exporter of this configuration; the test fails when it can't be had. */
struct tracez_exporter *exporter_create(const struct tracez_exporter_config *config,
                                        struct tracez_tracer *tracer);
void exporter_start(struct tracez_exporter *exporter);

/* Finishes this many spans and has them sent. */
void exporting_flush_spans(struct exporting *exporting, size_t count);

/* Stops the exporter, which has no reason not to, checks that the books balance with nothing left
 * and that its own figures agree with them, frees everything, and returns the last figures. */
struct exporting_end {
    struct tracez_stats books;
    struct tracez_exporter_stats stats;
    size_t accepted; /* spans in bodies that the backend took */
} exporting_end(struct exporting *exporting);

/* Stop, with the time that it took. */
enum tracez_result exporter_stop_timed(struct tracez_exporter *exporter, uint32_t timeout_ms,
                                       bool keep_rest, uint64_t *took_ms);

struct tracez_exporter_stats exporter_stats(struct tracez_exporter *exporter);

/* How many values it holds. */
uint64_t histogram_count(const struct tracez_histogram *histogram);

/* Waits until exported and dropped spans are as many. */
void wait_settled(struct tracez_tracer *tracer, uint64_t spans);
void wait_state(struct tracez_exporter *exporter, enum tracez_exporter_state state);
void wait_attempts(struct tracez_exporter *exporter, uint64_t attempts);

/* Waits until the thread, which holds the lease, has looked at everything that is there now, and
 * has sent what it wanted to. */
void wait_turn(const struct exporting *exporting);

/* Sum of all dropped[]. */
uint64_t dropped_spans(const struct tracez_stats *books);

/* Fails the test when the deadline is over, else returns after a millisecond. begin_ms: 0 at first.
 */
void poll_again(uint64_t *begin_ms, const char *what);

uint64_t monotonic_ms(void);

#endif
