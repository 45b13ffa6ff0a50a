/* SPDX-License-Identifier: MIT
 *
 * Reading the adapter's settings from the environment. */
#include "adapter.h"

#include <string.h>

#define SEPARATORS " \t,"
#define KNOWN_METHODS "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE,QUERY"

/* What a word of a list stands for; 0: nothing to extract. */
struct propagator {
    const char *name;
    unsigned formats;
};

static const struct propagator of_opentelemetry[] = {
    {"tracecontext", TRACEZ_PROPAGATE_W3C},
    {"b3", TRACEZ_PROPAGATE_B3},
    {"b3multi", TRACEZ_PROPAGATE_B3},
    {"baggage", 0},
    {"none", 0},
    {NULL, 0},
};

static const struct propagator of_tracez[] = {
    {"w3c", TRACEZ_PROPAGATE_W3C},
    {"b3", TRACEZ_PROPAGATE_B3},
    {"b3multi", TRACEZ_PROPAGATE_B3},
    {"off", 0},
    {NULL, 0},
};

static const struct propagator *find(const struct propagator *known, const char *word, size_t bytes)
{
    while (known->name != NULL &&
           (strlen(known->name) != bytes || memcmp(known->name, word, bytes) != 0)) {
        known++;
    }
    return known;
}

/* One unknown word, and the list is ignored. */
static void read_propagators(struct tracez_mhd_config *config, const char *name,
                             const struct propagator *known,
                             const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text(name);
    unsigned formats = 0;

    if (text == NULL) {
        return;
    }
    for (const char *word = text + strspn(text, SEPARATORS); *word != '\0';
         word += strspn(word, SEPARATORS)) {
        size_t bytes = strcspn(word, SEPARATORS);
        const struct propagator *propagator = find(known, word, bytes);
        if (propagator->name == NULL) {
            tracez_environment_ignore(environment, name, "\"%.*s\" is none of %s, b3, b3multi, %s",
                                      (int)(bytes < 40 ? bytes : 40), word, known[0].name,
                                      known == of_tracez ? "off" : "baggage, none");
            return;
        }
        formats |= propagator->formats;
        word += bytes;
    }
    config->extract = formats;
}

static void read_captures(struct tracez_mhd_config *config,
                          const struct tracez_environment *environment)
{
    static const char name[] = "TRACEZ_CAPTURE_REQUEST_HEADERS";
    const char *text = tracez_environment_text(name);
    struct tracez_http_captures *captures;
    struct tracez_error error;

    if (text == NULL) {
        return;
    }
    if (tracez_http_captures_create(TRACEZ_HTTP_REQUEST, text, &captures, &error) != TRACEZ_OK) {
        tracez_environment_ignore(environment, name, "%s", error.text);
        return;
    }
    tracez_http_captures_destroy(captures);
    config->capture_request_headers = text;
}

static void read_redaction(struct tracez_mhd_config *config,
                           const struct tracez_environment *environment)
{
    static const char name[] = "TRACEZ_REDACT_QUERY";
    const char *text = tracez_environment_text(name);
    struct redaction redaction;
    struct tracez_error error;

    if (text == NULL) {
        return;
    }
    if (redaction_init(&redaction, text, &error) == TRACEZ_OK) {
        config->redact_query = text;
    } else {
        tracez_environment_ignore(environment, name, "%s", error.text);
    }
    redaction_deinit(&redaction);
}

void tracez_mhd_config_read_environment(struct tracez_mhd_config *config,
                                        const struct tracez_environment *environment)
{
    static const char known_methods[] = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

    read_propagators(config, "OTEL_PROPAGATORS", of_opentelemetry, environment);
    read_propagators(config, "TRACEZ_EXTRACT", of_tracez, environment);
    read_captures(config, environment);
    read_redaction(config, environment);
    tracez_environment_number(environment, "TRACEZ_CONNECTIONS", ADAPTER_CONNECTIONS_MIN,
                              ADAPTER_CONNECTIONS_MAX, &config->connections_max);
    if (tracez_environment_text(known_methods) != NULL) {
        tracez_environment_ignore(environment, known_methods,
                                  "known are those of the conventions (" KNOWN_METHODS ")");
    }
}
