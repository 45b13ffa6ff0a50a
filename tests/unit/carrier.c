/* SPDX-License-Identifier: MIT
 *
 * Goal: out of all the headers of a request, the ones that carry a context are found, read
 * together, and obeyed in one order.
 * Method: what must be refused first (other names, headers that come twice), then joining of
 * tracestate at every size of memory, then which format wins. */
#include "spans.h"

#include <tracez/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define B3_TRACE_ID "80f198ee56343ba864fe8b2a57d3eff7"
#define SPAN_ID "b7ad6b7169203331"
#define TRACEPARENT "00-" TRACE_ID "-" SPAN_ID "-01"
#define B3_SINGLE B3_TRACE_ID "-" SPAN_ID "-1"
#define BOTH (TRACEZ_PROPAGATE_W3C | TRACEZ_PROPAGATE_B3)

static struct tracez_text text(const char *string)
{
    return (struct tracez_text){string, strlen(string)};
}

static bool add(struct tracez_carrier *carrier, const char *name, const char *value)
{
    return tracez_carrier_add(carrier, text(name), text(value));
}

/* trace_id NULL: nothing valid is found. */
static void assert_extracts(const struct tracez_carrier *carrier, unsigned formats,
                            const char *trace_id)
{
    struct tracez_context context;
    char found[33];
    memset(&context, 0xee, sizeof(context));

    bool extracted = tracez_carrier_extract(carrier, formats, &context);

    ck_assert(extracted == (trace_id != NULL));
    tracez_context_format_trace_id(&context, found);
    ck_assert_str_eq(found, trace_id != NULL ? trace_id : "00000000000000000000000000000000");
    ck_assert(context.is_remote == extracted);
}

START_TEST(other_headers_are_none_of_ours)
{
    static const char *const others[] = {
        "",
        "b",
        "b4",
        "Host",
        "traceparents",
        "traceparen",
        "trace-id",
        "tracestat3",
        "traceparenT ",
        "x-b3-spanie",
        "x-b3-traceie",
        "x-b3-flagz",
        "x-b3-parentspanid",
        "x_b3_traceid",
        "b3\0",
        "user-agent!",
        "content-typ",
    };
    struct tracez_carrier carrier = {0};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        bool taken = add(&carrier, others[i], TRACEPARENT);
        ck_assert_msg(taken == (strcmp(others[i], "b3") == 0), "\"%s\"", others[i]);
    }
    ck_assert(!tracez_carrier_add(&carrier, (struct tracez_text){NULL, 0}, text("")));
    ck_assert(!tracez_carrier_add(&carrier, (struct tracez_text){"b3\0", 3}, text("1")));
    ck_assert(!tracez_carrier_add(&carrier, (struct tracez_text){"traceparent", 10}, text("")));
}
END_TEST

START_TEST(names_are_found_in_any_case)
{
    static const char *const names[] = {
        "traceparent",  "TRACEPARENT", "TraceParent",  "tracestate",   "TraceState",
        "b3",           "B3",          "x-b3-traceid", "X-B3-TraceId", "X-B3-SpanId",
        "x-b3-sampled", "X-B3-Flags",  "X-B3-FLAGS",
    };
    struct tracez_carrier carrier = {0};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_msg(add(&carrier, names[i], "x"), "\"%s\"", names[i]);
    }
}
END_TEST

START_TEST(nothing_added_is_no_context)
{
    const struct tracez_carrier carrier = {0};

    assert_extracts(&carrier, BOTH, NULL);
}
END_TEST

START_TEST(two_lines_of_anything_but_tracestate_are_as_good_as_none)
{
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        {"traceparent", TRACEPARENT}, {"b3", B3_SINGLE},     {"X-B3-TraceId", B3_TRACE_ID},
        {"X-B3-SpanId", SPAN_ID},     {"X-B3-Sampled", "1"}, {"X-B3-Flags", "1"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tracez_carrier carrier = {0};
        bool is_several = strncmp(rows[i].name, "X-", 2) == 0;

        add(&carrier, rows[i].name, rows[i].value);
        for (size_t other = 2; is_several && other < 6; other++) {
            if (other != i) {
                add(&carrier, rows[other].name, rows[other].value);
            }
        }
        assert_extracts(&carrier, BOTH, i == 0 ? TRACE_ID : B3_TRACE_ID);
        for (int more = 0; more < 300; more++) {
            add(&carrier, rows[i].name, rows[i].value);
            assert_extracts(&carrier, BOTH, NULL);
        }
    }
}
END_TEST

/* ---- Tracestate ------------------------------------------------------------------------------ */

