/* SPDX-License-Identifier: MIT
 *
 * Fetching headers, addresses and ports of a connection. */
#include "message.h"

#include "address.h"

#include <string.h>
#include <strings.h>

#define VERSION_PREFIX "HTTP/"

static bool is_named(const char *key, size_t key_bytes, const char *name, size_t name_bytes)
{
    return key_bytes == name_bytes && strncasecmp(key, name, name_bytes) == 0;
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result read_header(void *state, enum MHD_ValueKind kind, const char *key,
                                   size_t key_bytes, const char *value, size_t value_bytes)
{
    struct message *message = state;
    struct tracez_text name = {key, key_bytes};
    struct tracez_text text = {value, value_bytes};

    (void)kind;
    if (is_named(key, key_bytes, "Host", 4)) {
        message->host = text;
    } else if (is_named(key, key_bytes, "User-Agent", 10)) {
        message->user_agent = text;
    } else {
        tracez_carrier_add(&message->carrier, name, text);
    }
    tracez_http_captures_add(message->captures, &message->captured, name, text);
    return MHD_YES;
}

void message_read(struct message *message, struct MHD_Connection *connection,
                  struct request *request)
{
    message->carrier = (struct tracez_carrier){
        .state_memory = request->target + request->target_bytes,
        .state_memory_bytes = REQUEST_TEXT_BYTES - request->target_bytes,
    };
    message->host = (struct tracez_text){NULL, 0};
    message->user_agent = (struct tracez_text){NULL, 0};
    message->captures = request->tracing->captures;
    message->captured.count = 0;
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, read_header, message);
}

static int bind_port(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON);
    const union MHD_DaemonInfo *daemon =
        info == NULL ? NULL : MHD_get_daemon_info(info->daemon, MHD_DAEMON_INFO_BIND_PORT);

    return daemon == NULL ? 0 : daemon->port;
}

static struct tracez_text scheme_of(struct MHD_Connection *connection)
{
    bool is_tls = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION) != NULL;

    return is_tls ? (struct tracez_text){"https", 5} : (struct tracez_text){"http", 4};
}

static const struct sockaddr *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info == NULL ? NULL : info->client_addr;
}

void message_tag(const struct message *message, struct MHD_Connection *connection,
                 const struct request *request, const char *version)
{
    const struct redaction *redaction = &request->tracing->redaction;
    char peer[ADDRESS_TEXT_BYTES];
    struct tracez_http_request http = {
        .method = request->method,
        .scheme = scheme_of(connection),
        .user_agent = message->user_agent,
        .redacted_keys = redaction->keys,
        .redacted_key_count = redaction->key_count,
        .redact_whole_query = redaction->whole,
    };

    tracez_http_split_target((struct tracez_text){request->target, request->target_bytes},
                             &http.path, &http.query);
    tracez_http_split_host(message->host, &http.server_address, &http.server_port);
    if (http.server_port == 0) {
        http.server_port = bind_port(connection);
    }
    http.peer_address = (struct tracez_text){peer, 0};
    http.peer_address.bytes = address_format(peer_of(connection), peer, &http.peer_port);
    http.client_address = http.peer_address;
    if (version != NULL && strncmp(version, VERSION_PREFIX, strlen(VERSION_PREFIX)) == 0) {
        version += strlen(VERSION_PREFIX);
        http.protocol_version = (struct tracez_text){version, strlen(version)};
    }
    tracez_http_tag_request(request->span, &http);
    tracez_http_captures_tag(message->captures, &message->captured, request->span);
}
