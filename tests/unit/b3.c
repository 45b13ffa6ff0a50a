/* SPDX-License-Identifier: MIT
 *
 * Goal: B3 in one header and in several is read as openzipkin/b3-propagation says, its decisions
 * are obeyed, and no byte beyond the given length is ever looked at.
 * Method: the refused half first, by tables, by every truncation, and by every byte value at every
 * position; then what is accepted, and what a span makes of it. Texts are parsed from heap copies
 * of their exact size, so that AddressSanitizer sees a read too far. */
#include "spans.h"

#include <stdlib.h>
#include <string.h>

#define TRACE_ID "80f198ee56343ba864fe8b2a57d3eff7"
#define TRACE_ID_SHORT "64fe8b2a57d3eff7"
#define SPAN_ID "e457b5a2e4d86bd1"
#define PARENT_ID "05e3ac9a4f6e3b90"
#define LONGEST TRACE_ID "-" SPAN_ID "-1-" PARENT_ID

#define TEXT(literal)                                                                              \
    (struct tracez_text)                                                                           \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static bool parse(struct tracez_context *context, const char *text, size_t text_bytes)
{
    char *exact = malloc(text_bytes == 0 ? 1 : text_bytes);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, text, text_bytes);
    memset(context, 0xee, sizeof(*context));
    bool parsed = tracez_context_parse_b3(context, exact, text_bytes);
    free(exact);
    return parsed;
}

static void assert_zeroed(const struct tracez_context *context)
{
    const struct tracez_context zero = {0};

    ck_assert_mem_eq(context->trace_id, zero.trace_id, sizeof(zero.trace_id));
    ck_assert_mem_eq(context->span_id, zero.span_id, sizeof(zero.span_id));
    ck_assert_uint_eq(context->flags, 0);
    ck_assert_uint_eq(context->tracestate_bytes, 0);
    ck_assert(!context->is_remote);
}

static void assert_refused(const char *text, size_t text_bytes)
{
    struct tracez_context context;

    bool parsed = parse(&context, text, text_bytes);

    ck_assert_msg(!parsed, "accepted: \"%.*s\"", (int)text_bytes, text);
    assert_zeroed(&context);
}

static void assert_ids(const struct tracez_context *context, const char *trace_id)
{
    char trace[33];
    char span[17];

    tracez_context_format_trace_id(context, trace);
    tracez_context_format_span_id(context, span);
    ck_assert_str_eq(trace, trace_id);
    ck_assert_str_eq(span, SPAN_ID);
    ck_assert(context->is_remote);
}

/* ---- One header ------------------------------------------------------------------------------ */

START_TEST(every_malformed_b3_is_refused)
{
    static const char *const refused[] = {
        "",
        " ",
        "-",
        "--",
        "2",
        "D",
        "true",
        "00",
        "1-",
        "-1",
        TRACE_ID,
        TRACE_ID "-",
        "-" SPAN_ID,
        TRACE_ID "-" SPAN_ID "-",
        TRACE_ID "-" SPAN_ID "-1-",
        TRACE_ID "-" SPAN_ID "--",
        TRACE_ID "-" SPAN_ID "--" PARENT_ID,
        TRACE_ID "-" SPAN_ID "-true",
        TRACE_ID "-" SPAN_ID "-2",
        TRACE_ID "-" SPAN_ID "-11",
        /* a parent without a decision: the format has no such thing */
        TRACE_ID "-" SPAN_ID "-" PARENT_ID,
        TRACE_ID "-" SPAN_ID "-1-" PARENT_ID "-",
        TRACE_ID "-" SPAN_ID "-1-" PARENT_ID "0",
        TRACE_ID "-" SPAN_ID "-1-5e3ac9a4f6e3b90",
        /* lengths */
        "0" TRACE_ID "-" SPAN_ID "-1",
        "0" TRACE_ID_SHORT "-" SPAN_ID "-1",
        "80f198ee56343ba864fe8b2a57d3eff-" SPAN_ID "-1",
        TRACE_ID "-0" SPAN_ID "-1",
        TRACE_ID "-457b5a2e4d86bd1-1",
        /* upper case, not hex, all zero */
        "80F198EE56343BA864FE8B2A57D3EFF7-" SPAN_ID "-1",
        TRACE_ID "-E457B5A2E4D86BD1-1",
        "80f198ee56343ba864fe8b2a57d3effg-" SPAN_ID "-1",
        "00000000000000000000000000000000-" SPAN_ID "-1",
        "0000000000000000-" SPAN_ID "-1",
        TRACE_ID "-0000000000000000-1",
        /* blanks are trimmed, nothing else is, and not inside */
        "\n" LONGEST,
        LONGEST "\r",
        TRACE_ID " -" SPAN_ID "-1",
        TRACE_ID "-" SPAN_ID "- 1",
        LONGEST "," LONGEST,
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_refused(refused[i], strlen(refused[i]));
    }
}
END_TEST

