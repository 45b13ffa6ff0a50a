/* SPDX-License-Identifier: MIT */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

enum MHD_Result reply_send(struct MHD_Connection *connection, unsigned status, json_t *document)
{
    char *text = document == NULL ? NULL : json_dumps(document, JSON_INDENT(2));
    struct MHD_Response *response =
        text == NULL ? NULL
                     : MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_NO;

    json_decref(document);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result reply_send_file_instead(struct MHD_Connection *connection, const char *path)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "X-Accel-Redirect", path);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}
