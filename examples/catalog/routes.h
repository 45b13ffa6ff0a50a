/* SPDX-License-Identifier: MIT
 *
 * What the catalog answers to which path. */
#ifndef EXAMPLES_ROUTES_H
#define EXAMPLES_ROUTES_H

#include <microhttpd.h>

/* own_url: where the catalog itself can be asked, "http://127.0.0.1:8081". */
enum MHD_Result routes_answer(struct MHD_Connection *connection, const char *method,
                              const char *path, const char *own_url);

#endif
