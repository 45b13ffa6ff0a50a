/* SPDX-License-Identifier: MIT
 *
 * Outgoing requests of libcurl; see <tracez/curl.h>.
 *
 * The list that libcurl gets has nodes of ours and texts of the application's: its own list is
 * neither copied nor changed, and freeing the nodes frees nothing of it. */
#include <tracez/curl.h>
#include <tracez/http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES_MAX 1024
#define OWN_HEADERS 2 /* traceparent, tracestate */

/* ---- Headers --------------------------------------------------------------------------------- */

static bool is_named(const char *line, const char *name)
{
    size_t bytes = strlen(name);

    return strncasecmp(line, name, bytes) == 0 && strchr(":; \t", line[bytes]) != NULL;
}

/* W3C Trace Context, section 2: exactly one of each leaves. */
static bool is_replaced(const char *line)
{
    return is_named(line, "traceparent") || is_named(line, "tracestate");
}

static void format_context(struct tracez_curl *call)
{
    char traceparent[TRACEZ_TRACEPARENT_TEXT_BYTES];
    char tracestate[TRACEZ_TRACESTATE_TEXT_BYTES];

    tracez_context_format_traceparent(&call->context, traceparent);
    snprintf(call->traceparent, sizeof(call->traceparent), "traceparent: %s", traceparent);
    call->tracestate[0] = '\0';
    if (tracez_context_format_tracestate(&call->context, tracestate, sizeof(tracestate)) > 0) {
        snprintf(call->tracestate, sizeof(call->tracestate), "tracestate: %s", tracestate);
    }
}

/* NULL: no memory. */
static struct curl_slist *make_list(struct tracez_curl *call)
{
    size_t count = OWN_HEADERS;
    struct curl_slist **end;

    for (const struct curl_slist *line = call->headers; line != NULL; line = line->next) {
        count++;
    }
    struct curl_slist *nodes = calloc(count, sizeof(nodes[0]));
    if (nodes == NULL) {
        return NULL;
    }
    struct curl_slist *node = nodes;
    node->data = call->traceparent;
    end = &node->next;
    if (call->tracestate[0] != '\0') {
        *end = ++node;
        node->data = call->tracestate;
        end = &node->next;
    }
    for (const struct curl_slist *line = call->headers; line != NULL; line = line->next) {
        if (!is_replaced(line->data)) {
            *end = ++node;
            node->data = line->data;
            end = &node->next;
        }
    }
    return nodes;
}

static void inject(struct tracez_curl *call)
{
    if (tracez_context_is_valid(&call->context)) {
        format_context(call);
        call->nodes = make_list(call);
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER,
                     call->nodes != NULL ? call->nodes : call->headers);
}

/* ---- Start ----------------------------------------------------------------------------------- */

void tracez_curl_start(struct tracez_curl *call, CURL *easy, struct curl_slist *headers,
                       const struct tracez_curl_options *options)
{
    static const struct tracez_curl_options defaults;
    struct tracez_context current;

    options = options != NULL ? options : &defaults;
    call->easy = easy;
    call->headers = headers;
    call->nodes = NULL;
    call->url_template = options->url_template;
    call->keeps_queries = options->keeps_queries;

    bool has_current = tracez_current_context(&current);
    struct tracez_tracer *tracer =
        options->tracer != NULL ? options->tracer : tracez_current_tracer();
    const struct tracez_context *parent = has_current ? &current : NULL;
    call->span =
        tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "HTTP",
                          options->parent != NULL ? options->parent : parent, &call->context);
    inject(call);
}

/* ---- Finish ---------------------------------------------------------------------------------- */

/* Classes of few values, in the manner of the conventions. */
static const char *error_type(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
    case CURLE_HTTP_RETURNED_ERROR: /* CURLOPT_FAILONERROR: the status says it */
        return NULL;
    case CURLE_OPERATION_TIMEDOUT:
        return TRACEZ_HTTP_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "name_resolution_error";
    case CURLE_COULDNT_CONNECT:
        return "connection_failed";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "server_certificate_invalid";
    case CURLE_SSL_CONNECT_ERROR:
        return "tls_handshake_failed";
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
        return TRACEZ_HTTP_TRUNCATED;
    case CURLE_GOT_NOTHING:
        return TRACEZ_HTTP_NO_RESPONSE;
    case CURLE_SEND_ERROR:
        return "request_truncated";
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_READ_ERROR:
    case CURLE_WRITE_ERROR:
        return TRACEZ_HTTP_CLIENT_ABORTED;
    default:
        return "transfer_failed";
    }
}

