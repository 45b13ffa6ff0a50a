/* SPDX-License-Identifier: MIT
 *
 * Calling other services over HTTP: each call is a CLIENT span below the current one, and carries
 * the trace. */
#ifndef EXAMPLES_CALLER_H
#define EXAMPLES_CALLER_H

#include <jansson.h>

#define CALLER_RESPONSE_BYTES_MAX 65536

/* Once, before any thread is started. */
void caller_init(void);

/* GET. url_template: what the span is named after. Returns the status, 0 without a response; *json
 * is the body, owned by the caller, NULL when it is no JSON. */
int caller_get(const char *url, const char *url_template, json_t **json);

/* POST of a JSON document (borrowed). Returns the status, 0 without a response. */
int caller_post(const char *url, const json_t *document);

#endif