/* Adds these lines with this much memory behind them; what of the list the context has. */
static void assert_joined(const char *const lines[], size_t memory_bytes, const char *expected)
{
    char *memory = malloc(memory_bytes == 0 ? 1 : memory_bytes);
    ck_assert_ptr_nonnull(memory);
    struct tracez_carrier carrier = {.state_memory = memory, .state_memory_bytes = memory_bytes};
    struct tracez_context context;

    for (size_t i = 0; lines[i] != NULL; i++) {
        add(&carrier, "tracestate", lines[i]);
    }
    add(&carrier, "traceparent", TRACEPARENT);

    ck_assert(tracez_carrier_extract(&carrier, TRACEZ_PROPAGATE_W3C, &context));
    assert_text((struct tracez_text){context.tracestate, context.tracestate_bytes}, expected);
    free(memory);
}

START_TEST(lines_that_do_not_fit_together_leave_the_list_out)
{
    static const char *const lines[] = {"a=1", "b=22", "c=333", NULL};
    const size_t needed = strlen("a=1,b=22,c=333");

    for (size_t bytes = 0; bytes < needed; bytes++) {
        assert_joined(lines, bytes, "");
    }
    assert_joined(lines, needed, "a=1,b=22,c=333");
}
END_TEST

START_TEST(without_memory_only_a_single_line_is_kept)
{
    struct tracez_carrier carrier = {0};
    struct tracez_context context;

    add(&carrier, "traceparent", TRACEPARENT);
    add(&carrier, "tracestate", "a=1");
    ck_assert(tracez_carrier_extract(&carrier, BOTH, &context));
    assert_text((struct tracez_text){context.tracestate, context.tracestate_bytes}, "a=1");
    add(&carrier, "tracestate", "b=2");

    ck_assert(tracez_carrier_extract(&carrier, BOTH, &context));
    ck_assert_uint_eq(context.tracestate_bytes, 0);
}
END_TEST

START_TEST(lines_are_joined_in_their_order_empty_ones_too)
{
    static const char *const empty_between[] = {"a=1", "", "b=2", NULL};
    static const char *const empty_first[] = {"", "a=1", NULL};

    assert_joined(empty_between, 64, "a=1,,b=2");
    assert_joined(empty_first, 64, ",a=1");
}
END_TEST

START_TEST(a_malformed_list_costs_no_traceparent)
{
    static const char *const malformed[] = {"a=1", "b", NULL};

    assert_joined(malformed, 64, "");
}
END_TEST

/* ---- Which one wins -------------------------------------------------------------------------- */

START_TEST(w3c_wins_over_b3_and_one_b3_header_over_several)
{
    struct tracez_carrier carrier = {0};

    add(&carrier, "X-B3-TraceId", "00000000000000000000000000000abc");
    add(&carrier, "X-B3-SpanId", SPAN_ID);
    assert_extracts(&carrier, BOTH, "00000000000000000000000000000abc");
    add(&carrier, "b3", B3_SINGLE);
    assert_extracts(&carrier, BOTH, B3_TRACE_ID);
    add(&carrier, "traceparent", TRACEPARENT);

    assert_extracts(&carrier, BOTH, TRACE_ID);
    assert_extracts(&carrier, TRACEZ_PROPAGATE_W3C, TRACE_ID);
    assert_extracts(&carrier, TRACEZ_PROPAGATE_B3, B3_TRACE_ID);
    assert_extracts(&carrier, 0, NULL);
}
END_TEST

START_TEST(what_is_malformed_leaves_the_next_one_its_turn)
{
    struct tracez_carrier carrier = {0};

    add(&carrier, "traceparent", "00-" TRACE_ID);
    add(&carrier, "b3", "nonsense");
    add(&carrier, "x-b3-traceid", B3_TRACE_ID);
    add(&carrier, "x-b3-spanid", SPAN_ID);

    assert_extracts(&carrier, BOTH, B3_TRACE_ID);
}
END_TEST

START_TEST(a_decision_of_b3_alone_is_found)
{
    struct tracez_carrier carrier = {0};
    struct tracez_context context;

    add(&carrier, "b3", "d");

    ck_assert(tracez_carrier_extract(&carrier, BOTH, &context));
    ck_assert(context.is_remote);
    ck_assert_uint_eq(context.flags, TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_DEBUG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("carrier");
    TCase *names = case_of(suite, "names");
    TCase *state = case_of(suite, "tracestate");
    TCase *formats = case_of(suite, "formats");

    tcase_add_test(names, other_headers_are_none_of_ours);
    tcase_add_test(names, names_are_found_in_any_case);
    tcase_add_test(names, nothing_added_is_no_context);
    tcase_add_test(names, two_lines_of_anything_but_tracestate_are_as_good_as_none);
    tcase_add_test(state, lines_that_do_not_fit_together_leave_the_list_out);
    tcase_add_test(state, without_memory_only_a_single_line_is_kept);
    tcase_add_test(state, lines_are_joined_in_their_order_empty_ones_too);
    tcase_add_test(state, a_malformed_list_costs_no_traceparent);
    tcase_add_test(formats, w3c_wins_over_b3_and_one_b3_header_over_several);
    tcase_add_test(formats, what_is_malformed_leaves_the_next_one_its_turn);
    tcase_add_test(formats, a_decision_of_b3_alone_is_found);
    return run_suite(suite);
}
