/* SPDX-License-Identifier: MIT
 *
 * Where spans are sent: a checked URL, and how it may be shown. User, password and query are for
 * the wire only.
 *
 * A unix socket is written as nginx writes it: unix:/path, or http://unix:/path:/v1/traces with the
 * request's path behind the socket's. Its Host is localhost. */
#ifndef TRACEZ_EXPORTER_ENDPOINT_H
#define TRACEZ_EXPORTER_ENDPOINT_H

#include <tracez/exporter.h>

#define ENDPOINT_BYTES_MAX 2048
#define ENDPOINT_SHOWN_BYTES 256

struct endpoint {
    char *url;         /* owned; as libcurl gets it */
    char *socket_path; /* owned; of a unix socket; NULL: TCP */
    bool is_https;
    bool is_local;                    /* this machine, without asking a name server */
    char shown[ENDPOINT_SHOWN_BYTES]; /* scheme, host, port and path */
};

/* Checks a URL and completes it with path, as its form wants it. Errors: INVALID, NO_MEMORY. */
enum tracez_result endpoint_init(struct endpoint *endpoint, const char *text,
                                 enum tracez_endpoint_form form, const char *path,
                                 struct tracez_error *error);
void endpoint_deinit(struct endpoint *endpoint);

#endif
