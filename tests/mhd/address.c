/* SPDX-License-Identifier: MIT
 *
 * Goal: peers are written as inet_ntop writes them.
 * Method: what is no internet address first, then every value of each byte, then random IPv6,
 * against inet_ntop. */
#include "address.h"

#include "spans.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static void assert_formats(const struct sockaddr *address, const char *expected, int expected_port)
{
    char text[ADDRESS_TEXT_BYTES];
    int port = -1;

    size_t bytes = address_format(address, text, &port);

    assert_text((struct tracez_text){text, bytes}, expected);
    ck_assert_int_eq(port, expected_port);
}

START_TEST(what_is_no_internet_address_has_no_text)
{
    const struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};

    assert_formats(NULL, "", 0);
    assert_formats((const struct sockaddr *)&local, "", 0);
}
END_TEST

START_TEST(every_byte_of_ipv4_is_written_as_inet_ntop_does)
{
    for (int place = 0; place < 4; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            unsigned char bytes[4] = {10, 200, 0, 99};
            struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(50000)};
            struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
            char expected[INET_ADDRSTRLEN];
            bytes[place] = (unsigned char)byte;
            memcpy(&address.sin_addr, bytes, 4);
            mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
            memcpy(mapped.sin6_addr.s6_addr + 12, bytes, 4);
            inet_ntop(AF_INET, bytes, expected, sizeof(expected));

            assert_formats((const struct sockaddr *)&address, expected, 50000);
            assert_formats((const struct sockaddr *)&mapped, expected, 1);
        }
    }
}
END_TEST

START_TEST(ipv6_is_written_as_inet_ntop_does)
{
    srandom(3);
    for (int round = 0; round < 1000; round++) {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
        char expected[INET6_ADDRSTRLEN];
        for (int i = 0; i < 16; i++) {
            address.sin6_addr.s6_addr[i] = random() % 3 == 0 ? (unsigned char)random() : 0;
        }
        address.sin6_addr.s6_addr[0] = 0x20;
        inet_ntop(AF_INET6, &address.sin6_addr, expected, sizeof(expected));

        assert_formats((const struct sockaddr *)&address, expected, 443);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mhd address");
    TCase *formats = case_of(suite, "formats");

    tcase_add_test(formats, what_is_no_internet_address_has_no_text);
    tcase_add_test(formats, every_byte_of_ipv4_is_written_as_inet_ntop_does);
    tcase_add_test(formats, ipv6_is_written_as_inet_ntop_does);
    return run_suite(suite);
}
