/* SPDX-License-Identifier: MIT
 *
 * Where to listen, as text: an IP address and a port. No name is looked up. */
#ifndef TRACEZ_PROFILING_BIND_ADDRESS_H
#define TRACEZ_PROFILING_BIND_ADDRESS_H

#include <tracez/tracez.h>

#include <netinet/in.h>

#define BIND_ADDRESS_BYTES 64

union bind_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

enum tracez_result bind_address_parse(union bind_address *address, const char *text,
                                      struct tracez_error *error);

void bind_address_format(const union bind_address *address, char text[BIND_ADDRESS_BYTES]);

void bind_address_set_port(union bind_address *address, uint16_t port);

#endif
