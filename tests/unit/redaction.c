/* SPDX-License-Identifier: MIT
 *
 * Goal: no value of a secret key gets out of a query, whatever bytes the client sends and wherever
 * the result is cut; and nothing else of the query changes.
 * Method: a table of what is and is not a secret; every byte in every place; random queries against
 * a plain second implementation. Queries lie in heap copies of their exact size, results in buffers
 * of each size, so that AddressSanitizer sees a step too far. */
#include "spans.h"

#include <tracez/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy_exact(const char *text, size_t bytes)
{
    char *exact = malloc(bytes == 0 ? 1 : bytes);

    if (exact == NULL) { /* an assertion for each call would take seconds: Check writes each down */
        ck_abort_msg("no memory");
    }
    memcpy(exact, text, bytes);
    return exact;
}

/* The longest beginning of whole characters that fits. */
static size_t whole_characters(const char *text, size_t bytes, size_t max_bytes)
{
    size_t whole = max_bytes < bytes ? max_bytes : bytes;

    while (whole > 0 && whole < bytes && ((unsigned char)text[whole] & 0xc0) == 0x80) {
        whole--;
    }
    return whole;
}

static size_t redact(const char *query, size_t query_bytes, char *redacted, size_t max_bytes)
{
    return tracez_http_redact_query((struct tracez_text){query, query_bytes},
                                    tracez_http_redacted_keys_default,
                                    TRACEZ_HTTP_REDACTED_KEYS_DEFAULT, redacted, max_bytes);
}

static bool has_secret(const char *query, size_t query_bytes)
{
    return tracez_http_query_has_secret((struct tracez_text){query, query_bytes},
                                        tracez_http_redacted_keys_default,
                                        TRACEZ_HTTP_REDACTED_KEYS_DEFAULT);
}

START_TEST(the_values_of_secret_keys_are_replaced_and_nothing_else)
{
    static const struct {
        const char *query;
        const char *expected; /* NULL: as it is, and holds no secret */
    } rows[] = {
        {"sig=abc", "sig=REDACTED"},
        {"sig=", "sig=REDACTED"},
        {"sig==abc", "sig=REDACTED"},
        {"a=1&sig=abc", "a=1&sig=REDACTED"},
        {"sig=abc&a=1", "sig=REDACTED&a=1"},
        {"sig=1&sig=2&&sig=3&", "sig=REDACTED&sig=REDACTED&&sig=REDACTED&"},
        {"&sig=abc", "&sig=REDACTED"},
        {"sig=a;b=c", "sig=REDACTED"},
        {"X-Amz-Signature=1&X-Amz-Credential=2&X-Amz-Security-Token=3",
         "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED"},
        {"AWSAccessKeyId=1&Signature=2&X-Goog-Signature=3",
         "AWSAccessKeyId=REDACTED&Signature=REDACTED&X-Goog-Signature=REDACTED"},
        {"", NULL},
        {"&", NULL},
        {"&&&", NULL},
        {"=", NULL},
        {"=sig", NULL},
        {"sig", NULL},
        {"sig&a=1", NULL},
        {"a=sig=1", NULL},
        {"a=sig", NULL},
        {"SIG=1", NULL},
        {"Sig=1", NULL},
        {"sigx=1", NULL},
        {"xsig=1", NULL},
        {" sig=1", NULL},
        {"sig =1", NULL},
        {"%73ig=1", NULL},
        {"signature=1", NULL},
        {"a=1&b=2", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t query_bytes = strlen(rows[i].query);
        char *query = copy_exact(rows[i].query, query_bytes);
        char redacted[256];

        size_t bytes = redact(query, query_bytes, redacted, sizeof(redacted));

        assert_text((struct tracez_text){redacted, bytes},
                    rows[i].expected != NULL ? rows[i].expected : rows[i].query);
        ck_assert_msg(has_secret(query, query_bytes) == (rows[i].expected != NULL), "%s",
                      rows[i].query);
        free(query);
    }
}
END_TEST

START_TEST(without_keys_nothing_is_redacted)
{
    const struct tracez_text query = {"sig=abc", 7};
    char redacted[16];

    size_t bytes = tracez_http_redact_query(query, NULL, 0, redacted, sizeof(redacted));

    assert_text((struct tracez_text){redacted, bytes}, "sig=abc");
    ck_assert(!tracez_http_query_has_secret(query, NULL, 0));
}
END_TEST

START_TEST(every_byte_may_stand_anywhere_in_a_query)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const char b = (char)byte;
        const char secret[] = {'s', 'i', 'g', '=', b, 's', 'e', 'c', b, '&', b, '=', b};
        const char near_miss[] = {'s', 'i', 'g', b, '=', '1'};
        char redacted[64];

        size_t bytes = redact(secret, sizeof(secret), redacted, sizeof(redacted));

        if (b == '&') { /* the secret is empty, what follows is not its value */
            assert_text((struct tracez_text){redacted, bytes}, "sig=REDACTED&sec&&&=&");
        } else {
            const char expected[] = {'s', 'i', 'g', '=', 'R', 'E', 'D', 'A',
                                     'C', 'T', 'E', 'D', '&', b,   '=', b};
            ck_assert_uint_eq(bytes, sizeof(expected));
            ck_assert_mem_eq(redacted, expected, sizeof(expected));
        }
        /* "sig" + byte is another key, but for "sig==1" */
        ck_assert(has_secret(near_miss, sizeof(near_miss)) == (b == '='));
    }
}
END_TEST

