/* SPDX-License-Identifier: MIT
 *
 * Well-known tag keys: OpenTelemetry semantic conventions 1.44.0 and tracez's own. Passing one of
 * these constants instead of equal text stores the key in one byte and makes the call cheaper.
 *
 * The table has a fixed size for ever (rows x columns are ABI); an id, once given, keeps its
 * meaning: records in shared memory may be read by another version. Add at the end. */
#ifndef TRACEZ_KEYS_H
#define TRACEZ_KEYS_H

#ifdef __cplusplus
extern "C" {
#endif

#define TRACEZ_KEY_ROWS 256
#define TRACEZ_KEY_COLUMNS 64 /* a power of two: from address to id takes a shift */

#define TRACEZ_KEYS(X)                                                                             \
    X(HTTP_REQUEST_METHOD, "http.request.method")                                                  \
    X(HTTP_REQUEST_METHOD_ORIGINAL, "http.request.method_original")                                \
    X(HTTP_RESPONSE_STATUS_CODE, "http.response.status_code")                                      \
    X(HTTP_ROUTE, "http.route")                                                                    \
    X(HTTP_REQUEST_RESEND_COUNT, "http.request.resend_count")                                      \
    X(HTTP_REQUEST_BODY_SIZE, "http.request.body.size")                                            \
    X(HTTP_RESPONSE_BODY_SIZE, "http.response.body.size")                                          \
    X(URL_PATH, "url.path")                                                                        \
    X(URL_QUERY, "url.query")                                                                      \
    X(URL_SCHEME, "url.scheme")                                                                    \
    X(URL_FULL, "url.full")                                                                        \
    X(SERVER_ADDRESS, "server.address")                                                            \
    X(SERVER_PORT, "server.port")                                                                  \
    X(CLIENT_ADDRESS, "client.address")                                                            \
    X(CLIENT_PORT, "client.port")                                                                  \
    X(NETWORK_PEER_ADDRESS, "network.peer.address")                                                \
    X(NETWORK_PEER_PORT, "network.peer.port")                                                      \
    X(NETWORK_LOCAL_ADDRESS, "network.local.address")                                              \
    X(NETWORK_LOCAL_PORT, "network.local.port")                                                    \
    X(NETWORK_PROTOCOL_NAME, "network.protocol.name")                                              \
    X(NETWORK_PROTOCOL_VERSION, "network.protocol.version")                                        \
    X(USER_AGENT_ORIGINAL, "user_agent.original")                                                  \
    X(ERROR_TYPE, "error.type")                                                                    \
    X(TLS_PROTOCOL_NAME, "tls.protocol.name")                                                      \
    X(TLS_PROTOCOL_VERSION, "tls.protocol.version")                                                \
    X(TLS_CIPHER, "tls.cipher")                                                                    \
    X(EXCEPTION_TYPE, "exception.type")                                                            \
    X(EXCEPTION_MESSAGE, "exception.message")                                                      \
    X(DB_SYSTEM_NAME, "db.system.name")                                                            \
    X(DB_OPERATION_NAME, "db.operation.name")                                                      \
    X(DB_QUERY_TEXT, "db.query.text")                                                              \
    X(SERVICE_NAME, "service.name")                                                                \
    X(SERVICE_VERSION, "service.version")                                                          \
    X(SERVICE_INSTANCE_ID, "service.instance.id")                                                  \
    X(DEPLOYMENT_ENVIRONMENT_NAME, "deployment.environment.name")                                  \
    X(TRACEZ_SAMPLING_STRATEGY, "tracez.sampling.strategy")                                        \
    X(TRACEZ_SAMPLING_RATE, "tracez.sampling.rate")                                                \
    X(TRACEZ_SAMPLING_REASON, "tracez.sampling.reason")                                            \
    X(USER_ID, "user.id")                                                                          \
    X(ENDUSER_ID, "enduser.id")

enum tracez_key_id {
    TRACEZ_KEY_ID_NONE = 0,
#define TRACEZ_KEY_ID_NAME(name, text) TRACEZ_KEY_ID_##name,
    TRACEZ_KEYS(TRACEZ_KEY_ID_NAME)
#undef TRACEZ_KEY_ID_NAME
        TRACEZ_KEY_ID_COUNT
};

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const char tracez_keys[TRACEZ_KEY_ROWS][TRACEZ_KEY_COLUMNS];

/* TRACEZ_KEY(URL_PATH) is "url.path". */
#define TRACEZ_KEY(name) (tracez_keys[TRACEZ_KEY_ID_##name])

#ifdef __cplusplus
}
#endif

#endif
