/* SPDX-License-Identifier: MIT
 *
 * Goal: a header of the configuration can't become two, can't replace what only the exporter
 * knows, and never shows its value in a message.
 * Method: refusals with their sentences; then what libcurl is given. */
#include "header.h"

#include "spans.h"

#include <stdlib.h>
#include <string.h>

#define SECRET "hunter2"

static enum tracez_result check(const char *name, const char *value, struct tracez_error *error)
{
    const struct tracez_header header = {name, value};

    return headers_check(&header, 1, error);
}

/* ---- Refused ------------------------------------------------------------------------------- */

#define NAME_RULE " rejected: 1 to 256 letters, digits or !#$%&'*+-.^_`|~"
#define VALUE_RULE " rejected: it has a line break or another control character"

static const struct refused {
    const char *name;
    const char *value;
    const char *sentence;
} refused[] = {
    {NULL, SECRET, "header rejected: name and value are needed"},
    {"X-Name", NULL, "header rejected: name and value are needed"},
    {"", SECRET, "header name \"\"" NAME_RULE},
    {"X Name", SECRET, "header name \"X...\"" NAME_RULE},
    {"X-Name:", SECRET, "header name \"X-Name...\"" NAME_RULE},
    {"Authorization: Bearer " SECRET, "", "header name \"Authorization...\"" NAME_RULE},
    {"X\r\nY", SECRET, "header name \"X...\"" NAME_RULE},
    {"\xc3\xa4", SECRET, "header name \"...\"" NAME_RULE},
    {"X-Name", SECRET "\r\nX-Other: 1", "value of header \"X-Name\"" VALUE_RULE},
    {"X-Name", SECRET "\n", "value of header \"X-Name\"" VALUE_RULE},
    {"X-Name", "\x7f" SECRET, "value of header \"X-Name\"" VALUE_RULE},
    {"X-Name", SECRET "\1", "value of header \"X-Name\"" VALUE_RULE},
    {"Content-Type", SECRET, "header \"Content-Type\" rejected: tracez sets it itself"},
    {"content-length", SECRET, "header \"content-length\" rejected: tracez sets it itself"},
    {"HOST", SECRET, "header \"HOST\" rejected: tracez sets it itself"},
    {"Transfer-Encoding", SECRET, "header \"Transfer-Encoding\" rejected: tracez sets it itself"},
    {"Expect", SECRET, "header \"Expect\" rejected: tracez sets it itself"},
    {"Connection", SECRET, "header \"Connection\" rejected: tracez sets it itself"},
};

START_TEST(a_header_that_can_not_be_is_refused_without_its_value)
{
    struct tracez_error error = {0};

    ck_assert_int_eq(check(refused[_i].name, refused[_i].value, &error), TRACEZ_INVALID);

    ck_assert_str_eq(error.text, refused[_i].sentence);
    ck_assert_ptr_null(strstr(error.text, SECRET));
}
END_TEST

/* As many bytes of one letter; freed by the caller. */
static char *repeat(char letter, size_t bytes)
{
    char *text = calloc(1, bytes + 1);

    ck_assert_ptr_nonnull(text);
    memset(text, letter, bytes);
    return text;
}

START_TEST(names_end_at_256_bytes_and_values_at_8192)
{
    char *name = repeat('n', HEADER_NAME_BYTES_MAX + 1);
    char *value = repeat('v', HEADER_VALUE_BYTES_MAX + 1);
    struct tracez_error name_error = {0};
    struct tracez_error value_error = {0};

    enum tracez_result long_name = check(name, "", &name_error);
    enum tracez_result long_value = check("X", value, &value_error);
    name[HEADER_NAME_BYTES_MAX] = '\0';
    value[HEADER_VALUE_BYTES_MAX] = '\0';
    enum tracez_result longest = check(name, value, NULL);

    ck_assert_int_eq(long_name, TRACEZ_INVALID);
    ck_assert_ptr_nonnull(strstr(name_error.text, "nnn...\" rejected: 1 to 256"));
    ck_assert_int_eq(long_value, TRACEZ_INVALID);
    ck_assert_str_eq(value_error.text, "value of header \"X\" rejected: over 8192 bytes");
    ck_assert_int_eq(longest, TRACEZ_OK);
    free(name);
    free(value);
}
END_TEST