START_TEST(a_redacted_query_is_cut_at_every_length_and_stays_the_beginning_of_the_whole)
{
    static const char query[] = "q=\xe2\x82\xac\xf0\x9f\x9a\x80&sig=s3cr3t&"
                                "\xc3\x9f=1&Signature=s3cr3t&\xe2\x82\xac&sig=";
    const size_t query_bytes = sizeof(query) - 1;
    char whole[256];
    size_t whole_bytes = redact(query, query_bytes, whole, sizeof(whole));

    ck_assert_uint_eq(whole_bytes, query_bytes - 2 * strlen("s3cr3t") + 3 * strlen("REDACTED"));
    for (size_t max_bytes = 0; max_bytes <= whole_bytes; max_bytes++) {
        char *redacted = malloc(max_bytes == 0 ? 1 : max_bytes);
        ck_assert_ptr_nonnull(redacted);

        size_t bytes = redact(query, query_bytes, redacted, max_bytes);

        ck_assert_uint_eq(bytes, whole_characters(whole, whole_bytes, max_bytes));
        ck_assert_mem_eq(redacted, whole, bytes);
        free(redacted);
    }
}
END_TEST

/* What redaction should give, written without looking at the original: split, compare, join. */
static size_t redact_plainly(const char *query, size_t query_bytes, char *expected)
{
    size_t used = 0;
    size_t start = 0;

    for (size_t at = 0; at <= query_bytes; at++) {
        if (at < query_bytes && query[at] != '&') {
            continue;
        }
        if (at - start >= 4 && memcmp(query + start, "sig=", 4) == 0) {
            used += (size_t)sprintf(expected + used, "sig=REDACTED");
        } else {
            memcpy(expected + used, query + start, at - start);
            used += at - start;
        }
        if (at < query_bytes) {
            expected[used++] = '&';
        }
        start = at + 1;
    }
    return used;
}

START_TEST(random_queries_are_redacted_as_by_splitting_and_joining)
{
    static const char alphabet[] = {'s', 'i', 'g', '=', '&', '\0', (char)0xc3, (char)0x9f};

    srandom(12);
    for (int round = 0; round < 50000; round++) {
        char random_query[24];
        char expected[256];
        char redacted[256];
        size_t query_bytes = (size_t)random() % (sizeof(random_query) - 4);
        for (size_t i = 0; i < query_bytes; i++) {
            random_query[i] = alphabet[(size_t)random() % sizeof(alphabet)];
        }
        if (random() % 2 == 0) {
            memcpy(random_query + query_bytes, "sig=", 4);
            query_bytes += 4;
        }
        char *query = copy_exact(random_query, query_bytes);

        size_t bytes = redact(query, query_bytes, redacted, sizeof(redacted));

        size_t expected_bytes = redact_plainly(query, query_bytes, expected);
        bool is_changed = bytes != query_bytes || memcmp(redacted, query, bytes) != 0;
        if (bytes != expected_bytes || memcmp(redacted, expected, bytes) != 0 ||
            (is_changed && !has_secret(query, query_bytes))) {
            ck_abort_msg("\"%.*s\" became \"%.*s\"", (int)query_bytes, query, (int)bytes, redacted);
        }
        free(query);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redaction");
    TCase *queries = case_of(suite, "queries");

    tcase_add_test(queries, the_values_of_secret_keys_are_replaced_and_nothing_else);
    tcase_add_test(queries, without_keys_nothing_is_redacted);
    tcase_add_test(queries, every_byte_may_stand_anywhere_in_a_query);
    tcase_add_test(queries,
                   a_redacted_query_is_cut_at_every_length_and_stays_the_beginning_of_the_whole);
    tcase_add_test(queries, random_queries_are_redacted_as_by_splitting_and_joining);
    return run_suite(suite);
}
