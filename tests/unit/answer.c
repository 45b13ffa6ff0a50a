/* SPDX-License-Identifier: MIT
 *
 * Goal: what a backend says after a 2xx is read without trusting a byte of it: junk is told from
 * success, counts are clamped to the batch, depth is bounded.
 * Method: a table of bodies with what each must be read as, hostile ones first; random damage to a
 * good one at the end. */
#include "answer.h"

#include "spans.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_SPANS 10

static struct answer read_text(const char *body)
{
    return answer_read((struct tracez_text){body, strlen(body)}, false, BATCH_SPANS);
}

static const char *const malformed[] = {
    "<html>",
    "x",
    " ",
    "\"\"",
    "null",
    "true",
    "0",
    "[]",
    "{",
    "}",
    "{\"partialSuccess\"",
    "{\"partialSuccess\":",
    "{\"partialSuccess\":{\"rejectedSpans\":\"3\"}",
    "{} {}",
    "{}x",
    "{\"partialSuccess\":[]}",
    "{\"partialSuccess\":\"3\"}",
    "{\"partialSuccess\":3}",
    "{\"partialSuccess\":true}",
    "{\"partialSuccess\":{\"rejectedSpans\":{}}}",
    "{\"partialSuccess\":{\"rejectedSpans\":[3]}}",
    "{\"partialSuccess\":{\"rejectedSpans\":true}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"-\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"3x\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\" 3\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"0x3\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":1e999}}",
    "{\"partialSuccess\":{\"rejectedSpans\":NaN}}",
    "{\"partialSuccess\":{\"rejectedSpans\":2.5}}",
    "{\"partialSuccess\":{\"rejectedSpans\":10.5}}",
    "{\"partialSuccess\":{\"rejectedSpans\":-0.5}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"2.5\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"rejectedSpans\":\"3\"}}",
    "{\"partialSuccess\":{\"rejectedSpans\":\"3\"},\"partialSuccess\":{}}",
    "{\"a\\u0000b\":1}",
    "{\"\\ud800\":1}",
    "{\"a\":\"\xff\"}",
};

START_TEST(a_malformed_answer_is_told_and_rejects_nothing)
{
    struct answer answer = read_text(malformed[_i]);

    ck_assert_msg(answer.is_malformed, "%s", malformed[_i]);
    ck_assert_uint_eq(answer.rejected_spans, 0);
}
END_TEST

START_TEST(half_an_answer_is_malformed_whatever_it_says)
{
    static const char body[] = "{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}";

    struct answer answer =
        answer_read((struct tracez_text){body, sizeof(body) - 1}, true, BATCH_SPANS);

    ck_assert(answer.is_malformed);
    ck_assert_uint_eq(answer.rejected_spans, 0);
}
END_TEST

/* Opened this deep, closed as deep or not at all, in objects or arrays. */
static struct answer read_deep(size_t depth, const char *open, const char *close)
{
    size_t open_bytes = strlen(open);
    size_t close_bytes = strlen(close);
    size_t bytes = 5 + depth * (open_bytes + close_bytes) + 1;
    char *body = malloc(bytes);
    size_t count = 5;

    ck_assert_ptr_nonnull(body);
    memcpy(body, "{\"a\":", 5);
    for (size_t i = 0; i < depth; i++, count += open_bytes) {
        memcpy(body + count, open, open_bytes);
    }
    if (open[open_bytes - 1] == ':') {
        body[count - open_bytes] = '1';
        count += 1 - open_bytes;
    }
    for (size_t i = 0; i < depth; i++, count += close_bytes) {
        memcpy(body + count, close, close_bytes);
    }
    body[count++] = '}';
    struct answer answer = answer_read((struct tracez_text){body, count}, false, BATCH_SPANS);
    free(body);
    return answer;
}

