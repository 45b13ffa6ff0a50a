/* SPDX-License-Identifier: MIT
 *
 * Goal: traceparent is read and written exactly as W3C Trace Context level 2 says, and no byte
 * beyond the given length is ever looked at.
 * Method: the refused half first, by tables, by every truncation, and by every byte value at every
 * position; then parse, format, parse must be the identity. Texts are parsed from heap copies of
 * their exact size, so that AddressSanitizer sees a read too far. */
#include "spans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALID "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define VALID_CHARACTERS 55

static bool parse(struct tracez_context *context, const char *text, size_t text_bytes)
{
    char *exact = malloc(text_bytes == 0 ? 1 : text_bytes);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, text, text_bytes);
    memset(context, 0xee, sizeof(*context));
    bool parsed = tracez_context_parse_traceparent(context, exact, text_bytes);
    free(exact);
    return parsed;
}

static void assert_refused_and_zeroed(const char *text, size_t text_bytes)
{
    const struct tracez_context zero = {0};
    struct tracez_context context;

    bool parsed = parse(&context, text, text_bytes);

    ck_assert_msg(!parsed, "accepted: \"%.*s\"", (int)text_bytes, text);
    ck_assert_mem_eq(context.trace_id, zero.trace_id, sizeof(zero.trace_id));
    ck_assert_mem_eq(context.span_id, zero.span_id, sizeof(zero.span_id));
    ck_assert_uint_eq(context.flags, 0);
    ck_assert_uint_eq(context.threshold, 0);
    ck_assert_uint_eq(context.tracestate_bytes, 0);
    ck_assert(!context.is_remote);
    ck_assert(!tracez_context_is_valid(&context));
}

static void assert_reads_as(const char *text, const char *formatted)
{
    struct tracez_context context;
    char again[TRACEZ_TRACEPARENT_TEXT_BYTES];

    ck_assert_msg(parse(&context, text, strlen(text)), "refused: \"%s\"", text);
    tracez_context_format_traceparent(&context, again);
    ck_assert_str_eq(again, formatted);
    ck_assert(context.is_remote);
    ck_assert(tracez_context_is_valid(&context));
}

START_TEST(every_malformed_traceparent_is_refused)
{
    static const char *const refused[] = {
        "",
        " ",
        "00",
        "00-",
        "-",
        /* version ff; upper case; not hex */
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "CC-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-.1",
        /* ids that are all zero */
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        /* version 00 is exactly 55 characters */
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        /* a higher version: then the end, or a dash */
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0100",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        /* two headers joined, fields too short, fields in the wrong place */
        VALID "," VALID,
        "00-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
        "000-af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331 01",
        /* blanks are trimmed, nothing else is */
        "\n" VALID,
        VALID "\r\n",
        "\"" VALID "\"",
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_refused_and_zeroed(refused[i], strlen(refused[i]));
    }
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    for (size_t bytes = 0; bytes < VALID_CHARACTERS; bytes++) {
        assert_refused_and_zeroed(VALID, bytes);
    }
}
END_TEST

/* What the standard allows at this position of a version 00 header whose other bytes are VALID. */
static bool is_allowed_at(size_t position, int character)
{
    bool is_digit = character >= '0' && character <= '9';
    bool is_lower_hex = is_digit || (character >= 'a' && character <= 'f');

    if (position == 2 || position == 35 || position == 52) {
        return character == '-';
    }
    return is_lower_hex; /* a version 0x, x0 with these 55 characters is fine too */
}

START_TEST(at_every_position_only_lower_case_hex_or_the_dash_is_accepted)
{
    for (size_t position = 0; position < VALID_CHARACTERS; position++) {
        for (int character = 0; character < 256; character++) {
            char text[] = VALID;
            struct tracez_context context;
            text[position] = (char)character;

            bool parsed = parse(&context, text, VALID_CHARACTERS);

            ck_assert_msg(parsed == is_allowed_at(position, character), "byte 0x%02x at %zu: %s",
                          (unsigned)character, position, parsed ? "accepted" : "refused");
        }
    }
}
END_TEST

START_TEST(a_byte_after_version_00_is_refused_unless_it_is_a_blank)
{
    for (int character = 0; character < 256; character++) {
        char text[VALID_CHARACTERS + 1];
        struct tracez_context context;

        memcpy(text, VALID, VALID_CHARACTERS);
        text[VALID_CHARACTERS] = (char)character;
        bool parsed = parse(&context, text, sizeof(text));

        ck_assert_msg(parsed == (character == ' ' || character == '\t'), "byte 0x%02x",
                      (unsigned)character);
    }
}
END_TEST

