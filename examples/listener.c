/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool listener_parse_port(const char *text, uint16_t *port)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 5 || text[digits] != '\0' || atoi(text) > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)atoi(text);
    return true;
}

/* The socket; -1 with errno. */
static int open_at(const struct addrinfo *place)
{
    int listener = socket(place->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (listener == -1) {
        return -1;
    }
    /* Connections of an earlier run that still linger are no reason to refuse. */
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, place->ai_addr, place->ai_addrlen) == 0 &&
        listen(listener, SOMAXCONN) == 0) {
        return listener;
    }
    int reason = errno;
    close(listener);
    errno = reason;
    return -1;
}

int listener_open(const char *address, uint16_t port, char *error, size_t error_bytes)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *place = NULL;
    char digits[8];

    snprintf(digits, sizeof(digits), "%u", (unsigned)port);
    if (getaddrinfo(address, digits, &hints, &place) != 0) {
        snprintf(error, error_bytes, "\"%s\" is not a numeric IP address", address);
        return -1;
    }
    int listener = open_at(place);
    if (listener == -1) {
        snprintf(error, error_bytes, "cannot listen on %s port %u: %s%s", address, (unsigned)port,
                 strerror(errno), errno == EADDRINUSE ? " (--port 0 takes one that is free)" : "");
    }
    freeaddrinfo(place);
    return listener;
}

void listener_format_url(int listener, char *url, size_t url_bytes)
{
    struct sockaddr_storage place = {0};
    socklen_t place_bytes = sizeof(place);
    char address[64] = "?";
    char port[8] = "?";

    if (getsockname(listener, (struct sockaddr *)&place, &place_bytes) == 0) {
        getnameinfo((struct sockaddr *)&place, place_bytes, address, sizeof(address), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    }
    snprintf(url, url_bytes, place.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s",
             address, port);
}
