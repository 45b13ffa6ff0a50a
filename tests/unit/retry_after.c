/* SPDX-License-Identifier: MIT
 *
 * Goal: Retry-After in every form that HTTP allows is understood, and nothing else is; no number of
 * seconds and no date is too big to be taken for a long time.
 * Method: tables, at a moment that is given; then every byte at every place of a good value. */
#include "retry_after.h"

#include "spans.h"

#include <string.h>

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT, RFC 9110's own example */

static int64_t read_text(const char *text)
{
    return retry_after_read((struct tracez_text){text, strlen(text)}, NOW);
}

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

/* ---- Values -------------------------------------------------------------------------------- */

static const char *const junk[] = {
    "",      " ",       "\r\n",  "-",        "-1",
    "+5",    "1.5",     "5s",    "2 beers",  "1e3",
    "0x10",  "1,2",     "soon",  "tomorrow", "\xff\xfe",
    "5 5",   "Sun",     "08:49", "P1D",      "Sun, 99 Foo 1994 08:49:37 GMT",
    "\"5\"", "Sunday,", "NaN",   "null",     "Sun, 06 Nov 1994 99:99:99 GMT",
};

START_TEST(what_is_neither_a_number_nor_a_date_asks_for_nothing)
{
    ck_assert_msg(read_text(junk[_i]) == RETRY_AFTER_NONE, "%s: %lld", junk[_i],
                  (long long)read_text(junk[_i]));
}
END_TEST

static const struct value {
    const char *text;
    int64_t seconds;
} values[] = {
    {"0", 0},
    {"00", 0},
    {"1", 1},
    {" 120\t\r\n", 120},
    {"0000000000000000000000000000000007", 7},
    {"9223372036854775806", INT64_MAX - 1},
    {"9223372036854775807", INT64_MAX},
    {"9223372036854775808", INT64_MAX},
    {"99999999999999999999999999999999999999999999999999", INT64_MAX},
    {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
    {"Sunday, 06-Nov-94 08:49:47 GMT", 10},
    {"Sun Nov  6 08:49:47 1994", 10},
    {"  Sun, 06 Nov 1994 08:50:37 GMT\r\n", 60},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
    {"Sun, 06 Nov 1994 08:49:36 GMT", 0},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 252618189022},
};

START_TEST(seconds_and_dates_in_all_three_forms_ask_for_a_wait)
{
    ck_assert_msg(read_text(values[_i].text) == values[_i].seconds, "%s: %lld", values[_i].text,
                  (long long)read_text(values[_i].text));
}
END_TEST

START_TEST(a_value_with_a_nul_or_without_end_asks_for_nothing)
{
    static const char nul[] = "Sun, 06 Nov 1994 08:49:47 GMT\0 and more";
    char long_date[8192];
    memset(long_date, ' ', sizeof(long_date));
    memcpy(long_date, "Sun, 06 Nov 1994", 16);
    memcpy(long_date + sizeof(long_date) - 12, "08:49:47 GMT", 12);

    ck_assert_int_eq(retry_after_read((struct tracez_text){nul, sizeof(nul) - 1}, NOW),
                     RETRY_AFTER_NONE);
    ck_assert_int_eq(retry_after_read((struct tracez_text){long_date, sizeof(long_date)}, NOW),
                     RETRY_AFTER_NONE);
}
END_TEST

START_TEST(a_damaged_value_asks_for_nothing_or_for_some_time)
{
    static const char *const whole[] = {"120", "Sun, 06 Nov 1994 08:49:47 GMT",
                                        "Sunday, 06-Nov-94 08:49:47 GMT",
                                        "Sun Nov  6 08:49:47 1994"};

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        size_t bytes = strlen(whole[i]);
        for (size_t place = 0; place < bytes; place++) {
            for (int byte = 0; byte <= 255; byte++) {
                char text[64];
                memcpy(text, whole[i], bytes);
                text[place] = (char)byte;
                ck_assert_int_ge(retry_after_read((struct tracez_text){text, bytes}, NOW),
                                 RETRY_AFTER_NONE);
            }
        }
    }
}
END_TEST

/* ---- Lines --------------------------------------------------------------------------------- */

START_TEST(the_header_is_found_whatever_its_case_and_no_other_is)
{
    static const char *const others[] = {"",
                                         "R",
                                         "Retry-After",
                                         "Retry-After 5",
                                         "X-Retry-After: 5",
                                         "Retry-Afters: 5",
                                         " Retry-After: 5",
                                         "HTTP/1.1 503 No\r\n"};
    struct tracez_text value;

    ck_assert(retry_after_find((struct tracez_text){"rETRY-aFTER:5\r\n", 15}, &value));
    ck_assert_int_eq(retry_after_read(value, NOW), 5);
    ck_assert(retry_after_find((struct tracez_text){"Retry-After:", 12}, &value));
    ck_assert_int_eq(retry_after_read(value, NOW), RETRY_AFTER_NONE);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert(!retry_after_find((struct tracez_text){others[i], strlen(others[i])}, &value));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retry_after");
    TCase *of_values = case_of(suite, "values");
    TCase *of_lines = case_of(suite, "lines");

    tcase_add_loop_test(of_values, what_is_neither_a_number_nor_a_date_asks_for_nothing, 0,
                        COUNT(junk));
    tcase_add_loop_test(of_values, seconds_and_dates_in_all_three_forms_ask_for_a_wait, 0,
                        COUNT(values));
    tcase_add_test(of_values, a_value_with_a_nul_or_without_end_asks_for_nothing);
    tcase_add_test(of_values, a_damaged_value_asks_for_nothing_or_for_some_time);
    tcase_add_test(of_lines, the_header_is_found_whatever_its_case_and_no_other_is);
    return run_suite(suite);
}