static struct tracez_text info_text(CURL *easy, CURLINFO info)
{
    const char *text = NULL;

    curl_easy_getinfo(easy, info, &text);
    return (struct tracez_text){text, text == NULL ? 0 : strlen(text)};
}

static int info_int(CURL *easy, CURLINFO info)
{
    long value = 0;

    curl_easy_getinfo(easy, info, &value);
    return (int)value;
}

static int64_t info_us(CURL *easy, CURLINFO info)
{
    curl_off_t value = 0;

    curl_easy_getinfo(easy, info, &value);
    return value;
}

static struct tracez_text version_text(CURL *easy)
{
    switch (info_int(easy, CURLINFO_HTTP_VERSION)) {
    case CURL_HTTP_VERSION_1_0:
        return (struct tracez_text){"1.0", 3};
    case CURL_HTTP_VERSION_1_1:
        return (struct tracez_text){"1.1", 3};
    case CURL_HTTP_VERSION_2_0:
        return (struct tracez_text){"2", 1};
    case CURL_HTTP_VERSION_3:
        return (struct tracez_text){"3", 1};
    default:
        return (struct tracez_text){NULL, 0};
    }
}

/* How long a phase took; libcurl's times count from the start of the transfer, 0 for a phase that
 * did not happen. */
static void set_phase(struct tracez_span span, const char *key, int64_t from_us, int64_t to_us)
{
    if (to_us > 0 && to_us >= from_us) {
        tracez_span_set_int(span, key, to_us - from_us);
    }
}

static void tag_times(struct tracez_span span, CURL *easy)
{
    int64_t resolved_us = info_us(easy, CURLINFO_NAMELOOKUP_TIME_T);
    int64_t connected_us = info_us(easy, CURLINFO_CONNECT_TIME_T);

    if (info_int(easy, CURLINFO_NUM_CONNECTS) > 0) {
        set_phase(span, "tracez.client.dns_us", 0, resolved_us);
        set_phase(span, "tracez.client.connect_us", resolved_us, connected_us);
        set_phase(span, "tracez.client.tls_us", connected_us,
                  info_us(easy, CURLINFO_APPCONNECT_TIME_T));
    }
    set_phase(span, "tracez.client.first_byte_us", info_us(easy, CURLINFO_PRETRANSFER_TIME_T),
              info_us(easy, CURLINFO_STARTTRANSFER_TIME_T));
}

/* What libcurl could not take apart, we would take apart wrongly: a password that is not escaped
 * must not become a host or a path. */
static struct tracez_text url_of(CURL *easy, CURLcode code)
{
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return (struct tracez_text){NULL, 0};
    }
    return info_text(easy, CURLINFO_EFFECTIVE_URL);
}

static void tag(const struct tracez_curl *call, CURLcode code)
{
    CURL *easy = call->easy;
    const struct tracez_http_call http = {
        .method = info_text(easy, CURLINFO_EFFECTIVE_METHOD),
        .url = url_of(easy, code),
        .peer_address = info_text(easy, CURLINFO_PRIMARY_IP),
        .peer_port = info_int(easy, CURLINFO_PRIMARY_PORT),
        .protocol_version = version_text(easy),
        .resend_count = info_int(easy, CURLINFO_REDIRECT_COUNT),
        .redacted_keys = call->keeps_queries ? NULL : tracez_http_redacted_keys_default,
        .redacted_key_count = call->keeps_queries ? 0 : TRACEZ_HTTP_REDACTED_KEYS_DEFAULT,
    };
    const char *template = call->url_template != NULL ? call->url_template : "";
    char name[NAME_BYTES_MAX];

    tracez_span_set_name(call->span, name,
                         tracez_http_span_name(http.method,
                                               (struct tracez_text){template, strlen(template)},
                                               name, sizeof(name)));
    tracez_http_tag_call(call->span, &http);
    tracez_http_tag_response(call->span, TRACEZ_KIND_CLIENT, info_int(easy, CURLINFO_RESPONSE_CODE),
                             error_type(code));
    if (code != CURLE_OK && code != CURLE_HTTP_RETURNED_ERROR) {
        tracez_span_set_status(call->span, TRACEZ_STATUS_ERROR, curl_easy_strerror(code));
    }
    tag_times(call->span, easy);
}

void tracez_curl_finish(struct tracez_curl *call, CURLcode code)
{
    if (tracez_span_is_recording(call->span)) {
        tag(call, code);
        tracez_span_finish(call->span);
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    free(call->nodes);
    call->nodes = NULL;
    call->span = (struct tracez_span){0};
}