START_TEST(ten_thousand_levels_are_malformed_before_anything_recurses)
{
    ck_assert(read_deep(10000, "[", "]").is_malformed);
    ck_assert(read_deep(10000, "[", "").is_malformed);
    ck_assert(read_deep(10000, "{\"a\":", "}").is_malformed);
    ck_assert(!read_deep(31, "[", "]").is_malformed);
    ck_assert(read_deep(32, "[", "]").is_malformed);
}
END_TEST

START_TEST(brackets_in_strings_have_no_depth)
{
    struct answer answer = read_text("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\","
                                     "\"partialSuccess\":{\"rejectedSpans\":2}}");

    ck_assert(!answer.is_malformed);
    ck_assert_uint_eq(answer.rejected_spans, 2);
}
END_TEST

static const struct good {
    const char *body;
    uint64_t rejected;
} good[] = {
    {"", 0},
    {"{}", 0},
    {" \r\n{ } ", 0},
    {"{\"unknown\":[1,{\"deep\":null}]}", 0},
    {"{\"partialSuccess\":null}", 0},
    {"{\"partialSuccess\":{}}", 0},
    {"{\"partialSuccess\":{\"errorMessage\":\"a warning\"}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":null}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"0\",\"errorMessage\":\"a warning\"}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":0}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}", 3},
    {"{\"partialSuccess\":{\"rejectedSpans\":3}}", 3},
    {"{\"partialSuccess\":{\"rejectedSpans\":3.0}}", 3},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"0000000000000000000000000003\"}}", 3},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"10\"}}", 10},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"11\"}}", 10},
    {"{\"partialSuccess\":{\"rejectedSpans\":18446744073709551617}}", 10},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"99999999999999999999999999\"}}", 10},
    {"{\"partialSuccess\":{\"rejectedSpans\":1e300}}", 10},
    {"{\"partialSuccess\":{\"rejectedSpans\":-1e300}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":-0}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":-1}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}", 0},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"-99999999999999999999999999\"}}", 0},
};

START_TEST(a_good_answer_tells_how_many_spans_were_refused_and_never_more_than_were_sent)
{
    struct answer answer = read_text(good[_i].body);

    ck_assert_msg(!answer.is_malformed, "%s", good[_i].body);
    ck_assert_uint_eq(answer.rejected_spans, good[_i].rejected);
}
END_TEST

START_TEST(a_damaged_answer_never_rejects_more_than_was_sent)
{
    static const char whole[] =
        "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"a \\\"b\\\" {c\"}}";
    char body[sizeof(whole)];

    for (size_t place = 0; place < sizeof(whole) - 1; place++) {
        for (int byte = 0; byte <= 255; byte++) {
            memcpy(body, whole, sizeof(whole));
            body[place] = (char)byte;
            const struct tracez_text text = {body, sizeof(whole) - 1};
            ck_assert_uint_le(answer_read(text, false, BATCH_SPANS).rejected_spans, BATCH_SPANS);
        }
        const struct tracez_text cut = {whole, place};
        ck_assert(answer_read(cut, false, BATCH_SPANS).is_malformed == (place > 0));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answer");
    TCase *bad = case_of(suite, "bad");
    TCase *fine = case_of(suite, "fine");

    tcase_add_loop_test(bad, a_malformed_answer_is_told_and_rejects_nothing, 0,
                        (int)(sizeof(malformed) / sizeof(malformed[0])));
    tcase_add_test(bad, half_an_answer_is_malformed_whatever_it_says);
    tcase_add_test(bad, ten_thousand_levels_are_malformed_before_anything_recurses);
    tcase_add_test(bad, brackets_in_strings_have_no_depth);
    tcase_add_loop_test(
        fine, a_good_answer_tells_how_many_spans_were_refused_and_never_more_than_were_sent, 0,
        (int)(sizeof(good) / sizeof(good[0])));
    tcase_add_test(fine, a_damaged_answer_never_rejects_more_than_was_sent);
    return run_suite(suite);
}
