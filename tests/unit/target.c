/* SPDX-License-Identifier: MIT
 *
 * Goal: request targets and Host headers come apart as RFC 9112 writes them, whatever is in them.
 * Method: tables, what nobody should send first; then every truncation of the longest form, in
 * heap copies of their exact size, so that AddressSanitizer sees a read too far. */
#include "spans.h"

#include <tracez/http.h>

#include <stdlib.h>
#include <string.h>

static char *exact_copy(const char *text, size_t bytes)
{
    char *copy = malloc(bytes == 0 ? 1 : bytes);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, bytes);
    return copy;
}

/* ---- Targets --------------------------------------------------------------------------------- */

static void assert_target(const char *target, const char *expected_path, const char *expected_query)
{
    struct tracez_text path;
    struct tracez_text query;
    char *copy = exact_copy(target, strlen(target));

    tracez_http_split_target((struct tracez_text){copy, strlen(target)}, &path, &query);

    assert_text(path, expected_path);
    assert_text(query, expected_query);
    free(copy);
}

START_TEST(no_target_has_no_parts)
{
    struct tracez_text path = {"x", 1};
    struct tracez_text query = {"x", 1};

    tracez_http_split_target((struct tracez_text){NULL, 0}, &path, &query);

    ck_assert_uint_eq(path.bytes, 0);
    ck_assert_uint_eq(query.bytes, 0);
}
END_TEST

START_TEST(odd_targets_come_apart_without_a_guess)
{
    assert_target("", "", "");
    assert_target("?", "", "");
    assert_target("?a=1", "", "a=1");
    assert_target("#", "", "");
    assert_target("/#?a", "/", "");
    assert_target("/a#b", "/a", "");
    assert_target("/a?b#c?d", "/a", "b");
    assert_target("/a??b", "/a", "?b");
    assert_target("*", "*", "");
    assert_target("host:443", "host:443", "");
    assert_target("/http://host/x", "/http://host/x", "");
    assert_target("a:/", "a:/", "");
    assert_target("://", "://", "");
    assert_target("x?sig=a://b/c", "x", "sig=a://b/c");
    assert_target("1a://b/c", "1a://b/c", "");
    assert_target("s+v-1.0://b/c", "/c", "");
    assert_target("/\xff\x01?\xfe", "/\xff\x01", "\xfe");
}
END_TEST

START_TEST(a_target_has_a_path_and_perhaps_a_query)
{
    assert_target("/", "/", "");
    assert_target("/users/42", "/users/42", "");
    assert_target("/users/42?", "/users/42", "");
    assert_target("/users/42?a=1&b=2", "/users/42", "a=1&b=2");
}
END_TEST

START_TEST(an_absolute_target_loses_scheme_and_host)
{
    assert_target("http://host", "/", "");
    assert_target("http://host/", "/", "");
    assert_target("http://host:80/a/b?c=/d", "/a/b", "c=/d");
    assert_target("https://u:p@host?a=/b", "/", "a=/b");
    assert_target("https://[::1]:8080/x", "/x", "");
}
END_TEST

START_TEST(no_truncation_of_a_target_is_read_beyond_its_end)
{
    static const char longest[] = "https://user@host:8443/a/b?c=d#e";

    for (size_t bytes = 0; bytes <= strlen(longest); bytes++) {
        struct tracez_text path;
        struct tracez_text query;
        char *copy = exact_copy(longest, bytes);

        tracez_http_split_target((struct tracez_text){copy, bytes}, &path, &query);

        ck_assert_uint_le(path.bytes + query.bytes, bytes < 8 ? 8 : bytes);
        free(copy);
    }
}
END_TEST

/* ---- Hosts ----------------------------------------------------------------------------------- */

static void assert_host(const char *host, const char *expected_address, int expected_port)
{
    struct tracez_text address;
    int port = -1;
    char *copy = exact_copy(host, strlen(host));

    tracez_http_split_host((struct tracez_text){copy, strlen(host)}, &address, &port);

    assert_text(address, expected_address);
    ck_assert_int_eq(port, expected_port);
    free(copy);
}

START_TEST(odd_hosts_have_no_port)
{
    assert_host("", "", 0);
    assert_host(":", "", 0);
    assert_host("host:", "host", 0);
    assert_host("host:x", "host", 0);
    assert_host("host:8o", "host", 0);
    assert_host("host:0", "host", 0);
    assert_host("host:65536", "host", 0);
    assert_host("host:123456", "host", 0);
    assert_host("host:-1", "host", 0);
    assert_host("host: 80", "host", 0);
    assert_host("[", "", 0);
    assert_host("[]", "", 0);
    assert_host("[::1", "::1", 0);
    assert_host("[::1]8080", "::1", 0);
    assert_host("[::1]:", "::1", 0);
}
END_TEST

START_TEST(a_host_has_a_name_or_an_address_and_perhaps_a_port)
{
    assert_host("shop.example", "shop.example", 0);
    assert_host(" shop.example\t", "shop.example", 0);
    assert_host("shop.example:8443", "shop.example", 8443);
    assert_host("shop.example:65535", "shop.example", 65535);
    assert_host("192.0.2.1:80", "192.0.2.1", 80);
    assert_host("[2001:db8::1]", "2001:db8::1", 0);
    assert_host("[2001:db8::1]:8080", "2001:db8::1", 8080);
}
END_TEST

START_TEST(no_truncation_of_a_host_is_read_beyond_its_end)
{
    static const char longest[] = "[2001:db8::1]:65535";

    for (size_t bytes = 0; bytes <= strlen(longest); bytes++) {
        struct tracez_text address;
        int port;
        char *copy = exact_copy(longest, bytes);

        tracez_http_split_host((struct tracez_text){copy, bytes}, &address, &port);

        ck_assert_uint_le(address.bytes, strlen("2001:db8::1"));
        free(copy);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target");
    TCase *targets = case_of(suite, "targets");
    TCase *hosts = case_of(suite, "hosts");

    tcase_add_test(targets, no_target_has_no_parts);
    tcase_add_test(targets, odd_targets_come_apart_without_a_guess);
    tcase_add_test(targets, a_target_has_a_path_and_perhaps_a_query);
    tcase_add_test(targets, an_absolute_target_loses_scheme_and_host);
    tcase_add_test(targets, no_truncation_of_a_target_is_read_beyond_its_end);
    tcase_add_test(hosts, odd_hosts_have_no_port);
    tcase_add_test(hosts, a_host_has_a_name_or_an_address_and_perhaps_a_port);
    tcase_add_test(hosts, no_truncation_of_a_host_is_read_beyond_its_end);
    return run_suite(suite);
}
