/* SPDX-License-Identifier: MIT
 *
 * Checking endpoints. libcurl's own parser decides, so that what is accepted here is what libcurl
 * will use; the mistakes that people make are looked for first, for the sake of a good answer. */
#include "endpoint.h"

#include "refusal.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define SOCKET_PATH_BYTES_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define SOCKET_HOST "localhost"
#define URL_TEXT_BYTES (ENDPOINT_BYTES_MAX + 32)

static bool ends_in(const char *text, const char *end)
{
    size_t text_bytes = strlen(text);
    size_t end_bytes = strlen(end);

    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static enum tracez_result refuse_no_scheme(const char *quoted, struct tracez_error *error)
{
    if (ends_in(quoted, ":4317")) {
        int host_bytes = (int)(strlen(quoted) - strlen(":4317"));
        return refuse(error, TRACEZ_INVALID,
                      "endpoint \"%s\" rejected: no scheme; 4317 is usually gRPC, tracez speaks "
                      "OTLP/HTTP: try http://%.*s:4318",
                      quoted, host_bytes, quoted);
    }
    return refuse(error, TRACEZ_INVALID, "endpoint \"%s\" rejected: no scheme: try http://%s%s",
                  quoted, quoted[0] == '/' ? "localhost:4318" : "", quoted);
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncasecmp(text, beginning, strlen(beginning)) == 0;
}

/* What stands behind "unix:"; NULL: it is another address, perhaps of a host of that name. */
static const char *find_socket(const char *text)
{
    if (begins_with(text, "unix:")) {
        return text + strlen("unix:");
    }
    if (begins_with(text, "http://unix:/") || begins_with(text, "https://unix:/")) {
        return strchr(text + strlen("https:"), ':') + 1;
    }
    return NULL;
}

static enum tracez_result check_text(const char *text, struct tracez_error *error)
{
    char quoted[QUOTED_BYTES];

    if (text == NULL || text[0] == '\0') {
        return refuse(error, TRACEZ_INVALID,
                      "endpoint \"\" rejected: a URL is needed, such as http://localhost:4318");
    }
    quote(text, quoted);
    if (strnlen(text, ENDPOINT_BYTES_MAX + 1) > ENDPOINT_BYTES_MAX) {
        return refuse(error, TRACEZ_INVALID, "endpoint \"%s...\" rejected: over %d bytes", quoted,
                      ENDPOINT_BYTES_MAX);
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return refuse(error, TRACEZ_INVALID,
                          "endpoint \"%s\" rejected: only printable ASCII without spaces, "
                          "anything else percent-encoded",
                          quoted);
        }
    }
    if (strchr(text, '#') != NULL) {
        return refuse(error, TRACEZ_INVALID, "endpoint \"%s\" rejected: it has a fragment (#)",
                      quoted);
    }
    if (find_socket(text) != NULL) {
        return TRACEZ_OK;
    }
    if (strstr(text, "://") == NULL) {
        return refuse_no_scheme(quoted, error);
    }
    if (!begins_with(text, "http://") && !begins_with(text, "https://")) {
        return refuse(error, TRACEZ_INVALID,
                      "endpoint \"%s\" rejected: scheme must be http or https", quoted);
    }
    return TRACEZ_OK;
}

/* Takes the socket's path out, if there is one; url_text is what is left for libcurl. It is as long
 * as text and a host. */
static enum tracez_result take_socket(struct endpoint *endpoint, const char *text, char *url_text,
                                      struct tracez_error *error)
{
    const char *path = find_socket(text);
    char quoted[QUOTED_BYTES];

    if (path == NULL) {
        memcpy(url_text, text, strlen(text) + 1);
        return TRACEZ_OK;
    }
    size_t path_bytes = strcspn(path, ":");
    const char *rest = path + path_bytes;
    quote(text, quoted);
    if (path[0] != '/' || (rest[0] == ':' && rest[1] != '/')) {
        return refuse(error, TRACEZ_INVALID,
                      "endpoint \"%s\" rejected: a unix socket is unix:/path, or "
                      "http://unix:/path:/v1/traces with the request's path",
                      quoted);
    }
    if (path_bytes > SOCKET_PATH_BYTES_MAX) {
        return refuse(error, TRACEZ_INVALID,
                      "endpoint \"%s...\" rejected: a unix socket's path has up to %zu bytes",
                      quoted, SOCKET_PATH_BYTES_MAX);
    }
    endpoint->socket_path = malloc(path_bytes + 1);
    if (endpoint->socket_path == NULL) {
        return refuse(error, TRACEZ_NO_MEMORY, "endpoint: no memory");
    }
    memcpy(endpoint->socket_path, path, path_bytes);
    endpoint->socket_path[path_bytes] = '\0';
    snprintf(url_text, URL_TEXT_BYTES, "%s://" SOCKET_HOST "%s",
             begins_with(text, "https://") ? "https" : "http", rest + (rest[0] == ':'));
    return TRACEZ_OK;
}

/* One part of a URL, empty where it has none; NULL: no memory. Freed with curl_free. */
static char *part_of(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, 0);

    if (code == CURLUE_OUT_OF_MEMORY || code == CURLUE_OK) {
        return text;
    }
    return curl_easy_escape(NULL, "", 0); /* an empty text of libcurl's own memory */
}

static bool is_loopback(const char *host)
{
    struct in_addr address;
    bool is_number = inet_pton(AF_INET, host, &address) == 1;

    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (is_number && ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET);
}

