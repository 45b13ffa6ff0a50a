/* SPDX-License-Identifier: MIT
 *
 * Goal: a tracestate is taken or left out as a whole by the rules of W3C Trace Context level 2,
 * handed on in its order, and carries the sampling threshold as ot=th: when there is one.
 * Method: the refused half first, by tables and at each limit and limit + 1; then what is passed
 * on, also when the room is too small for all of it. Texts are parsed from exact heap copies. */
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HALF (1ULL << 55) /* the threshold of rate 0.5 */

/* Parses text into a context that lives on; the copy is the caller's to free. */
static bool parse(struct tracez_context *context, const char *text, size_t text_bytes, char **copy)
{
    static const char valid[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    ck_assert(tracez_context_parse_traceparent(context, valid, sizeof(valid) - 1));
    *copy = malloc(text_bytes == 0 ? 1 : text_bytes);
    ck_assert_ptr_nonnull(*copy);
    memcpy(*copy, text, text_bytes);
    return tracez_context_parse_tracestate(context, *copy, text_bytes);
}

static void assert_left_out(const char *text, size_t text_bytes)
{
    struct tracez_context context;
    char passed_on[TRACEZ_TRACESTATE_TEXT_BYTES];
    char *copy;

    bool parsed = parse(&context, text, text_bytes, &copy);
    size_t bytes = tracez_context_format_tracestate(&context, passed_on, sizeof(passed_on));

    ck_assert_msg(!parsed, "accepted: \"%.*s\"", (int)text_bytes, text);
    ck_assert_uint_eq(context.tracestate_bytes, 0);
    ck_assert_uint_eq(bytes, 0);
    ck_assert(tracez_context_is_valid(&context)); /* never invalidates the traceparent */
    free(copy);
}

static void assert_passed_on_as(const char *text, uint64_t threshold, const char *expected)
{
    struct tracez_context context;
    char passed_on[TRACEZ_TRACESTATE_TEXT_BYTES];
    char *copy;

    bool parsed = parse(&context, text, strlen(text), &copy);
    context.threshold = threshold;
    size_t bytes = tracez_context_format_tracestate(&context, passed_on, sizeof(passed_on));

    ck_assert_msg(parsed, "refused: \"%s\"", text);
    ck_assert_str_eq(passed_on, expected);
    ck_assert_uint_eq(bytes, strlen(expected));
    free(copy);
}

START_TEST(one_malformed_member_discards_the_list)
{
    static const char *const refused[] = {
        "a",       "a=",        "=1",        "=",       "a=1,b",     "a=1,b=",     "a=1,=2",
        "A=1",     "aB=1",      "_a=1",      "@a=1",    "a b=1",     "a =1",       "a=1=2",
        "a==1",    "a=\x01",    "a=1\t2",    "a=\x7f",  "a=\x80",    "a=\xc3\xa9", "\xc3\xa9=1",
        "a=1;b,c", "a=1,b=2,C", "a=1\n,b=2", "a=1\r\n", "a.b=1,c=2", "a=1,b:c=2",
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_left_out(refused[i], strlen(refused[i]));
    }
    assert_left_out("a=1\0", 4);
    assert_left_out("a\0b=1", 5);
}
END_TEST

/* "k0=1,k1=1,…" with this many members. */
static size_t write_members(char *text, size_t text_bytes, unsigned count)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        int written = snprintf(text + bytes, text_bytes - bytes, "%sk%u=1", i == 0 ? "" : ",", i);
        bytes += (size_t)written;
    }
    return bytes;
}

START_TEST(thirty_three_members_discard_the_list_and_thirty_two_do_not)
{
    char text[512];

    size_t bytes = write_members(text, sizeof(text), 33);
    assert_left_out(text, bytes);

    write_members(text, sizeof(text), 32);
    assert_passed_on_as(text, 0, text);
}
END_TEST

START_TEST(a_key_of_257_characters_discards_the_list_and_256_do_not)
{
    char text[512];
    struct tracez_context context;
    char *copy;

    memset(text, 'k', sizeof(text));
    memcpy(text + 257, "=1", 3);
    assert_left_out(text, 259);

    memcpy(text + 256, "=1", 3);
    ck_assert(parse(&context, text, 258, &copy));
    free(copy);
}
END_TEST

START_TEST(a_value_of_257_characters_discards_the_list_and_256_do_not)
{
    char text[512];
    struct tracez_context context;
    char *copy;

    memset(text, 'v', sizeof(text));
    memcpy(text, "k=", 2);
    assert_left_out(text, 2 + 257);

    ck_assert(parse(&context, text, 2 + 256, &copy));
    free(copy);
}
END_TEST

