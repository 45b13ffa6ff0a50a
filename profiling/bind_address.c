/* SPDX-License-Identifier: MIT
 *
 * "127.0.0.1:6060" and "[::1]:6060", there and back. */
#include "bind_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DIGITS_MAX 5
#define PORT_MAX 65535

static bool parse_port(const char *text, uint16_t *port)
{
    size_t digits = strspn(text, "0123456789");
    unsigned long number = strtoul(text, NULL, 10);

    if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] != '\0' || number > PORT_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

/* The host alone: "127.0.0.1", or "::1", which stands in brackets. */
static bool parse_host(union bind_address *address, const char *text, size_t bytes)
{
    char host[INET6_ADDRSTRLEN + 2];

    if (bytes >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, bytes);
    host[bytes] = '\0';
    if (bytes > 2 && host[0] == '[' && host[bytes - 1] == ']') {
        host[bytes - 1] = '\0';
        address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        return inet_pton(AF_INET6, host + 1, &address->v6.sin6_addr) == 1;
    }
    address->v4 = (struct sockaddr_in){.sin_family = AF_INET};
    return inet_pton(AF_INET, host, &address->v4.sin_addr) == 1;
}

enum tracez_result bind_address_parse(union bind_address *address, const char *text,
                                      struct tracez_error *error)
{
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    uint16_t port = 0;

    if (colon == NULL || !parse_host(address, text, (size_t)(colon - text)) ||
        !parse_port(colon + 1, &port)) {
        return tracez_error_fill(error, TRACEZ_INVALID,
                                 "profiling: address \"%.60s\" rejected: must be an IP address and "
                                 "a port, as in 127.0.0.1:6060 or [::1]:6060",
                                 text == NULL ? "" : text);
    }
    bind_address_set_port(address, port);
    return TRACEZ_OK;
}

void bind_address_format(const union bind_address *address, char text[BIND_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
        snprintf(text, BIND_ADDRESS_BYTES, "[%s]:%u", host, ntohs(address->v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
        snprintf(text, BIND_ADDRESS_BYTES, "%s:%u", host, ntohs(address->v4.sin_port));
    }
}

void bind_address_set_port(union bind_address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET6) {
        address->v6.sin6_port = htons(port);
    } else {
        address->v4.sin_port = htons(port);
    }
}
