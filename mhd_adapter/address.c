/* SPDX-License-Identifier: MIT
 *
 * Formatting addresses on the request path: IPv4, also where it comes as IPv6 (::ffff:192.0.2.1),
 * by hand, as inet_ntop takes longer than everything else that a span does. */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static char *write_byte(char *text, unsigned byte)
{
    if (byte >= 100) {
        *text++ = (char)('0' + byte / 100);
    }
    if (byte >= 10) {
        *text++ = (char)('0' + byte / 10 % 10);
    }
    *text++ = (char)('0' + byte % 10);
    return text;
}

static size_t write_v4(const unsigned char bytes[4], char *text)
{
    char *end = write_byte(text, bytes[0]);

    for (int i = 1; i < 4; i++) {
        *end++ = '.';
        end = write_byte(end, bytes[i]);
    }
    return (size_t)(end - text);
}

size_t address_format(const struct sockaddr *address, char text[ADDRESS_TEXT_BYTES], int *port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    *port = 0;
    if (address != NULL && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        *port = ntohs(v4.sin_port);
        return write_v4((const unsigned char *)&v4.sin_addr, text);
    }
    if (address != NULL && address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        *port = ntohs(v6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            return write_v4(v6.sin6_addr.s6_addr + 12, text);
        }
        return inet_ntop(AF_INET6, &v6.sin6_addr, text, ADDRESS_TEXT_BYTES) == NULL ? 0
                                                                                    : strlen(text);
    }
    return 0;
}
