/* SPDX-License-Identifier: MIT
 *
 * Through which proxy an endpoint is reached, if any: one that the configuration names, else what
 * http_proxy and its like said where somebody read the environment. libcurl itself never looks
 * there. Its user and password are for the wire only. */
#ifndef TRACEZ_EXPORTER_PROXY_H
#define TRACEZ_EXPORTER_PROXY_H

#include "endpoint.h"

#define PROXY_BYTES_MAX 2048
#define NO_PROXY_BYTES_MAX 4096

struct proxy {
    char *url;    /* owned; NULL: none */
    char *except; /* owned; hosts that are reached without it, as libcurl reads them; or NULL */
};

/* Checks all that config says about proxies and picks what is for this endpoint. Errors: INVALID,
 * NO_MEMORY. deinit accepts zero. */
enum tracez_result proxy_init(struct proxy *proxy, const struct tracez_exporter_config *config,
                              const struct endpoint *endpoint, struct tracez_error *error);
void proxy_deinit(struct proxy *proxy);

#endif
