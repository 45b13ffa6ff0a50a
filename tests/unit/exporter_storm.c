/* SPDX-License-Identifier: MIT
 *
 * Goal: whatever a backend does with one request after the other, in whatever order, over several
 * connections at once: each batch is sent until it has an end, and never again; and the books say
 * of each span what became of it.
 * Method: scripts by chance, from a seed that a failure names. What the backend saw and did is
 * added up here by the rules of docs/exporter.md, and compared with the books. */
#include "exporting.h"

#include <stdlib.h>
#include <string.h>

#define STORMS 12
#define MOVES 80 /* afterwards everything is taken */
#define BATCHES 40
#define SPANS_PER_BATCH 10

enum end { NO_END, TAKEN, REFUSED };

/* What the backend may do, and what that is to the batch. */
static const struct move {
    struct backend_step step;
    enum end end;
    uint64_t rejected; /* of a batch that is taken */
} moves[] = {
    {{.status = 200}, TAKEN, 0},
    {{.status = 202, .body = ""}, TAKEN, 0},
    {{.status = 200, .body = "junk"}, TAKEN, 0},
    {{.body = "{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}"}, TAKEN, 3},
    {{.body = "{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}"}, TAKEN, SPANS_PER_BATCH},
    {{.status = 200, .headers = "Connection: close\r\n"}, TAKEN, 0},
    {{.status = 400}, REFUSED, 0},
    {{.status = 500, .headers = "Connection: close\r\n"}, REFUSED, 0},
    {{.action = BACKEND_CUT, .status = 413}, REFUSED, 0},
    {{.action = BACKEND_RAW, .body = "220 smtp.example ESMTP\r\n"}, REFUSED, 0},
    {{.status = 429}, NO_END, 0},
    {{.status = 502}, NO_END, 0},
    {{.status = 503, .headers = "Connection: close\r\n"}, NO_END, 0},
    {{.status = 504, .headers = "Retry-After: nonsense\r\n"}, NO_END, 0},
    {{.action = BACKEND_CLOSE}, NO_END, 0},
    {{.action = BACKEND_RESET}, NO_END, 0},
    {{.action = BACKEND_CUT}, NO_END, 0},
    {{.action = BACKEND_RESET_LATE}, NO_END, 0},
    {{.action = BACKEND_RAW, .body = "HTTP/1.1 200 OK\r\nContent-Le"}, NO_END, 0},
};

static const struct move taken = {{.status = 200}, TAKEN, 0};

/* ---- The oracle ---------------------------------------------------------------------------- */

struct storm {
    const struct move *moves[MOVES];
    struct backend *backend;
};

static const struct move *move_of(const struct storm *storm, size_t request)
{
    return request < MOVES ? storm->moves[request] : &taken;
}

/* The last request before this one with the same body; -1: none. */
static long same_before(const struct storm *storm, size_t request)
{
    const char *body = backend_body(storm->backend, request);
    long before = (long)request - 1;

    while (before >= 0 && strcmp(backend_body(storm->backend, (size_t)before), body) != 0) {
        before--;
    }
    return before;
}

static struct tracez_stats expected_books(const struct storm *storm)
{
    struct tracez_stats expected = {0};
    size_t requests = backend_request_count(storm->backend);

    for (size_t i = 0; i < requests; i++) {
        const struct move *move = move_of(storm, i);
        uint64_t spans = backend_body_spans(storm->backend, i);
        long before = same_before(storm, i);

        ck_assert_msg(before < 0 || move_of(storm, (size_t)before)->end == NO_END,
                      "request %zu sends again what request %ld had ended", i, before);
        expected.exported += move->end == TAKEN ? spans - move->rejected : 0;
        expected.dropped[TRACEZ_DROP_PARTIAL_REJECTED] += move->rejected;
        expected.dropped[TRACEZ_DROP_REJECTED] += move->end == REFUSED ? spans : 0;
    }
    return expected;
}

/* ---- Storms -------------------------------------------------------------------------------- */

START_TEST(whatever_a_backend_does_each_batch_ends_once_and_the_books_say_how)
{
    struct backend_step steps[MOVES];
    struct storm storm;
    unsigned seed = (unsigned)_i + 1;
    for (size_t i = 0; i < MOVES; i++) {
        storm.moves[i] = &moves[(size_t)rand_r(&seed) % (sizeof(moves) / sizeof(moves[0]))];
        steps[i] = storm.moves[i]->step;
    }
    struct exporting exporting = exporting_init(steps, MOVES);
    exporting.config.connections = 1 + (uint32_t)_i % 4;
    exporting.config.batch_size = SPANS_PER_BATCH;
    exporting_start(&exporting);
    storm.backend = exporting.backend;

    spans_pass(exporting.tracer, BATCHES * SPANS_PER_BATCH);
    wait_settled(exporting.tracer, BATCHES * SPANS_PER_BATCH);

    struct tracez_stats expected = expected_books(&storm);
    struct tracez_stats found = books(exporting.tracer);
    ck_assert_uint_eq(found.exported, expected.exported);
    ck_assert_mem_eq(found.dropped, expected.dropped, sizeof(found.dropped));
    ck_assert_uint_eq(exporter_stats(exporting.exporter).batches +
                          found.dropped[TRACEZ_DROP_REJECTED] / SPANS_PER_BATCH,
                      BATCHES);
    ck_assert_uint_le(backend_unanswered_max(exporting.backend), exporting.config.connections);
    exporting_end(&exporting);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_storm");
    TCase *storms = case_of(suite, "storms");

    tcase_add_loop_test(storms, whatever_a_backend_does_each_batch_ends_once_and_the_books_say_how,
                        0, STORMS);
    return run_suite(suite);
}
