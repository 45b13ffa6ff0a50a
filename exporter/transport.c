/* SPDX-License-Identifier: MIT
 *
 * POST requests with libcurl. A handle keeps its options for life; only the body changes. What a
 * backend sends is bounded in every direction: time, headers, body, memory. Redirects are never
 * followed, and libcurl never looks for proxies of its own: bodies go where the configuration says.
 */
#include "transport.h"

#include "header.h"
#include "refusal.h"
#include "retry_after.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_CAPACITY_MIN 1024
#define PAUSE_AFTER_ERROR_MS 100
#define NAME_KEPT_S 1      /* connections are kept: who needs a new one has reason to ask again */
#define LOW_SPEED_BYTES 64 /* a second */

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
        curl_easy_cleanup(transfer->easy);
        free(transfer->kept);
        *transfer = (struct transfer){0};
    }
    curl_multi_cleanup(transport->multi);
    transport->multi = NULL;
}

/* ---- Responses ------------------------------------------------------------------------------- */

static void keep(struct transfer *transfer, const char *bytes, size_t count)
{
    size_t kept = count < RESPONSE_KEPT_BYTES - transfer->kept_bytes
                      ? count
                      : RESPONSE_KEPT_BYTES - transfer->kept_bytes;
    size_t capacity = transfer->kept_capacity != 0 ? transfer->kept_capacity : KEPT_CAPACITY_MIN;

    transfer->is_cut = transfer->is_cut || kept < count;
    while (capacity < transfer->kept_bytes + kept) {
        capacity *= 2;
    }
    if (capacity > transfer->kept_capacity) {
        char *grown = realloc(transfer->kept, capacity);
        if (grown == NULL) {
            transfer->is_cut = true;
            return;
        }
        transfer->kept = grown;
        transfer->kept_capacity = capacity;
    }
    memcpy(transfer->kept + transfer->kept_bytes, bytes, kept);
    transfer->kept_bytes += kept;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *state)
{
    struct transfer *transfer = state;

    transfer->read_bytes += size * count;
    if (transfer->read_bytes > RESPONSE_READ_BYTES) {
        transfer->is_cut = true;
        return 0;
    }
    if (!transfer->is_cut && count > 0) {
        keep(transfer, bytes, size * count);
    }
    return size * count;
}

/* Who says it twice gets the longer pause. */
static void note_retry_after(struct transfer *transfer, struct tracez_text line)
{
    struct tracez_text value;

    if (retry_after_find(line, &value)) {
        int64_t seconds = retry_after_read(value, time(NULL));
        transfer->retry_after_s =
            seconds > transfer->retry_after_s ? seconds : transfer->retry_after_s;
    }
}

static size_t on_header(char *bytes, size_t size, size_t count, void *state)
{
    struct transfer *transfer = state;

    /* libcurl is content with a head that was cut off. */
    if (size * count >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        transfer->is_head_whole = false;
        transfer->retry_after_s = RETRY_AFTER_NONE;
    } else if (bytes[0] == '\r' || bytes[0] == '\n') {
        transfer->is_head_whole = true;
    }
    note_retry_after(transfer, (struct tracez_text){bytes, size * count});
    transfer->header_bytes += size * count;
    if (transfer->header_bytes > RESPONSE_HEADER_BYTES) {
        transfer->is_cut = true;
        return 0;
    }
    return size * count;
}

/* ---- Requests -------------------------------------------------------------------------------- */

struct number_option {
    CURLoption option;
    long value;
};

static bool set_numbers(CURL *easy, const struct transport *transport)
{
    const struct tracez_exporter_config *config = &transport->config;
    bool is_https = transport->endpoint.is_https;
    const struct number_option options[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_POST, 1},
        {CURLOPT_HTTP_VERSION, is_https ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1},
        {CURLOPT_PIPEWAIT, is_https},          /* rather than another handshake */
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1}, /* a proxy's answer is not the backend's */
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_QUICK_EXIT, 1}, /* do not wait for a name lookup that hangs */
        {CURLOPT_TIMEOUT_MS, (long)config->timeout_ms},
        {CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms},
        {CURLOPT_DNS_CACHE_TIMEOUT, NAME_KEPT_S},
        {CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES},
        {CURLOPT_LOW_SPEED_TIME, (long)(config->low_speed_timeout_ms + 999) / 1000},
        {CURLOPT_MAXAGE_CONN, (long)config->keepalive_timeout_ms / 1000},
        {CURLOPT_TCP_KEEPALIVE, 1},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (curl_easy_setopt(easy, options[i].option, options[i].value) != CURLE_OK) {
            return false;
        }
    }
    return true;
}

/* Empty texts, not NULL, keep libcurl from asking the environment. */
static bool set_destination(CURL *easy, const struct transport *transport)
{
    const struct proxy *proxy = &transport->proxy;
    const char *except = proxy->except != NULL ? proxy->except : "";

    return curl_easy_setopt(easy, CURLOPT_URL, transport->endpoint.url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, transport->endpoint.socket_path) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, proxy->url != NULL ? proxy->url : "") ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, except) == CURLE_OK;
}

