/* SPDX-License-Identifier: MIT
 *
 * The pool of connections: which transfers are under way, and waiting for any of them. What one of
 * them is, and what becomes of it, is in transfer.c. */
#include "transport.h"

#include "header.h"
#include "refusal.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#define PAUSE_AFTER_ERROR_MS 100

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result; /* written under global_once */

static void init_global(void)
{
    global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

static bool add_header(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);

    *headers = longer != NULL ? longer : *headers;
    return longer != NULL;
}

static bool add_headers(struct transport *transport, const struct tracez_exporter_config *config)
{
    char line[HEADER_LINE_BYTES_MAX];
    /* Without "Expect:" libcurl waits a second for permission to send more than 1 MB. */
    bool is_added = add_header(&transport->headers, "Content-Type: application/json") &&
                    add_header(&transport->headers, "Expect:") &&
                    (config->compression == TRACEZ_COMPRESSION_NONE ||
                     add_header(&transport->headers, "Content-Encoding: gzip"));

    for (size_t i = 0; i < config->header_count && is_added; i++) {
        header_format(&config->headers[i], line);
        is_added = add_header(&transport->headers, line);
    }
    if (is_added && config->header_list != NULL) {
        struct header_list *list = malloc(sizeof(*list));
        is_added = list != NULL && header_list_read(list, config->header_list);
        for (size_t i = 0; is_added && i < list->count; i++) {
            header_format(&list->headers[i], line);
            is_added = add_header(&transport->headers, line);
        }
        free(list);
    }
    return is_added;
}

/* What config points to is the caller's, and may be gone by the time that somebody looks. */
static struct tracez_exporter_config numbers_of(const struct tracez_exporter_config *config)
{
    struct tracez_exporter_config numbers = *config;

    numbers.endpoint = NULL;
    numbers.headers = NULL;
    numbers.header_count = 0;
    numbers.header_list = NULL;
    numbers.trusted_certificate = (struct tracez_text){NULL, 0};
    numbers.certificate = (struct tracez_text){NULL, 0};
    numbers.certificate_key = (struct tracez_text){NULL, 0};
    numbers.trusted_certificate_file = NULL;
    numbers.certificate_file = NULL;
    numbers.certificate_key_file = NULL;
    numbers.proxy = NULL;
    numbers.http_proxy = NULL;
    numbers.https_proxy = NULL;
    numbers.no_proxy = NULL;
    numbers.paces = NULL;
    numbers.pace_count = 0;
    return numbers;
}

enum tracez_result transport_init(struct transport *transport,
                                  const struct tracez_exporter_config *config, const char *path,
                                  struct tracez_error *error)
{
    *transport = (struct transport){.config = numbers_of(config)};

    enum tracez_result result =
        endpoint_init(&transport->endpoint, config->endpoint, config->endpoint_form, path, error);
    if (result == TRACEZ_OK) {
        result = proxy_init(&transport->proxy, config, &transport->endpoint, error);
    }
    if (result == TRACEZ_OK) {
        result = certificates_init(&transport->certificates, config, error);
    }
    if (result != TRACEZ_OK) {
        transport_deinit(transport);
        return result;
    }
    transport->transfers = calloc(config->connections, sizeof(transport->transfers[0]));
    if (transport->transfers == NULL || !add_headers(transport, config)) {
        transport_deinit(transport);
        return refuse(error, TRACEZ_NO_MEMORY, "exporter: no memory");
    }
    return TRACEZ_OK;
}

void transport_deinit(struct transport *transport)
{
    endpoint_deinit(&transport->endpoint);
    proxy_deinit(&transport->proxy);
    certificates_deinit(&transport->certificates);
    curl_slist_free_all(transport->headers);
    free(transport->transfers);
    *transport = (struct transport){0};
}

