/* SPDX-License-Identifier: MIT
 *
 * The socket that an example listens on. Opened by us and handed to libmicrohttpd, which would not
 * say why it cannot listen. */
#ifndef EXAMPLES_LISTENER_H
#define EXAMPLES_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of an option; false when it is not a number from 0 to 65535. */
bool listener_parse_port(const char *text, uint16_t *port);

/* address: numeric, IPv4 or IPv6; port 0 takes any that is free. Returns the socket, owned by the
 * caller, or -1 and a text for people. */
int listener_open(const char *address, uint16_t port, char *error, size_t error_bytes);

/* "http://127.0.0.1:4318", as it came to be. */
void listener_format_url(int listener, char *url, size_t url_bytes);

#endif
