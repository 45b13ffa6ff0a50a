/* SPDX-License-Identifier: MIT
 *
 * Checking and picking proxies; see proxy.h. As for endpoints, libcurl's own parser decides.
 *
 * A proxy of the environment is meant for what lies outside: like Go's and Python's clients, and
 * unlike curl, we reach this very machine without it. One that the configuration names is used for
 * everything. */
#include "proxy.h"

#include "refusal.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCHEME_DEFAULT "http://"

static bool is_printable(const char *text, char lowest)
{
    for (; *text != '\0'; text++) {
        if (*text < lowest || *text > '~') {
            return false;
        }
    }
    return true;
}

/* With a scheme, where none is written. NULL: no memory. */
static char *complete(const char *text)
{
    const char *scheme = strstr(text, "://") == NULL ? SCHEME_DEFAULT : "";
    size_t bytes = strlen(scheme) + strlen(text) + 1;
    char *whole = malloc(bytes);

    if (whole != NULL) {
        snprintf(whole, bytes, "%s%s", scheme, text);
    }
    return whole;
}

/* It may hold a password. */
static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK && strcmp(text, "/") != 0;

    curl_free(text);
    return has;
}

/* What is wrong with it, NULL: nothing. */
static const char *fault_of(CURLU *url, const char *text)
{
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);

    if (code != CURLUE_OK) {
        return curl_url_strerror(code);
    }
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0) {
        return "scheme must be http or https";
    }
    /* libcurl's default port, 1080, is nobody else's. */
    if (!has_part(url, CURLUPART_PORT)) {
        return "a port is needed, such as http://proxy:3128";
    }
    if (has_part(url, CURLUPART_PATH) || has_part(url, CURLUPART_QUERY) ||
        has_part(url, CURLUPART_FRAGMENT)) {
        return "it must end with the port";
    }
    return NULL;
}

static enum tracez_result check(const char *name, const char *text, struct tracez_error *error)
{
    char quoted[QUOTED_BYTES];
    const char *fault = NULL;

    if (text == NULL || text[0] == '\0') {
        return TRACEZ_OK;
    }
    quote(text, quoted);
    if (strnlen(text, PROXY_BYTES_MAX + 1) > PROXY_BYTES_MAX) {
        return refuse(error, TRACEZ_INVALID, "%s \"%s...\" rejected: over %d bytes", name, quoted,
                      PROXY_BYTES_MAX);
    }
    if (!is_printable(text, '!')) {
        fault = "only printable ASCII without spaces, anything else percent-encoded";
    } else {
        char *whole = complete(text);
        CURLU *url = curl_url();
        if (whole == NULL || url == NULL) {
            free_secret(whole);
            curl_url_cleanup(url);
            return refuse(error, TRACEZ_NO_MEMORY, "%s: no memory", name);
        }
        fault = fault_of(url, whole);
        free_secret(whole);
        curl_url_cleanup(url);
    }
    return fault == NULL
               ? TRACEZ_OK
               : refuse(error, TRACEZ_INVALID, "%s \"%s\" rejected: %s", name, quoted, fault);
}

static enum tracez_result check_all(const struct tracez_exporter_config *config,
                                    const struct endpoint *endpoint, struct tracez_error *error)
{
    const char *except = config->no_proxy != NULL ? config->no_proxy : "";
    enum tracez_result result = check("proxy", config->proxy, error);

    result = result != TRACEZ_OK ? result : check("http_proxy", config->http_proxy, error);
    result = result != TRACEZ_OK ? result : check("https_proxy", config->https_proxy, error);
    if (result != TRACEZ_OK) {
        return result;
    }
    if (strnlen(except, NO_PROXY_BYTES_MAX + 1) > NO_PROXY_BYTES_MAX ||
        !is_printable(except, ' ')) {
        return refuse(error, TRACEZ_INVALID,
                      "no_proxy rejected: names with commas between them, at most %d bytes",
                      NO_PROXY_BYTES_MAX);
    }
    if (endpoint->socket_path != NULL && config->proxy != NULL && config->proxy[0] != '\0') {
        return refuse(error, TRACEZ_INVALID,
                      "proxy rejected: the endpoint is a unix socket, which needs none");
    }
    return TRACEZ_OK;
}

enum tracez_result proxy_init(struct proxy *proxy, const struct tracez_exporter_config *config,
                              const struct endpoint *endpoint, struct tracez_error *error)
{
    const char *text = config->proxy;

    *proxy = (struct proxy){0};
    enum tracez_result result = check_all(config, endpoint, error);
    if (result != TRACEZ_OK) {
        return result;
    }
    if (text == NULL && !endpoint->is_local) {
        text = endpoint->is_https ? config->https_proxy : config->http_proxy;
    }
    if (text == NULL || text[0] == '\0') {
        return TRACEZ_OK;
    }
    bool has_except = config->proxy == NULL && config->no_proxy != NULL;
    proxy->url = complete(text);
    proxy->except = strdup(has_except ? config->no_proxy : "");
    if (proxy->url == NULL || proxy->except == NULL) {
        proxy_deinit(proxy);
        return refuse(error, TRACEZ_NO_MEMORY, "proxy: no memory");
    }
    return TRACEZ_OK;
}

void proxy_deinit(struct proxy *proxy)
{
    free_secret(proxy->url);
    free(proxy->except);
    *proxy = (struct proxy){0};
}