bool transport_open(struct transport *transport)
{
    long connections = (long)transport->config.connections;

    pthread_once(&global_once, init_global);
    transport->multi = global_result == CURLE_OK ? curl_multi_init() : NULL;
    if (transport->multi == NULL) {
        return false;
    }
    /* Without descriptors libcurl does without what wakes it, and nobody could end a wait. */
    if (curl_multi_wakeup(transport->multi) != CURLM_OK) {
        transport_close(transport);
        return false;
    }
    curl_multi_setopt(transport->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(transport->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
    curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, connections);
    return true;
}

static void end_transfer(struct transport *transport, struct transfer *transfer)
{
    curl_multi_remove_handle(transport->multi, transfer->easy);
    transfer->request = NULL;
    transport->active--;
}

void transport_close(struct transport *transport)
{
    if (transport->multi == NULL) {
        return;
    }
    for (uint32_t i = 0; i < transport->config.connections; i++) {
        struct transfer *transfer = &transport->transfers[i];
        if (transfer->request != NULL) {
            end_transfer(transport, transfer);
        }
        transfer_close(transfer);
    }
    curl_multi_cleanup(transport->multi);
    transport->multi = NULL;
}

/* ---- Requests ------------------------------------------------------------------------------- */

static struct transfer *free_transfer(struct transport *transport)
{
    for (uint32_t i = 0; i < transport->config.connections; i++) {
        struct transfer *transfer = &transport->transfers[i];
        if (transfer->request == NULL) {
            return transfer_open(transfer, transport) ? transfer : NULL;
        }
    }
    return NULL;
}

bool transport_is_full(const struct transport *transport)
{
    return transport->active == transport->config.connections;
}

bool transport_send(struct transport *transport, struct tracez_text body, void *request)
{
    struct transfer *transfer = free_transfer(transport);

    if (transfer == NULL || !transfer_begin(transfer, body) ||
        curl_multi_add_handle(transport->multi, transfer->easy) != CURLM_OK) {
        return false;
    }
    transfer->request = request;
    transfer->answers_before = transport->answers;
    transport->active++;
    return true;
}

void transport_wait(struct transport *transport, const int *wake_fds, unsigned wake_fd_count,
                    int timeout_ms)
{
    struct curl_waitfd wakes[TRACEZ_LANES_MAX];
    int running;

    for (unsigned i = 0; i < wake_fd_count; i++) {
        wakes[i] = (struct curl_waitfd){.fd = wake_fds[i], .events = CURL_WAIT_POLLIN};
    }
    if (curl_multi_poll(transport->multi, wakes, wake_fd_count, timeout_ms, NULL) != CURLM_OK) {
        /* No memory, or no descriptors: it may go by, but not sooner for asking at once. */
        poll(NULL, 0, timeout_ms < PAUSE_AFTER_ERROR_MS ? timeout_ms : PAUSE_AFTER_ERROR_MS);
    }
    curl_multi_perform(transport->multi, &running);
}

void transport_wake(struct transport *transport)
{
    if (transport->multi != NULL) {
        curl_multi_wakeup(transport->multi);
    }
}

/* Over HTTP/2, which TLS leads to, a request that took too long leaves its connection open for
 * others. One through which nothing has come back since is dead, and would be asked again and
 * again. */
static void mind_connection(struct transport *transport, const struct transfer *transfer,
                            CURLcode code, enum transport_ending ending)
{
    if (ending == TRANSPORT_ANSWERED) {
        transport->answers++;
    } else if (code == CURLE_OPERATION_TIMEDOUT && transport->endpoint.is_https &&
               transport->answers == transfer->answers_before) {
        transfer_hang_up(transfer);
    }
}

bool transport_next(struct transport *transport, struct transport_result *result)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
        char *private = NULL;

        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = message->data.result; /* removing the handle frees the message */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct transfer *transfer = (struct transfer *)(void *)private;
        transfer_read(transfer, code, result);
        mind_connection(transport, transfer, code, result->ending);
        end_transfer(transport, transfer);
        return true;
    }
    return false;
}
