/* SPDX-License-Identifier: MIT
 *
 * A traced service of libmicrohttpd, from its command line to its end: listens, serves with a
 * thread for each connection, and leaves at SIGINT, SIGTERM or SIGHUP. Where its spans go, and all
 * else about them, is in the environment: TRACEZ_* and OTEL_*. */
#ifndef EXAMPLES_SERVICE_H
#define EXAMPLES_SERVICE_H

#include <microhttpd.h>
#include <stdint.h>

struct service {
    const char *name;    /* of messages, and of the resource where the environment has none */
    const char *purpose; /* for --help */
    uint16_t port;       /* unless the command line has another */

    /* The application's handler and completed callback (NULL: none), as MHD_start_daemon takes
     * them; their state is the service's own URL, a text: "http://127.0.0.1:8081". */
    MHD_AccessHandlerCallback handle;
    MHD_RequestCompletedCallback completed;
};

/* Returns the program's status. */
int service_run(const struct service *service, int argc, char **argv);

#endif