static CURL *make_easy(const struct transport *transport, struct transfer *transfer)
{
    char user_agent[64];
    CURL *easy = curl_easy_init();

    snprintf(user_agent, sizeof(user_agent), "tracez/%s", tracez_version());
    if (easy != NULL && set_numbers(easy, transport) && set_destination(easy, transport) &&
        certificates_apply(&transport->certificates, transport->config.verify, easy) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transport->headers) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK) {
        return easy;
    }
    curl_easy_cleanup(easy);
    return NULL;
}

static struct transfer *free_transfer(struct transport *transport)
{
    for (uint32_t i = 0; i < transport->config.connections; i++) {
        struct transfer *transfer = &transport->transfers[i];
        if (transfer->request == NULL) {
            if (transfer->easy == NULL) {
                transfer->easy = make_easy(transport, transfer);
            }
            return transfer->easy != NULL ? transfer : NULL;
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

    if (transfer == NULL) {
        return false;
    }
    transfer->kept_bytes = 0;
    transfer->read_bytes = 0;
    transfer->header_bytes = 0;
    transfer->sent_bytes = body.bytes;
    transfer->is_head_whole = false;
    transfer->retry_after_s = RETRY_AFTER_NONE;
    transfer->is_cut = false;
    transfer->detail[0] = '\0';
    if (curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.text) != CURLE_OK ||
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.bytes) !=
            CURLE_OK ||
        curl_multi_add_handle(transport->multi, transfer->easy) != CURLM_OK) {
        return false;
    }
    transfer->request = request;
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

/* ---- Results --------------------------------------------------------------------------------- */

static enum transport_ending ending_of(CURLcode code, long status)
{
    /* A refusal stands however its response ended: many a backend closes before it has read all. */
    if (code == CURLE_OK || status >= 300) {
        return TRANSPORT_ANSWERED;
    }
    switch (code) {
    case CURLE_WRITE_ERROR: /* we cut it off */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return status >= 200 ? TRANSPORT_ANSWERED : TRANSPORT_BROKEN;
    case CURLE_OUT_OF_MEMORY: /* also libcurl's word for a header line that is too long */
        return status >= 200 ? TRANSPORT_ANSWERED : TRANSPORT_UNANSWERED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, which is to say: anything */
        return TRANSPORT_BROKEN;
    default:
        return TRANSPORT_UNANSWERED;
    }
}

/* Where libcurl's own words say too little. */
static const char *text_of(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "timed out";
    case CURLE_GOT_NOTHING:
        return "closed without an answer";
    case CURLE_PARTIAL_FILE:
        return "the answer was cut off";
    case CURLE_UNSUPPORTED_PROTOCOL:
        return "the answer is not HTTP/1.1 (a gRPC port?)";
    default:
        return curl_easy_strerror(code);
    }
}

/* libcurl's texts begin with a capital, ours follow a colon. */
static void uncapitalise(char *text)
{
    bool is_word = text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z';

    if (is_word) { /* not "SSL" */
        text[0] = (char)(text[0] - 'A' + 'a');
    }
}

static void describe(const struct transfer *transfer, CURLcode code,
                     struct transport_result *result)
{
    CURL *easy = transfer->easy;
    long os_error = 0;
    long proxy_status = 0;
    const char *text = text_of(code);
    char system_text[96] = "";

    if (result->ending == TRANSPORT_ANSWERED) {
        snprintf(result->text, sizeof(result->text), "HTTP %d", result->status);
        return;
    }
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
    if (code == CURLE_COULDNT_CONNECT && os_error != 0) {
        text = strerror_r((int)os_error, system_text, sizeof(system_text));
    }
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (proxy_status >= 300) {
        snprintf(result->text, sizeof(result->text), "the proxy answered HTTP %ld", proxy_status);
        return;
    }
    if (strstr(transfer->detail, "SSL") != NULL) { /* what of the certificate, and why */
        snprintf(result->text, sizeof(result->text), "%.127s", transfer->detail);
        return;
    }
    snprintf(result->text, sizeof(result->text), "%s", text);
    uncapitalise(result->text);
}

static void read_result(const struct transfer *transfer, CURLcode code,
                        struct transport_result *result)
{
    long status = 0;
    long connections = 0;

    if (code == CURLE_OK && !transfer->is_head_whole) {
        code = CURLE_PARTIAL_FILE;
    }
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connections);
    *result = (struct transport_result){
        .request = transfer->request,
        .ending = ending_of(code, status),
        .status = (int)status,
        .retry_after_s = transfer->retry_after_s,
        .body = {transfer->kept, transfer->kept_bytes},
        .is_cut = transfer->is_cut || code != CURLE_OK,
        .connections_opened = (uint32_t)connections,
        .sent_bytes = transfer->sent_bytes,
    };
    describe(transfer, code, result);
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
        read_result(transfer, code, result);
        end_transfer(transport, transfer);
        return true;
    }
    return false;
}