START_TEST(a_list_that_was_refused_leaves_no_trace_of_an_earlier_one)
{
    static const char good[] = "a=1";
    static const char bad[] = "A=1";
    struct tracez_context context = {.trace_id = {1}, .span_id = {1}};

    ck_assert(tracez_context_parse_tracestate(&context, good, sizeof(good) - 1));
    ck_assert(!tracez_context_parse_tracestate(&context, bad, sizeof(bad) - 1));

    ck_assert_uint_eq(context.tracestate_bytes, 0);
}
END_TEST

START_TEST(an_empty_list_is_nothing_to_pass_on)
{
    static const char *const empty[] = {"", " ", ",", " , ,\t"};

    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct tracez_context context;
        char passed_on[TRACEZ_TRACESTATE_TEXT_BYTES] = "before";
        char *copy;

        (void)parse(&context, empty[i], strlen(empty[i]), &copy);
        size_t bytes = tracez_context_format_tracestate(&context, passed_on, sizeof(passed_on));

        ck_assert_uint_eq(bytes, 0);
        ck_assert_str_eq(passed_on, "");
        free(copy);
    }
}
END_TEST

START_TEST(a_list_is_passed_on_in_its_order)
{
    assert_passed_on_as("a=1", 0, "a=1");
    assert_passed_on_as("z=1,a=2,m=3", 0, "z=1,a=2,m=3");
    assert_passed_on_as("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", 0,
                        "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
    assert_passed_on_as("0a_-*/@z=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~", 0,
                        "0a_-*/@z=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~");
    assert_passed_on_as("fw529a3039@dt=FfAAAAA", 0, "fw529a3039@dt=FfAAAAA");
    assert_passed_on_as("a=b c", 0, "a=b c");
    assert_passed_on_as("ot=th:4;rv:0123456789abcd,a=1", 0, "ot=th:4;rv:0123456789abcd,a=1");
}
END_TEST

START_TEST(blanks_and_empty_members_between_members_are_allowed)
{
    assert_passed_on_as("a=1, b=2", 0, "a=1,b=2");
    assert_passed_on_as(" a=1\t,\tb=2 ", 0, "a=1,b=2");
    assert_passed_on_as("a=1,,b=2,", 0, "a=1,b=2");
}
END_TEST

START_TEST(a_threshold_is_published_first_without_its_trailing_zeros)
{
    assert_passed_on_as("a=1,b=2", HALF, "ot=th:8,a=1,b=2");
    assert_passed_on_as("", HALF, "ot=th:8");
    assert_passed_on_as("", 0xe6666666666666ULL, "ot=th:e6666666666666");
    assert_passed_on_as("", 1, "ot=th:00000000000001");
    assert_passed_on_as("", 0xc0ULL << 48, "ot=th:c");
}
END_TEST

START_TEST(a_threshold_replaces_the_callers_and_keeps_its_other_fields)
{
    assert_passed_on_as("ot=th:4", HALF, "ot=th:8");
    assert_passed_on_as("a=1,ot=th:4;rv:0123456789abcd,b=2", HALF,
                        "ot=th:8;rv:0123456789abcd,a=1,b=2");
    assert_passed_on_as("ot=rv:0123456789abcd", HALF, "ot=th:8;rv:0123456789abcd");
}
END_TEST

START_TEST(a_threshold_beside_thirty_two_members_keeps_the_list_legal)
{
    char text[512];
    char passed_on[TRACEZ_TRACESTATE_TEXT_BYTES];
    struct tracez_context context;
    struct tracez_context again = {.trace_id = {1}, .span_id = {1}};
    char *copy;

    size_t bytes = write_members(text, sizeof(text), 32);
    ck_assert(parse(&context, text, bytes, &copy));
    context.threshold = HALF;
    size_t passed_bytes = tracez_context_format_tracestate(&context, passed_on, sizeof(passed_on));

    ck_assert_uint_eq(passed_bytes, strlen(passed_on));
    ck_assert_int_eq(strncmp(passed_on, "ot=th:8,k0=1,", 13), 0);
    ck_assert(tracez_context_parse_tracestate(&again, passed_on, passed_bytes));
    free(copy);
}
END_TEST

/* A list of a member with a long value, then short ones; returns its length. */
static size_t write_long_list(char *text, size_t text_bytes, unsigned short_count)
{
    int head = snprintf(text, text_bytes, "first=1,long=%0200d", 0);
    size_t bytes = (size_t)head;

    for (unsigned i = 0; i < short_count; i++) {
        bytes += (size_t)snprintf(text + bytes, text_bytes - bytes, ",k%02u=%050u", i, i);
    }
    return bytes;
}

START_TEST(members_over_128_characters_go_first_when_the_room_is_small)
{
    char text[2048];
    char small[300];
    struct tracez_context context;
    char *copy;

    size_t bytes = write_long_list(text, sizeof(text), 4); /* 4 x 55 characters */
    ck_assert(parse(&context, text, bytes, &copy));
    size_t passed_bytes = tracez_context_format_tracestate(&context, small, sizeof(small));

    ck_assert_uint_eq(passed_bytes, strlen(small));
    ck_assert_int_eq(strncmp(small, "first=1,k00=", 12), 0);
    ck_assert_ptr_null(strstr(small, "long="));
    ck_assert_ptr_nonnull(strstr(small, ",k03="));
    free(copy);
}
END_TEST

START_TEST(the_last_members_go_next_and_512_characters_always_pass)
{
    char text[4096];
    char passed_on[TRACEZ_TRACESTATE_TEXT_BYTES];
    struct tracez_context context;
    char *copy;

    size_t bytes = write_long_list(text, sizeof(text), 30); /* 30 x 55 characters */
    ck_assert(parse(&context, text, bytes, &copy));
    size_t passed_bytes = tracez_context_format_tracestate(&context, passed_on, sizeof(passed_on));

    ck_assert_uint_eq(passed_bytes, strlen(passed_on));
    ck_assert_uint_ge(passed_bytes, 512);
    ck_assert_uint_lt(passed_bytes, sizeof(passed_on));
    ck_assert_int_eq(strncmp(passed_on, "first=1,k00=", 12), 0);
    ck_assert_ptr_nonnull(strstr(passed_on, ",k01="));
    ck_assert_ptr_null(strstr(passed_on, ",k29="));
    free(copy);
}
END_TEST

START_TEST(any_room_gives_whole_members_that_parse_again)
{
    char text[2048];
    struct tracez_context context;
    char *copy;
    size_t bytes = write_long_list(text, sizeof(text), 12);

    ck_assert(parse(&context, text, bytes, &copy));
    context.threshold = HALF;
    for (size_t room = 0; room <= TRACEZ_TRACESTATE_TEXT_BYTES; room++) {
        struct tracez_context again = {.trace_id = {1}, .span_id = {1}};
        char *exact = malloc(room == 0 ? 1 : room);

        ck_assert_ptr_nonnull(exact);
        size_t passed_bytes = tracez_context_format_tracestate(&context, exact, room);

        ck_assert_uint_le(passed_bytes, room == 0 ? 0 : room - 1);
        ck_assert(room == 0 || exact[passed_bytes] == '\0');
        ck_assert(tracez_context_parse_tracestate(&again, exact, passed_bytes));
        free(exact);
    }
    free(copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tracestate");
    TCase *refused = case_of(suite, "refused");
    TCase *passed_on = case_of(suite, "passed on");

    tcase_add_test(refused, one_malformed_member_discards_the_list);
    tcase_add_test(refused, thirty_three_members_discard_the_list_and_thirty_two_do_not);
    tcase_add_test(refused, a_key_of_257_characters_discards_the_list_and_256_do_not);
    tcase_add_test(refused, a_value_of_257_characters_discards_the_list_and_256_do_not);
    tcase_add_test(refused, a_list_that_was_refused_leaves_no_trace_of_an_earlier_one);
    tcase_add_test(passed_on, an_empty_list_is_nothing_to_pass_on);
    tcase_add_test(passed_on, a_list_is_passed_on_in_its_order);
    tcase_add_test(passed_on, blanks_and_empty_members_between_members_are_allowed);
    tcase_add_test(passed_on, a_threshold_is_published_first_without_its_trailing_zeros);
    tcase_add_test(passed_on, a_threshold_replaces_the_callers_and_keeps_its_other_fields);
    tcase_add_test(passed_on, a_threshold_beside_thirty_two_members_keeps_the_list_legal);
    tcase_add_test(passed_on, members_over_128_characters_go_first_when_the_room_is_small);
    tcase_add_test(passed_on, the_last_members_go_next_and_512_characters_always_pass);
    tcase_add_test(passed_on, any_room_gives_whole_members_that_parse_again);
    return run_suite(suite);
}
