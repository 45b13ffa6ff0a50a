/* SPDX-License-Identifier: MIT
 *
 * Goal: whatever bytes go in, valid JSON in valid UTF-8 comes out, and reading it back gives the
 * same text with U+FFFD in place of what was no UTF-8; numbers survive in every locale; a writer
 * that is full stays whole.
 * Method: bounds first; then hostile bytes against two oracles, jansson, which refuses invalid
 * JSON and UTF-8, and the decoder of hostile.h. */
#include "json.h"

#include "hostile.h"
#include "spans.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define BYTES_MAX (1024 * 1024)
#define ROUNDS 5000
#define HOSTILE_BYTES_MAX 200

static struct json_writer start(size_t bytes_max)
{
    struct json_writer writer;

    json_writer_init(&writer, bytes_max);
    return writer;
}

static json_t *read_back(const struct json_writer *writer)
{
    json_error_t error;

    json_t *value =
        json_loadb(writer->text, writer->bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (writer->failure != JSON_FAILURE_NONE || value == NULL) {
        ck_abort_msg("%.*s: %s", (int)writer->bytes, writer->text, error.text);
    }
    return value;
}

static void assert_written(struct json_writer *writer, const char *expected)
{
    ck_assert_int_eq(writer->failure, JSON_FAILURE_NONE);
    assert_text((struct tracez_text){writer->text, writer->bytes}, expected);
    json_writer_deinit(writer);
}

/* ---- Bounds -------------------------------------------------------------------------------- */

START_TEST(what_would_pass_the_bound_is_not_written_and_neither_is_what_follows)
{
    struct json_writer writer = start(10);

    JSON_WRITE(&writer, "1234567890");
    ck_assert_int_eq(writer.failure, JSON_FAILURE_NONE);
    JSON_WRITE(&writer, "!");
    json_write_unsigned(&writer, 1);

    ck_assert_int_eq(writer.failure, JSON_FAILURE_BOUND);
    ck_assert_uint_eq(writer.bytes, 10);
    json_writer_deinit(&writer);
}
END_TEST

START_TEST(a_piece_that_did_not_fit_can_be_taken_back)
{
    struct json_writer writer = start(10);
    JSON_WRITE(&writer, "[1");

    json_write_string(&writer, (struct tracez_text){"too long for it", 15});
    enum json_failure failure = writer.failure;
    json_writer_cut(&writer, 2);
    JSON_WRITE(&writer, "]");

    ck_assert_int_eq(failure, JSON_FAILURE_BOUND);
    assert_written(&writer, "[1]");
}
END_TEST

START_TEST(nothing_is_a_good_string_too)
{
    struct json_writer writer = start(BYTES_MAX);

    json_write_string(&writer, (struct tracez_text){NULL, 0});

    assert_written(&writer, "\"\"");
}
END_TEST

/* ---- Hostile bytes ------------------------------------------------------------------------- */

static void check_bytes(const unsigned char *text, size_t bytes)
{
    struct json_writer writer = start(BYTES_MAX);
    char expected[3 * HOSTILE_BYTES_MAX];

    json_write_string(&writer, (struct tracez_text){(const char *)text, bytes});

    json_t *value = read_back(&writer);
    size_t expected_bytes = hostile_cure(text, bytes, expected);
    /* Not ck_assert: Check writes each of those down, and these are many. */
    if (json_string_length(value) != expected_bytes ||
        memcmp(json_string_value(value), expected, expected_bytes) != 0) {
        ck_abort_msg("%.*s, expected %.*s", (int)writer.bytes, writer.text, (int)expected_bytes,
                     expected);
    }
    json_decref(value);
    json_writer_deinit(&writer);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

START_TEST(random_hostile_bytes_become_valid_json_that_reads_back)
{
    unsigned char text[HOSTILE_BYTES_MAX];
    uint64_t random = 88172645463325252U + (uint64_t)_i;

    for (int round = 0; round < ROUNDS; round++) {
        size_t bytes = next_random(&random) % HOSTILE_BYTES_MAX;
        for (size_t i = 0; i < bytes; i++) {
            text[i] = hostile_byte(next_random(&random));
        }
        check_bytes(text, bytes);
    }
}
END_TEST

START_TEST(every_pair_of_bytes_becomes_valid_json_that_reads_back)
{
    for (unsigned first = 0; first <= 255; first++) {
        for (unsigned second = 0; second <= 255; second++) {
            const unsigned char text[2] = {(unsigned char)first, (unsigned char)second};
            check_bytes(text, 2);
        }
    }
}
END_TEST

START_TEST(every_byte_is_seen_at_every_place_of_a_long_run)
{
    unsigned char text[40];

    for (unsigned byte = 0; byte <= 255; byte++) {
        for (size_t place = 0; place < sizeof(text); place++) {
            memset(text, 'x', sizeof(text));
            text[place] = (unsigned char)byte;
            check_bytes(text, sizeof(text));
            check_bytes(text, place + 1); /* at the very end */
        }
    }
}
END_TEST

START_TEST(text_is_escaped_no_more_than_it_must_be)
{
    static const char text[] = "a\"b\\c/d<e>&\n\r\t\b\x1f\x7f\xc3\xa4\xf0\x9f\x98\x80";
    struct json_writer writer = start(BYTES_MAX);

    json_write_string(&writer, (struct tracez_text){text, sizeof(text)}); /* with its NUL */

    assert_written(&writer, "\"a\\\"b\\\\c/d<e>&\\n\\r\\t\\u0008\\u001f\x7f"
                            "\xc3\xa4\xf0\x9f\x98\x80\\u0000\"");
}
END_TEST

/* ---- Numbers ------------------------------------------------------------------------------- */

START_TEST(integers_are_written_in_full)
{
    struct json_writer writer = start(BYTES_MAX);

    json_write_unsigned(&writer, 0);
    JSON_WRITE(&writer, " ");
    json_write_unsigned(&writer, 9);
    JSON_WRITE(&writer, " ");
    json_write_unsigned(&writer, 10);
    JSON_WRITE(&writer, " ");
    json_write_unsigned(&writer, 100);
    JSON_WRITE(&writer, " ");
    json_write_unsigned(&writer, UINT64_MAX);
    JSON_WRITE(&writer, " ");
    json_write_signed(&writer, INT64_MIN);
    JSON_WRITE(&writer, " ");
    json_write_signed(&writer, INT64_MAX);
    JSON_WRITE(&writer, " ");
    json_write_signed(&writer, -1);

    assert_written(&writer, "0 9 10 100 18446744073709551615 -9223372036854775808 "
                            "9223372036854775807 -1");
}
END_TEST

START_TEST(every_length_of_integer_reads_back)
{
    char expected[32];

    for (uint64_t value = 1; value < UINT64_MAX / 7; value = value * 7 + 3) {
        struct json_writer writer = start(BYTES_MAX);
        json_write_unsigned(&writer, value);
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        assert_written(&writer, expected);
    }
}
END_TEST

START_TEST(ids_are_written_in_lower_case_hex)
{
    static const uint8_t id[] = {0x00, 0x01, 0xab, 0xcd, 0xef, 0x99, 0xf0, 0x0f};
    struct json_writer writer = start(BYTES_MAX);

    json_write_hex(&writer, id, sizeof(id));

    assert_written(&writer, "\"0001abcdef99f00f\"");
}
END_TEST

static void assert_double(double value, const char *expected)
{
    struct json_writer writer = start(BYTES_MAX);

    json_write_double(&writer, value);

    assert_written(&writer, expected);
}

START_TEST(infinities_and_nan_are_the_strings_of_protobufs_json)
{
    assert_double(NAN, "\"NaN\"");
    assert_double(-NAN, "\"NaN\"");
    assert_double(INFINITY, "\"Infinity\"");
    assert_double(-INFINITY, "\"-Infinity\"");
}
END_TEST

/* A locale is its decimal point here, as json.c sees it: what it prints and reads goes through
 * these
 * (--wrap). Real locales are not on every machine. */
static const char *const points[] = {".", ",", "\xd9\xab"};
static const char *point = ".";

double __real_strtod(const char *text, char **end);
double __wrap_strtod(const char *text, char **end);
int __wrap_snprintf(char *text, size_t text_bytes, const char *format, ...) TRACEZ_PRINTF(3, 4);

static void replace(char *text, size_t text_bytes, const char *from, const char *to)
{
    char *at = strstr(text, from);
    size_t tail_bytes = at != NULL ? strlen(at + strlen(from)) + 1 : 0;

    if (at != NULL) {
        ck_assert_uint_le((size_t)(at - text) + strlen(to) + tail_bytes, text_bytes);
        memmove(at + strlen(to), at + strlen(from), tail_bytes);
        memcpy(at, to, strlen(to));
    }
}

int __wrap_snprintf(char *text, size_t text_bytes, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, text_bytes, format, arguments);
    va_end(arguments);
    replace(text, text_bytes, ".", point);
    return (int)strlen(text);
}

double __wrap_strtod(const char *text, char **end)
{
    char dotted[64] = "";

    strncpy(dotted, text, sizeof(dotted) - 1);
    replace(dotted, sizeof(dotted), point, ".");
    return __real_strtod(dotted, end);
}

START_TEST(doubles_are_short_and_have_a_dot_in_every_locale)
{
    point = points[_i];
    assert_double(0.1, "0.1");
    assert_double(-2.5, "-2.5");
    assert_double(0, "0");
    assert_double(-0.0, "-0");
    assert_double(1e22, "1e+22");
    assert_double(0.30000000000000004, "0.30000000000000004");
    assert_double(123456.789, "123456.789");
}
END_TEST

START_TEST(random_doubles_read_back_as_the_same_number_in_every_locale)
{
    const double edges[] = {DBL_MIN, DBL_MAX, -DBL_MAX, DBL_TRUE_MIN, DBL_EPSILON,
                            0.3,     1e15,    1e16,     1e17,         5e-324};
    uint64_t random = 362436069362436069U;
    point = points[_i];

    for (int round = 0; round < ROUNDS; round++) {
        struct json_writer writer = start(BYTES_MAX);
        uint64_t bits = next_random(&random);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (round < (int)(sizeof(edges) / sizeof(edges[0]))) {
            value = edges[round];
        }
        if (!isfinite(value)) {
            continue;
        }

        json_write_double(&writer, value);

        json_t *read = read_back(&writer);
        if (json_number_value(read) != value) {
            ck_abort_msg("%.*s, expected %a", (int)writer.bytes, writer.text, value);
        }
        json_decref(read);
        json_writer_deinit(&writer);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *bounds = case_of(suite, "bounds");
    TCase *hostile = case_of(suite, "hostile");
    TCase *numbers = case_of(suite, "numbers");
    const int point_count = sizeof(points) / sizeof(points[0]);

    tcase_add_test(bounds, what_would_pass_the_bound_is_not_written_and_neither_is_what_follows);
    tcase_add_test(bounds, a_piece_that_did_not_fit_can_be_taken_back);
    tcase_add_test(bounds, nothing_is_a_good_string_too);
    tcase_add_loop_test(hostile, random_hostile_bytes_become_valid_json_that_reads_back, 0, 3);
    tcase_add_test(hostile, every_pair_of_bytes_becomes_valid_json_that_reads_back);
    tcase_add_test(hostile, every_byte_is_seen_at_every_place_of_a_long_run);
    tcase_add_test(hostile, text_is_escaped_no_more_than_it_must_be);
    tcase_add_test(numbers, integers_are_written_in_full);
    tcase_add_test(numbers, every_length_of_integer_reads_back);
    tcase_add_test(numbers, ids_are_written_in_lower_case_hex);
    tcase_add_test(numbers, infinities_and_nan_are_the_strings_of_protobufs_json);
    tcase_add_loop_test(numbers, doubles_are_short_and_have_a_dot_in_every_locale, 0, point_count);
    tcase_add_loop_test(numbers, random_doubles_read_back_as_the_same_number_in_every_locale, 0,
                        point_count);
    return run_suite(suite);
}
