/* SPDX-License-Identifier: MIT
 *
 * Reading the exporter's settings from the environment: what is for all signals first, then what is
 * for traces, then tracez's own names. Endpoints and headers hold secrets: they are told without
 * their values, in the words of the check that refused them. */
#include "config.h"
#include "header.h"

#include <stdio.h>
#include <string.h>

#define SENTENCE_BYTES 400

static void tell(const struct tracez_environment *environment, const char *name, const char *why)
{
    char text[SENTENCE_BYTES];

    if (environment != NULL && environment->warn != NULL) {
        snprintf(text, sizeof(text), "%s ignored: %s", name, why);
        environment->warn(text, environment->state);
    }
}

static void read_endpoint(struct tracez_exporter_config *config, const char *name,
                          enum tracez_endpoint_form form,
                          const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text(name);
    struct tracez_exporter_config tried;
    struct tracez_error error;

    if (text == NULL) {
        return;
    }
    tracez_exporter_config_init(&tried);
    tried.endpoint = text;
    tried.endpoint_form = form;
    if (tracez_exporter_check(&tried, &error) != TRACEZ_OK) {
        tell(environment, name, error.text);
        return;
    }
    config->endpoint = text;
    config->endpoint_form = form;
}

static void read_format(struct tracez_exporter_config *config, const char *name,
                        const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text(name);
    struct tracez_error error;

    if (text != NULL && tracez_format_parse(text, &config->format, &error) != TRACEZ_OK) {
        tell(environment, name, error.text);
    }
}

/* OpenTelemetry's word for it, as far as it goes. */
static void read_exporter(struct tracez_exporter_config *config,
                          const struct tracez_environment *environment)
{
    static const char name[] = "OTEL_TRACES_EXPORTER";
    const char *text = tracez_environment_text(name);

    if (text == NULL) {
        return;
    }
    if (strcmp(text, "otlp") == 0 || strcmp(text, "zipkin") == 0) {
        read_format(config, name, environment);
    } else {
        tracez_environment_ignore(environment, name,
                                  "otlp or zipkin; OTEL_SDK_DISABLED=true ends tracing");
    }
}

static void read_headers(struct tracez_exporter_config *config, const char *name,
                         const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text(name);
    struct tracez_error error;

    if (text == NULL) {
        return;
    }
    if (header_list_check(text, config->header_count, &error) != TRACEZ_OK) {
        tell(environment, name, error.text);
        return;
    }
    config->header_list = text;
}

static void read_compression(struct tracez_exporter_config *config, const char *name,
                             const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text(name);

    if (text == NULL) {
        return;
    }
    if (strcmp(text, "gzip") == 0) {
        config->compression = TRACEZ_COMPRESSION_GZIP;
    } else if (strcmp(text, "none") == 0) {
        config->compression = TRACEZ_COMPRESSION_NONE;
    } else {
        tracez_environment_ignore(environment, name, "none or gzip");
    }
}

/* The first of these that is set and is a proxy; a nearer one that is not is told of and ignored.
 */
static void read_proxy(const char **proxy, const char *const *names,
                       const struct tracez_environment *environment)
{
    for (; *names != NULL; names++) {
        const char *text = tracez_environment_text(*names);
        struct tracez_exporter_config tried;
        struct tracez_error error;

        if (text == NULL) {
            continue;
        }
        tracez_exporter_config_init(&tried);
        tried.proxy = text;
        if (tracez_exporter_check(&tried, &error) == TRACEZ_OK) {
            *proxy = text;
            return;
        }
        tell(environment, *names, error.text);
    }
}

static void read_no_proxy(struct tracez_exporter_config *config, const char *name,
                          const struct tracez_environment *environment)
{
    struct tracez_exporter_config tried;
    struct tracez_error error;

    tracez_exporter_config_init(&tried);
    tried.no_proxy = tracez_environment_text(name);
    if (tried.no_proxy == NULL) {
        return;
    }
    if (tracez_exporter_check(&tried, &error) == TRACEZ_OK) {
        config->no_proxy = tried.no_proxy;
    } else {
        tell(environment, name, error.text);
    }
}

/* As curl reads them: http_proxy not in capitals, which in a CGI program would be a header that
 * anybody sends. */
static void read_proxies(struct tracez_exporter_config *config,
                         const struct tracez_environment *environment)
{
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL};

    read_proxy(&config->http_proxy, for_http, environment);
    read_proxy(&config->https_proxy, for_https, environment);
    read_no_proxy(config, "NO_PROXY", environment);
    read_no_proxy(config, "no_proxy", environment);
}

static void read_trusted(struct tracez_exporter_config *config, const char *name,
                         const struct tracez_environment *environment)
{
    const char *path = tracez_environment_text(name);
    struct tracez_exporter_config tried;
    struct tracez_error error;

    if (path == NULL) {
        return;
    }
    tracez_exporter_config_init(&tried);
    tried.trusted_certificate_file = path;
    if (tracez_exporter_check(&tried, &error) == TRACEZ_OK) {
        config->trusted_certificate_file = path;
    } else {
        tell(environment, name, error.text);
    }
}

