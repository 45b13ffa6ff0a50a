/* SPDX-License-Identifier: MIT
 *
 * POST requests with libcurl. A handle keeps its options for life; only the body changes. What a
 * backend sends is bounded in every direction: time, headers, body, memory. Redirects are never
 * followed, and libcurl never looks for proxies of its own: bodies go where the configuration says.
 */
#include "retry_after.h"
#include "transport.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define KEPT_CAPACITY_MIN 1024
#define NAME_KEPT_S 1      /* connections are kept: who needs a new one has reason to ask again */
#define LOW_SPEED_BYTES 64 /* a second */
#define HTTP_PROXY_PASSWORD 407

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

/* No program that the host executes inherits a connection: libcurl leaves that to us. */
static int on_socket(void *state, curl_socket_t socket, curlsocktype purpose)
{
    (void)state;
    (void)purpose;
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    return CURL_SOCKOPT_OK;
}

/* ---- Options --------------------------------------------------------------------------------- */

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
        {CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
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

bool transfer_open(struct transfer *transfer, const struct transport *transport)
{
    char user_agent[64];

    if (transfer->easy != NULL) {
        return true;
    }
    CURL *easy = curl_easy_init();

    snprintf(user_agent, sizeof(user_agent), "tracez/%s", tracez_version());
    if (easy != NULL && set_numbers(easy, transport) && set_destination(easy, transport) &&
        certificates_apply(&transport->certificates, transport->config.verify, easy) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transport->headers) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK) {
        transfer->easy = easy;
        transfer->is_relayed = transport->proxy.url != NULL && !transport->endpoint.is_https;
        return true;
    }
    curl_easy_cleanup(easy);
    return false;
}

void transfer_close(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    free(transfer->kept);
    *transfer = (struct transfer){0};
}

bool transfer_begin(struct transfer *transfer, struct tracez_text body)
{
    transfer->kept_bytes = 0;
    transfer->read_bytes = 0;
    transfer->header_bytes = 0;
    transfer->sent_bytes = body.bytes;
    transfer->is_head_whole = false;
    transfer->retry_after_s = RETRY_AFTER_NONE;
    transfer->is_cut = false;
    transfer->detail[0] = '\0';
    return curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.text) == CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.bytes) ==
               CURLE_OK;
}

/* ---- Results --------------------------------------------------------------------------------- */

static enum transport_ending ending_of(const struct transfer *transfer, CURLcode code, long status)
{
    /* The backend has not seen the request yet. */
    if (transfer->is_relayed && status == HTTP_PROXY_PASSWORD) {
        return TRANSPORT_UNANSWERED;
    }
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

/* There may be a name out of the peer's certificate in it, and the text ends up in logs. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        *text = *text >= ' ' && *text <= '~' ? *text : '?';
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
    proxy_status = result->status == HTTP_PROXY_PASSWORD ? HTTP_PROXY_PASSWORD : proxy_status;
    if (proxy_status >= 300) {
        snprintf(result->text, sizeof(result->text), "the proxy answered HTTP %ld", proxy_status);
        return;
    }
    if (strstr(transfer->detail, "SSL") != NULL) { /* what of the certificate, and why */
        snprintf(result->text, sizeof(result->text), "%.127s", transfer->detail);
        make_printable(result->text);
        return;
    }
    snprintf(result->text, sizeof(result->text), "%s", text);
    uncapitalise(result->text);
}

void transfer_read(const struct transfer *transfer, CURLcode code, struct transport_result *result)
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
        .ending = ending_of(transfer, code, status),
        .status = (int)status,
        .retry_after_s = transfer->retry_after_s,
        .body = {transfer->kept, transfer->kept_bytes},
        .is_cut = transfer->is_cut || code != CURLE_OK,
        .connections_opened = (uint32_t)connections,
        .sent_bytes = transfer->sent_bytes,
    };
    describe(transfer, code, result);
}

void transfer_hang_up(const struct transfer *transfer)
{
    curl_socket_t socket = CURL_SOCKET_BAD;
    curl_off_t connected_us = 0;

    /* Where it did not get that far, libcurl names the connection of the request before. */
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &socket);
    if (connected_us > 0 && socket != CURL_SOCKET_BAD) {
        /* libcurl finds it shut when it looks for one to use, and closes it. */
        shutdown(socket, SHUT_RDWR);
    }
}