/* The format is made of optional parts: these beginnings are whole headers. */
static bool is_whole(size_t bytes)
{
    return bytes == strlen(TRACE_ID "-" SPAN_ID) || bytes == strlen(TRACE_ID "-" SPAN_ID "-1") ||
           bytes == strlen(LONGEST);
}

START_TEST(every_truncation_that_is_no_shorter_form_is_refused)
{
    for (size_t bytes = 0; bytes <= strlen(LONGEST); bytes++) {
        struct tracez_context context;

        if (is_whole(bytes)) {
            ck_assert(parse(&context, LONGEST, bytes));
            assert_ids(&context, TRACE_ID);
        } else {
            assert_refused(LONGEST, bytes);
        }
    }
}
END_TEST

static bool is_allowed_at(size_t position, int character)
{
    bool is_lower_hex =
        (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f');

    switch (LONGEST[position]) {
    case '-':
        return character == '-';
    case '1':
        if (position == strlen(TRACE_ID "-" SPAN_ID "-")) {
            return character == '0' || character == '1' || character == 'd';
        }
        return is_lower_hex;
    default:
        return is_lower_hex;
    }
}

START_TEST(at_every_position_only_what_the_format_has_there_is_accepted)
{
    for (size_t position = 0; position < strlen(LONGEST); position++) {
        for (int character = 0; character < 256; character++) {
            char text[] = LONGEST;
            struct tracez_context context;
            text[position] = (char)character;

            bool parsed = parse(&context, text, strlen(LONGEST));

            ck_assert_msg(parsed == is_allowed_at(position, character), "byte 0x%02x at %zu: %s",
                          (unsigned)character, position, parsed ? "accepted" : "refused");
        }
    }
}
END_TEST

static void assert_reads_as(const char *text, const char *trace_id, uint8_t flags)
{
    struct tracez_context context;

    ck_assert_msg(parse(&context, text, strlen(text)), "refused: \"%s\"", text);
    assert_ids(&context, trace_id);
    ck_assert_uint_eq(context.flags, flags);
}

START_TEST(ids_come_with_a_decision_or_without)
{
    const uint8_t debug = TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG;

    assert_reads_as(TRACE_ID "-" SPAN_ID, TRACE_ID, TRACEZ_FLAG_UNDECIDED);
    assert_reads_as(TRACE_ID "-" SPAN_ID "-0", TRACE_ID, 0);
    assert_reads_as(TRACE_ID "-" SPAN_ID "-1", TRACE_ID, TRACEZ_FLAG_SAMPLED);
    assert_reads_as(TRACE_ID "-" SPAN_ID "-d", TRACE_ID, debug);
    assert_reads_as(TRACE_ID "-" SPAN_ID "-0-" PARENT_ID, TRACE_ID, 0);
    assert_reads_as(TRACE_ID "-" SPAN_ID "-d-" PARENT_ID, TRACE_ID, debug);
    assert_reads_as(" \t" LONGEST "\t ", TRACE_ID, TRACEZ_FLAG_SAMPLED);
}
END_TEST

START_TEST(a_trace_id_of_64_bits_is_padded_with_zeros_on_the_left)
{
    assert_reads_as(TRACE_ID_SHORT "-" SPAN_ID "-1", "0000000000000000" TRACE_ID_SHORT,
                    TRACEZ_FLAG_SAMPLED);
}
END_TEST

START_TEST(a_decision_alone_is_a_context_without_ids)
{
    static const struct {
        const char *text;
        uint8_t flags;
    } decisions[] = {
        {"0", 0},
        {"1", TRACEZ_FLAG_SAMPLED},
        {" d ", TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG},
    };

    for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
        struct tracez_context context;

        ck_assert(parse(&context, decisions[i].text, strlen(decisions[i].text)));

        ck_assert(!tracez_context_is_valid(&context));
        ck_assert(context.is_remote);
        ck_assert_uint_eq(context.flags, decisions[i].flags);
    }
}
END_TEST