static bool show(struct endpoint *endpoint, CURLU *url)
{
    char *scheme = part_of(url, CURLUPART_SCHEME);
    char *host = part_of(url, CURLUPART_HOST);
    char *port = part_of(url, CURLUPART_PORT);
    char *path = part_of(url, CURLUPART_PATH);
    bool is_complete = scheme != NULL && host != NULL && port != NULL && path != NULL;

    if (is_complete) {
        bool is_socket = endpoint->socket_path != NULL;
        int bytes = snprintf(endpoint->shown, sizeof(endpoint->shown), "%s://%s%s%s%s", scheme,
                             is_socket ? "unix:" : host,
                             is_socket         ? endpoint->socket_path
                             : port[0] != '\0' ? ":"
                                               : "",
                             is_socket ? ":" : port, path);
        endpoint->is_https = strcmp(scheme, "https") == 0;
        endpoint->is_local = is_socket || is_loopback(host);
        if (bytes >= (int)sizeof(endpoint->shown)) {
            memcpy(endpoint->shown + sizeof(endpoint->shown) - 4, "...", 4);
        }
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    return is_complete;
}

static bool has_port_zero(CURLU *url)
{
    char *port = part_of(url, CURLUPART_PORT);
    bool is_zero = port != NULL && port[0] != '\0' && strtol(port, NULL, 10) == 0;

    curl_free(port);
    return is_zero;
}

/* The URL's own path and then the other one, with one slash between them. */
static bool add_path(CURLU *url, const char *path)
{
    char *own_path = part_of(url, CURLUPART_PATH);
    size_t own_bytes = own_path == NULL ? 0 : strlen(own_path);
    size_t path_bytes = strlen(path) + 1;
    char *whole = own_path == NULL ? NULL : malloc(own_bytes + path_bytes);
    bool is_done = whole != NULL;

    if (is_done) {
        while (own_bytes > 0 && own_path[own_bytes - 1] == '/') {
            own_bytes--;
        }
        memcpy(whole, own_path, own_bytes);
        memcpy(whole + own_bytes, path, path_bytes);
        is_done = curl_url_set(url, CURLUPART_PATH, whole, 0) == CURLUE_OK;
    }
    free(whole);
    curl_free(own_path);
    return is_done;
}

static bool complete_path(CURLU *url, const char *path)
{
    char *own_path = part_of(url, CURLUPART_PATH);
    bool is_done = own_path != NULL;

    if (is_done && (own_path[0] == '\0' || strcmp(own_path, "/") == 0)) {
        is_done = curl_url_set(url, CURLUPART_PATH, path, 0) == CURLUE_OK;
    }
    curl_free(own_path);
    return is_done;
}

static bool set_path(CURLU *url, enum tracez_endpoint_form form, const char *path)
{
    switch (form) {
    case TRACEZ_ENDPOINT_EXACT:
        return true;
    case TRACEZ_ENDPOINT_BASE:
        return add_path(url, path);
    default:
        return complete_path(url, path);
    }
}

/* Takes URL and shown text out. */
static enum tracez_result take(struct endpoint *endpoint, CURLU *url, struct tracez_error *error)
{
    char *text = NULL;
    bool is_done = curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK;

    endpoint->url = is_done ? strdup(text) : NULL;
    curl_free(text);
    if (endpoint->url == NULL || !show(endpoint, url)) {
        return refuse(error, TRACEZ_NO_MEMORY, "endpoint: no memory");
    }
    return TRACEZ_OK;
}

/* What libcurl's parser makes of it, and of the path. */
static enum tracez_result take_url(struct endpoint *endpoint, const char *text,
                                   enum tracez_endpoint_form form, const char *path,
                                   struct tracez_error *error)
{
    char quoted[QUOTED_BYTES];
    CURLU *url = curl_url();
    CURLUcode code = url != NULL ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
    enum tracez_result result;

    quote(text, quoted);
    if (code == CURLUE_OUT_OF_MEMORY) {
        result = refuse(error, TRACEZ_NO_MEMORY, "endpoint \"%s\": no memory", quoted);
    } else if (code != CURLUE_OK) {
        result = refuse(error, TRACEZ_INVALID, "endpoint \"%s\" rejected: %s", quoted,
                        curl_url_strerror(code));
    } else if (has_port_zero(url)) {
        result = refuse(error, TRACEZ_INVALID, "endpoint \"%s\" rejected: port must be 1 to 65535",
                        quoted);
    } else if (!set_path(url, form, path)) {
        result = refuse(error, TRACEZ_NO_MEMORY, "endpoint: no memory");
    } else {
        result = take(endpoint, url, error);
    }
    curl_url_cleanup(url);
    return result;
}

enum tracez_result endpoint_init(struct endpoint *endpoint, const char *text,
                                 enum tracez_endpoint_form form, const char *path,
                                 struct tracez_error *error)
{
    char url_text[URL_TEXT_BYTES];
    enum tracez_result result = check_text(text, error);

    *endpoint = (struct endpoint){0};
    if (result == TRACEZ_OK) {
        result = take_socket(endpoint, text, url_text, error);
    }
    if (result == TRACEZ_OK) {
        result = take_url(endpoint, url_text, form, path, error);
    }
    if (result != TRACEZ_OK) {
        endpoint_deinit(endpoint);
    }
    return result;
}

void endpoint_deinit(struct endpoint *endpoint)
{
    free(endpoint->url);
    free(endpoint->socket_path);
    endpoint->url = NULL;
    endpoint->socket_path = NULL;
}