/* The nearer one of two; the name that was set is told. */
static const char *nearer(const char *name, const char *nearer_name, const char **set_name)
{
    const char *text = tracez_environment_text(nearer_name);

    *set_name = text != NULL ? nearer_name : name;
    return text != NULL ? text : tracez_environment_text(name);
}

/* A certificate and its key are taken together, or neither is. */
static void read_pair(struct tracez_exporter_config *config,
                      const struct tracez_environment *environment)
{
    const char *certificate_name;
    const char *key_name;
    struct tracez_exporter_config tried;
    struct tracez_error error;

    tracez_exporter_config_init(&tried);
    tried.certificate_file =
        nearer("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
               "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", &certificate_name);
    tried.certificate_key_file =
        nearer("OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &key_name);
    if (tried.certificate_file == NULL && tried.certificate_key_file == NULL) {
        return;
    }
    if (tracez_exporter_check(&tried, &error) != TRACEZ_OK) {
        tell(environment, tried.certificate_file != NULL ? certificate_name : key_name, error.text);
        return;
    }
    config->certificate_file = tried.certificate_file;
    config->certificate_key_file = tried.certificate_key_file;
}

/* What OpenTelemetry has and this version has not: only one value of each, if any, is fine. */
static void refuse_others(const struct tracez_environment *environment)
{
    static const struct {
        const char *name;
        const char *fine;
        const char *why;
    } others[] = {
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "tracez speaks http/json"},
        {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "tracez speaks http/json"},
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const char *value = tracez_environment_text(others[i].name);
        if (value != NULL && strcmp(value, others[i].fine) != 0) {
            tracez_environment_ignore(environment, others[i].name, "%s", others[i].why);
        }
    }
}

void tracez_exporter_config_read_environment(struct tracez_exporter_config *config,
                                             const struct tracez_environment *environment)
{
    (void)tracez_exporter_config_apply_preset(config, tracez_environment_preset(environment));
    read_exporter(config, environment);
    read_format(config, "TRACEZ_EXPORTER_FORMAT", environment);
    if (config->format == TRACEZ_FORMAT_OTLP) { /* where OTLP goes, and with which secrets */
        read_endpoint(config, "OTEL_EXPORTER_OTLP_ENDPOINT", TRACEZ_ENDPOINT_BASE, environment);
        read_endpoint(config, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", TRACEZ_ENDPOINT_EXACT,
                      environment);
        read_headers(config, "OTEL_EXPORTER_OTLP_HEADERS", environment);
        read_headers(config, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", environment);
    }
    read_endpoint(config, "TRACEZ_EXPORTER_ENDPOINT", TRACEZ_ENDPOINT_COMPLETED, environment);
    read_headers(config, "TRACEZ_EXPORTER_HEADERS", environment);
    read_compression(config, "OTEL_EXPORTER_OTLP_COMPRESSION", environment);
    read_compression(config, "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", environment);
    read_compression(config, "TRACEZ_EXPORTER_COMPRESSION", environment);

#define NUMBER(name, min, max, value) tracez_environment_number(environment, name, min, max, value)
    NUMBER("OTEL_BSP_EXPORT_TIMEOUT", 1, HOUR_MS, &config->timeout_ms);
    NUMBER("OTEL_EXPORTER_OTLP_TIMEOUT", 1, HOUR_MS, &config->timeout_ms);
    NUMBER("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", 1, HOUR_MS, &config->timeout_ms);
    NUMBER("TRACEZ_EXPORTER_TIMEOUT_MS", 1, HOUR_MS, &config->timeout_ms);
    NUMBER("TRACEZ_EXPORTER_CONNECT_TIMEOUT_MS", 1, HOUR_MS, &config->connect_timeout_ms);
    NUMBER("OTEL_BSP_SCHEDULE_DELAY", INTERVAL_MS_MIN, INTERVAL_MS_MAX, &config->interval_ms);
    NUMBER("TRACEZ_EXPORTER_INTERVAL_MS", INTERVAL_MS_MIN, INTERVAL_MS_MAX, &config->interval_ms);
    NUMBER("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SIZE_MIN, BATCH_SIZE_MAX, &config->batch_size);
    NUMBER("TRACEZ_EXPORTER_BATCH_SIZE", BATCH_SIZE_MIN, BATCH_SIZE_MAX, &config->batch_size);
    NUMBER("TRACEZ_EXPORTER_CONNECTIONS", 1, 100, &config->connections);
    NUMBER("TRACEZ_EXPORTER_SHUTDOWN_TIMEOUT_MS", 0, HOUR_MS, &config->shutdown_timeout_ms);
#undef NUMBER
    read_trusted(config, "OTEL_EXPORTER_OTLP_CERTIFICATE", environment);
    read_trusted(config, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", environment);
    read_pair(config, environment);
    read_proxies(config, environment);
    refuse_others(environment);
}