/* ---- Several headers ------------------------------------------------------------------------- */

START_TEST(malformed_headers_are_refused)
{
    static const struct tracez_b3_headers refused[] = {
        {.span_id = TEXT(SPAN_ID)},
        {.trace_id = TEXT(TRACE_ID)},
        {.trace_id = TEXT(TRACE_ID), .sampled = TEXT("1")},
        {.span_id = TEXT(SPAN_ID), .sampled = TEXT("1")},
        {.trace_id = TEXT("0" TRACE_ID), .span_id = TEXT(SPAN_ID)},
        {.trace_id = TEXT(SPAN_ID "-" SPAN_ID), .span_id = TEXT(SPAN_ID)},
        {.trace_id = TEXT("0000000000000000"), .span_id = TEXT(SPAN_ID)},
        {.trace_id = TEXT(TRACE_ID), .span_id = TEXT("0000000000000000")},
        {.trace_id = TEXT(TRACE_ID), .span_id = TEXT("E457B5A2E4D86BD1")},
        {.trace_id = TEXT(TRACE_ID), .span_id = TEXT(SPAN_ID), .sampled = TEXT("2")},
        {.trace_id = TEXT(TRACE_ID), .span_id = TEXT(SPAN_ID), .sampled = TEXT("d")},
        {.trace_id = TEXT(TRACE_ID), .span_id = TEXT(SPAN_ID), .sampled = TEXT("TRUE")},
        {.sampled = TEXT("yes")},
        {.flags = TEXT("0")},
        {.trace_id = TEXT("")},
    };

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct tracez_context context;
        memset(&context, 0xee, sizeof(context));

        bool parsed = tracez_context_parse_b3_headers(&context, &refused[i]);

        ck_assert_msg(!parsed, "row %zu accepted", i);
        assert_zeroed(&context);
    }
}
END_TEST

