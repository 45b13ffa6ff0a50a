/* SPDX-License-Identifier: MIT */
#include "caller.h"

#include <tracez/curl.h>

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000L

struct response {
    char text[CALLER_RESPONSE_BYTES_MAX];
    size_t bytes;
};

void caller_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* More than fits ends the transfer. */
static size_t receive(char *bytes, size_t size, size_t count, void *state)
{
    struct response *response = state;
    size_t all = size * count;

    if (all > sizeof(response->text) - response->bytes) {
        return 0;
    }
    memcpy(response->text + response->bytes, bytes, all);
    response->bytes += all;
    return all;
}

/* What there is of tracez in it has its name. */
static int perform(CURL *easy, struct curl_slist *headers, const char *url_template,
                   struct response *response)
{
    const struct tracez_curl_options options = {.url_template = url_template};
    struct tracez_curl call;
    long status = 0;

    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, response);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    tracez_curl_start(&call, easy, headers, &options);
    CURLcode code = curl_easy_perform(easy);
    tracez_curl_finish(&call, code);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return code == CURLE_OK ? (int)status : 0;
}

int caller_get(const char *url, const char *url_template, json_t **json)
{
    struct response *response = calloc(1, sizeof(*response));
    CURL *easy = curl_easy_init();
    int status = 0;

    *json = NULL;
    if (response != NULL && easy != NULL) {
        curl_easy_setopt(easy, CURLOPT_URL, url);
        status = perform(easy, NULL, url_template, response);
        *json = json_loadb(response->text, response->bytes, 0, NULL);
    }
    curl_easy_cleanup(easy);
    free(response);
    return status;
}

int caller_post(const char *url, const json_t *document)
{
    struct response *response = calloc(1, sizeof(*response));
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char *body = json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY);
    CURL *easy = curl_easy_init();
    int status = 0;

    if (response != NULL && headers != NULL && body != NULL && easy != NULL) {
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        status = perform(easy, headers, NULL, response);
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    free(body);
    free(response);
    return status;
}
