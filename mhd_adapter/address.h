/* SPDX-License-Identifier: MIT
 *
 * A peer's address as text. */
#ifndef TRACEZ_MHD_ADDRESS_H
#define TRACEZ_MHD_ADDRESS_H

#include <stddef.h>

#define ADDRESS_TEXT_BYTES 46 /* INET6_ADDRSTRLEN */

struct sockaddr;

/* Writes the address without a NUL and returns its length, 0 when it is none of the internet (NULL,
 * AF_UNIX). */
size_t address_format(const struct sockaddr *address, char text[ADDRESS_TEXT_BYTES], int *port);

#endif