START_TEST(headers_give_ids_and_decision)
{
    static const struct {
        struct tracez_text sampled;
        struct tracez_text flags;
        uint8_t expected;
    } rows[] = {
        {{NULL, 0}, {NULL, 0}, TRACEZ_FLAG_UNDECIDED},
        {TEXT("0"), {NULL, 0}, 0},
        {TEXT("false"), {NULL, 0}, 0},
        {TEXT("1"), {NULL, 0}, TRACEZ_FLAG_SAMPLED},
        {TEXT(" true "), {NULL, 0}, TRACEZ_FLAG_SAMPLED},
        {TEXT("1"), TEXT("0"), TRACEZ_FLAG_SAMPLED},
        {{NULL, 0}, TEXT("1"), TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG},
        {TEXT("0"), TEXT("1"), TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tracez_context context;
        struct tracez_b3_headers headers = {
            .trace_id = TEXT(TRACE_ID),
            .span_id = TEXT(" " SPAN_ID "\t"),
            .sampled = rows[i].sampled,
            .flags = rows[i].flags,
        };

        ck_assert_msg(tracez_context_parse_b3_headers(&context, &headers), "row %zu", i);
        assert_ids(&context, TRACE_ID);
        ck_assert_uint_eq(context.flags, rows[i].expected);

        headers.trace_id = (struct tracez_text){NULL, 0};
        headers.span_id = (struct tracez_text){NULL, 0};
        bool is_decision = rows[i].expected != TRACEZ_FLAG_UNDECIDED;
        ck_assert(tracez_context_parse_b3_headers(&context, &headers) == is_decision);
        ck_assert(context.is_remote == is_decision);
    }
}
END_TEST

/* ---- What a span makes of it ----------------------------------------------------------------- */

static struct tracez_context start_below(struct tracez_tracer *tracer, const char *b3,
                                         const struct tracez_sampler *sampler,
                                         struct tracez_span *span)
{
    struct tracez_context parent;
    struct tracez_context own;
    ck_assert(parse(&parent, b3, strlen(b3)));
    const struct tracez_span_options options = {.parent = &parent, .sampler = sampler};

    *span = tracez_span_start_with(tracer, &options, &own);
    return own;
}

START_TEST(a_decision_is_obeyed_with_ids_or_without)
{
    static const struct {
        const char *text;
        bool is_sampled;
        bool is_root;
    } rows[] = {
        {"0", false, true},
        {"1", true, true},
        {"d", true, true},
        {TRACE_ID "-" SPAN_ID "-0", false, false},
        {TRACE_ID "-" SPAN_ID "-1", true, false},
        {TRACE_ID "-" SPAN_ID "-d", true, false},
    };
    struct tracez_tracer *tracer = tracer_create_default();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* The sampler that would be asked says the opposite. */
        const struct tracez_sampler opposite =
            rows[i].is_sampled ? tracez_sampler_never() : tracez_sampler_always();
        const struct tracez_sampler sampler = tracez_sampler_parent_based(&opposite);
        struct tracez_span span;

        struct tracez_context own = start_below(tracer, rows[i].text, &sampler, &span);

        ck_assert_msg(tracez_span_is_recording(span) == rows[i].is_sampled, "%s", rows[i].text);
        ck_assert(tracez_context_is_valid(&own));
        ck_assert(((own.flags & TRACEZ_FLAG_SAMPLED) != 0) == rows[i].is_sampled);
        char trace_id[33];
        tracez_context_format_trace_id(&own, trace_id);
        ck_assert((strcmp(trace_id, TRACE_ID) == 0) == !rows[i].is_root);
        tracez_span_finish(span);
    }
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(an_undecided_parent_leaves_it_to_the_root_sampler)
{
    struct tracez_tracer *tracer = tracer_create_default();
    const struct tracez_sampler never = tracez_sampler_never();
    const struct tracez_sampler by_never = tracez_sampler_parent_based(&never);
    const struct tracez_sampler by_always = tracez_sampler_parent_based(NULL);
    struct tracez_span unwanted;
    struct tracez_span wanted;

    struct tracez_context own = start_below(tracer, TRACE_ID "-" SPAN_ID, &by_never, &unwanted);
    ck_assert_uint_eq(own.flags, 0);
    own = start_below(tracer, TRACE_ID "-" SPAN_ID, &by_always, &wanted);
    ck_assert_uint_eq(own.flags, TRACEZ_FLAG_SAMPLED);

    ck_assert(!tracez_span_is_recording(unwanted));
    ck_assert(tracez_span_is_recording(wanted));
    tracez_span_finish(wanted);
    tracez_tracer_destroy(tracer);
}
END_TEST

START_TEST(debug_is_handed_down_and_in_no_record_and_no_traceparent)
{
    struct tracez_tracer *tracer = tracer_create_default();
    struct tracez_span span;
    char traceparent[TRACEZ_TRACEPARENT_TEXT_BYTES];

    struct tracez_context own = start_below(tracer, TRACE_ID "-" SPAN_ID "-d", NULL, &span);
    tracez_context_format_traceparent(&own, traceparent);
    tracez_span_finish(span);
    struct spans spans = spans_drain_first(tracer);

    ck_assert_uint_eq(own.flags, TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG);
    ck_assert_str_eq(traceparent + strlen(traceparent) - 3, "-01");
    ck_assert_uint_eq(spans.records[0].flags, TRACEZ_FLAG_SAMPLED);
    ck_assert(spans.records[0].parent_is_remote);
    spans_free(&spans);
    tracez_tracer_destroy(tracer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("b3");
    TCase *single = case_of(suite, "one header");
    TCase *multi = case_of(suite, "several headers");
    TCase *spans = case_of(suite, "spans");

    tcase_add_test(single, every_malformed_b3_is_refused);
    tcase_add_test(single, every_truncation_that_is_no_shorter_form_is_refused);
    tcase_add_test(single, at_every_position_only_what_the_format_has_there_is_accepted);
    tcase_add_test(single, ids_come_with_a_decision_or_without);
    tcase_add_test(single, a_trace_id_of_64_bits_is_padded_with_zeros_on_the_left);
    tcase_add_test(single, a_decision_alone_is_a_context_without_ids);
    tcase_add_test(multi, malformed_headers_are_refused);
    tcase_add_test(multi, headers_give_ids_and_decision);
    tcase_add_test(spans, a_decision_is_obeyed_with_ids_or_without);
    tcase_add_test(spans, an_undecided_parent_leaves_it_to_the_root_sampler);
    tcase_add_test(spans, debug_is_handed_down_and_in_no_record_and_no_traceparent);
    return run_suite(suite);
}
