/* SPDX-License-Identifier: MIT
 *
 * Outgoing requests of libcurl as CLIENT spans: the trace goes out with the request, and what
 * libcurl knows of its course comes back as tags.
 *
 *   struct tracez_curl call;
 *   tracez_curl_start(&call, easy, headers, NULL);
 *   CURLcode code = curl_easy_perform(easy);
 *   tracez_curl_finish(&call, code);
 *
 * With curl_multi: start before curl_multi_add_handle, finish on CURLMSG_DONE. It stands in the
 * exporter's library because that is the one that links libcurl; it needs no exporter. */
#ifndef TRACEZ_CURL_H
#define TRACEZ_CURL_H

#include <tracez/tracez.h>

#include <curl/curl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero is a good default for each. */
struct tracez_curl_options {
    struct tracez_tracer *tracer;        /* NULL: the current one (tracez_current_tracer) */
    const struct tracez_context *parent; /* borrowed for the call; NULL: the current one */
    const char *url_template;            /* "/users/{id}": a part of the span's name; borrowed until
                                            finish */
    bool keeps_queries; /* do not redact the seven standard keys of url.full's query */
};

/* One transfer. Made by the caller, anywhere but in memory that moves; members are private, but for
 * span (tag it as you like) and context (what was sent). */
struct tracez_curl {
    struct tracez_span span;
    struct tracez_context context;
    CURL *easy;
    struct curl_slist *headers; /* the application's */
    struct curl_slist *nodes;   /* ours */
    const char *url_template;
    bool keeps_queries;
    char traceparent[72];
    char tracestate[TRACEZ_TRACESTATE_TEXT_BYTES + 16];
};

/* Starts the span and sets CURLOPT_HTTPHEADER: headers (what the application would set there, NULL
 * for nothing; borrowed until finish, never changed) with traceparent and tracestate in place of
 * whatever it has of them. A request that is not recorded hands the trace on all the same. Without
 * memory it goes out as it is. options may be NULL. [owner of easy] */
TRACEZ_API void tracez_curl_start(struct tracez_curl *call, CURL *easy, struct curl_slist *headers,
                                  const struct tracez_curl_options *options);

/* Tags and finishes the span, and sets CURLOPT_HTTPHEADER back to the application's list. To be
 * called once for each start, before easy is used again or cleaned up. [owner of easy]
 *
 * Tags, beside those of OpenTelemetry's conventions, in microseconds: tracez.client.dns_us,
 * tracez.client.connect_us, tracez.client.tls_us (of a new connection only) and
 * tracez.client.first_byte_us (from sending the request). */
TRACEZ_API void tracez_curl_finish(struct tracez_curl *call, CURLcode code);

#ifdef __cplusplus
}
#endif

#endif
