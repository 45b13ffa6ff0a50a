/* SPDX-License-Identifier: MIT
 *
 * JSON documents as responses. */
#ifndef EXAMPLES_REPLY_H
#define EXAMPLES_REPLY_H

#include <jansson.h>
#include <microhttpd.h>

/* document is taken; NULL: there was no memory for it. */
enum MHD_Result reply_send(struct MHD_Connection *connection, unsigned status, json_t *document);

/* The same, and nginx is told to send a file instead (X-Accel-Redirect). */
enum MHD_Result reply_send_file_instead(struct MHD_Connection *connection, const char *path);

#endif
