/* SPDX-License-Identifier: MIT
 *
 * Goal: whatever an accepting backend says of a batch, the books know to the span what it took and
 * what it refused; none is ever sent again; and what makes no sense is counted as that.
 * Method: a batch of ten for each answer, and another one after it, since life goes on. */
#include "exporting.h"

#include <stdlib.h>
#include <string.h>

#define SPANS 10

static struct exporting_end pass_two_batches(const struct backend_step *step)
{
    struct exporting exporting = exporting_init(step, 1);
    exporting.config.connections = 1;
    exporting_start(&exporting);

    spans_pass(exporting.tracer, SPANS);
    wait_settled(exporting.tracer, SPANS);
    spans_pass(exporting.tracer, SPANS);
    wait_settled(exporting.tracer, 2 * SPANS);
    ck_assert_uint_eq(backend_request_count(exporting.backend), 2);

    return exporting_end(&exporting);
}

/* ---- Partial success ----------------------------------------------------------------------- */

#define REJECTED(count) "{\"partialSuccess\":{\"rejectedSpans\":" count "}}"

static const struct partial {
    const char *body;
    uint64_t rejected;
    uint64_t malformed;
} partials[] = {
    {REJECTED("\"3\""), 3, 0},
    {REJECTED("3"), 3, 0},
    {REJECTED("\"10\""), 10, 0},
    {REJECTED("\"99999999999999999999\""), 10, 0}, /* never more than there were */
    {REJECTED("11"), 10, 0},
    {REJECTED("\"0\",\"errorMessage\":\"only a warning\""), 0, 0},
    {REJECTED("\"-3\""), 0, 0},
    {REJECTED("-3"), 0, 0},
    {REJECTED("null"), 0, 0},
    {"{\"partialSuccess\":{\"errorMessage\":\"no number\"}}", 0, 0},
    {"{\"partialSuccess\":null}", 0, 0},
    {REJECTED("2.5"), 0, 1},
    {REJECTED("\"2.5\""), 0, 1},
    {REJECTED("\"three\""), 0, 1},
    {REJECTED("[3]"), 0, 1},
    {REJECTED("\"1\",\"rejectedSpans\":\"3\""), 0, 1},
};

START_TEST(a_partial_success_splits_the_batch_and_is_never_tried_again)
{
    const struct partial *partial = &partials[_i];

    struct exporting_end end = pass_two_batches(&(struct backend_step){.body = partial->body});

    ck_assert_uint_eq(end.books.dropped[TRACEZ_DROP_PARTIAL_REJECTED], partial->rejected);
    ck_assert_uint_eq(end.books.exported, 2 * SPANS - partial->rejected);
    ck_assert_uint_eq(dropped_spans(&end.books), partial->rejected);
    ck_assert_uint_eq(end.stats.attempts, 2);
    ck_assert_uint_eq(end.stats.failed_attempts, 0);
    ck_assert_uint_eq(end.stats.malformed_responses, partial->malformed);
}
END_TEST

/* ---- Junk ---------------------------------------------------------------------------------- */

static const struct junk {
    int status;
    const char *body;
    uint64_t malformed;
} junk[] = {
    {202, "", 0},
    {201, "<html>ok</html>", 1},
    {200, "ok", 1},
    {200, "[]", 1},
    {200, "null", 1},
    {200, "{\"partialSuccess\":{\"rejectedSpans\":\"3\"", 1}, /* cut off, and yet a whole body */
    {200, "{\"partialSuccess\":\"3\"}", 1},
    {200, "{\"a\":1,\"a\":2}", 1},
    {200, "{\"a\":\"\xc3\x28\"}", 1},
    {200, "{\"a\":\"\\u0000\"}", 1},
    {299, "\n\x17\n\x15", 1}, /* protobuf */
};

START_TEST(a_junk_answer_is_counted_and_the_batch_counts_as_taken)
{
    struct exporting_end end =
        pass_two_batches(&(struct backend_step){.status = junk[_i].status, .body = junk[_i].body});

    ck_assert_uint_eq(end.books.exported, 2 * SPANS);
    ck_assert_uint_eq(end.stats.batches, 2);
    ck_assert_uint_eq(end.stats.malformed_responses, junk[_i].malformed);
}
END_TEST

START_TEST(an_answer_that_is_ten_thousand_levels_deep_is_junk_to_us)
{
    enum { LEVELS = 10000 };
    char *body = malloc(2 * LEVELS + 1);
    ck_assert_ptr_nonnull(body);
    memset(body, '[', LEVELS);
    memset(body + LEVELS, ']', LEVELS);
    body[2 * LEVELS] = '\0';

    struct exporting_end end = pass_two_batches(&(struct backend_step){.body = body});

    ck_assert_uint_eq(end.books.exported, 2 * SPANS);
    ck_assert_uint_eq(end.stats.malformed_responses, 1);
    free(body);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exporter_answers");
    TCase *partial = case_of(suite, "partial success");
    TCase *of_junk = case_of(suite, "junk");

    tcase_add_loop_test(partial, a_partial_success_splits_the_batch_and_is_never_tried_again, 0,
                        (int)(sizeof(partials) / sizeof(partials[0])));
    tcase_add_loop_test(of_junk, a_junk_answer_is_counted_and_the_batch_counts_as_taken, 0,
                        (int)(sizeof(junk) / sizeof(junk[0])));
    tcase_add_test(of_junk, an_answer_that_is_ten_thousand_levels_deep_is_junk_to_us);
    return run_suite(suite);
}