START_TEST(the_33rd_header_is_refused_and_so_are_headers_that_are_nowhere)
{
    struct tracez_header headers[HEADERS_MAX + 1];
    struct tracez_error error = {0};
    for (size_t i = 0; i < HEADERS_MAX + 1; i++) {
        headers[i] = (struct tracez_header){"X", "1"};
    }

    ck_assert_int_eq(headers_check(headers, HEADERS_MAX + 1, &error), TRACEZ_INVALID);
    ck_assert_str_eq(error.text, "33 headers rejected: up to 32");
    ck_assert_int_eq(headers_check(NULL, 1, &error), TRACEZ_INVALID);
    ck_assert_int_eq(headers_check(headers, HEADERS_MAX, &error), TRACEZ_OK);
    ck_assert_int_eq(headers_check(NULL, 0, &error), TRACEZ_OK);
}
END_TEST

START_TEST(one_bad_header_among_good_ones_is_found)
{
    const struct tracez_header headers[] = {{"A", "1"}, {"B", "\n"}, {"C", "3"}};
    struct tracez_error error = {0};

    ck_assert_int_eq(headers_check(headers, 3, &error), TRACEZ_INVALID);

    ck_assert_str_eq(error.text, "value of header \"B\"" VALUE_RULE);
}
END_TEST

/* ---- Taken --------------------------------------------------------------------------------- */

static const struct taken {
    struct tracez_header header;
    const char *line;
} taken[] = {
    {{"Authorization", "Bearer a.b.c=="}, "Authorization: Bearer a.b.c=="},
    {{"User-Agent", "shop"}, "User-Agent: shop"},
    {{"X-Tab", "a\tb"}, "X-Tab: a\tb"},
    {{"X-High", "\xc3\xa4"}, "X-High: \xc3\xa4"},
    {{"!#$%&'*+-.^_`|~09azAZ", "1"}, "!#$%&'*+-.^_`|~09azAZ: 1"},
    {{"X-Empty", ""}, "X-Empty;"}, /* libcurl's way to say "X-Empty:" */
    {{"X-Blank", " \t"}, "X-Blank;"},
};

START_TEST(a_good_header_is_given_to_libcurl_as_it_wants_it)
{
    char line[HEADER_LINE_BYTES_MAX];

    ck_assert_int_eq(headers_check(&taken[_i].header, 1, NULL), TRACEZ_OK);
    header_format(&taken[_i].header, line);

    ck_assert_str_eq(line, taken[_i].line);
}
END_TEST

START_TEST(the_longest_header_fits_its_line)
{
    char *name = repeat('n', HEADER_NAME_BYTES_MAX);
    char *value = repeat('v', HEADER_VALUE_BYTES_MAX);
    const struct tracez_header header = {name, value};
    char line[HEADER_LINE_BYTES_MAX];

    header_format(&header, line);

    ck_assert_uint_eq(strlen(line), HEADER_NAME_BYTES_MAX + 2 + HEADER_VALUE_BYTES_MAX);
    free(name);
    free(value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("header");
    TCase *no = case_of(suite, "refused");
    TCase *yes = case_of(suite, "taken");

    tcase_add_loop_test(no, a_header_that_can_not_be_is_refused_without_its_value, 0,
                        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(no, names_end_at_256_bytes_and_values_at_8192);
    tcase_add_test(no, the_33rd_header_is_refused_and_so_are_headers_that_are_nowhere);
    tcase_add_test(no, one_bad_header_among_good_ones_is_found);
    tcase_add_loop_test(yes, a_good_header_is_given_to_libcurl_as_it_wants_it, 0,
                        (int)(sizeof(taken) / sizeof(taken[0])));
    tcase_add_test(yes, the_longest_header_fits_its_line);
    return run_suite(suite);
}