START_TEST(a_null_or_half_zero_context_is_not_valid)
{
    struct tracez_context trace_only = {.trace_id = {1}};
    struct tracez_context span_only = {.span_id = {1}};
    struct tracez_context last_bytes = {.trace_id = {[15] = 1}, .span_id = {[7] = 1}};

    ck_assert(!tracez_context_is_valid(NULL));
    ck_assert(!tracez_context_is_valid(&trace_only));
    ck_assert(!tracez_context_is_valid(&span_only));
    ck_assert(tracez_context_is_valid(&last_bytes));
}
END_TEST

START_TEST(blanks_around_it_are_trimmed)
{
    assert_reads_as(" " VALID, VALID);
    assert_reads_as("\t " VALID " \t\t", VALID);
}
END_TEST

START_TEST(a_higher_version_is_read_by_its_first_55_characters_and_sent_on_as_00)
{
    assert_reads_as("01"
                    "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    VALID);
    assert_reads_as("cc"
                    "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes",
                    VALID);
    assert_reads_as("fe"
                    "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
                    VALID);
}
END_TEST

START_TEST(sampled_and_random_are_kept_and_all_other_flags_are_sent_as_zero)
{
    for (unsigned flags = 0; flags < 256; flags++) {
        char text[VALID_CHARACTERS + 1];
        char expected[VALID_CHARACTERS + 1];

        snprintf(text, sizeof(text), "%.53s%02x", VALID, flags);
        snprintf(expected, sizeof(expected), "%.53s%02x", VALID, flags & 3);

        assert_reads_as(text, expected);
    }
}
END_TEST

START_TEST(the_fields_are_where_the_standard_puts_them)
{
    struct tracez_context context;
    char trace_id[33];
    char span_id[17];

    ck_assert(parse(&context, VALID, VALID_CHARACTERS));
    tracez_context_format_trace_id(&context, trace_id);
    tracez_context_format_span_id(&context, span_id);

    ck_assert_uint_eq(context.trace_id[0], 0x0a);
    ck_assert_uint_eq(context.trace_id[15], 0x9c);
    ck_assert_uint_eq(context.span_id[0], 0xb7);
    ck_assert_uint_eq(context.span_id[7], 0x31);
    ck_assert_uint_eq(context.flags, TRACEZ_FLAG_SAMPLED);
    ck_assert_str_eq(trace_id, "0af7651916cd43dd8448eb211c80319c");
    ck_assert_str_eq(span_id, "b7ad6b7169203331");
}
END_TEST

START_TEST(parse_of_format_is_the_identity)
{
    srandom(7);
    for (int round = 0; round < 10000; round++) {
        struct tracez_context context = {0};
        struct tracez_context again;
        char text[TRACEZ_TRACEPARENT_TEXT_BYTES];

        for (size_t i = 0; i < sizeof(context.trace_id); i++) {
            context.trace_id[i] = (uint8_t)random();
        }
        for (size_t i = 0; i < sizeof(context.span_id); i++) {
            context.span_id[i] = (uint8_t)random();
        }
        context.flags = (uint8_t)random() & 3;
        tracez_context_format_traceparent(&context, text);

        ck_assert_uint_eq(strlen(text), VALID_CHARACTERS);
        ck_assert(parse(&again, text, VALID_CHARACTERS));
        ck_assert_mem_eq(again.trace_id, context.trace_id, sizeof(context.trace_id));
        ck_assert_mem_eq(again.span_id, context.span_id, sizeof(context.span_id));
        ck_assert_uint_eq(again.flags, context.flags);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("context");
    TCase *refused = case_of(suite, "refused");
    TCase *accepted = case_of(suite, "accepted");

    tcase_add_test(refused, every_malformed_traceparent_is_refused);
    tcase_add_test(refused, every_truncation_is_refused);
    tcase_add_test(refused, at_every_position_only_lower_case_hex_or_the_dash_is_accepted);
    tcase_add_test(refused, a_byte_after_version_00_is_refused_unless_it_is_a_blank);
    tcase_add_test(refused, a_null_or_half_zero_context_is_not_valid);
    tcase_add_test(accepted, blanks_around_it_are_trimmed);
    tcase_add_test(accepted, a_higher_version_is_read_by_its_first_55_characters_and_sent_on_as_00);
    tcase_add_test(accepted, sampled_and_random_are_kept_and_all_other_flags_are_sent_as_zero);
    tcase_add_test(accepted, the_fields_are_where_the_standard_puts_them);
    tcase_add_test(accepted, parse_of_format_is_the_identity);
    return run_suite(suite);
}
