/* SPDX-License-Identifier: MIT
 *
 * A program that sends spans, for tests that want the exporter without a server around it. It reads
 * the environment; its arguments are settings over that, name=value, in the names of nginx's
 * tracez_exporter { }, times in milliseconds. It does what lines on its standard input say:
 *
 *     spans COUNT BYTES    ends so many spans, each with a tag of so many bytes, and flushes
 *     status               prints one line of JSON: the ledger and what the exporter says
 *
 * and at their end sends what is left and prints a last status. Problems go to standard error. */
#include <tracez/exporter.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_MS 20000
#define LINE_BYTES 256

/* ---- Settings -------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct tracez_exporter_config, member)

static const struct setting {
    const char *name;
    size_t offset;
    bool is_text;
} settings[] = {
    {"endpoint", AT(endpoint), true},
    {"trusted_certificate", AT(trusted_certificate_file), true},
    {"certificate", AT(certificate_file), true},
    {"certificate_key", AT(certificate_key_file), true},
    {"proxy", AT(proxy), true},
    {"interval", AT(interval_ms), false},
    {"batch_size", AT(batch_size), false},
    {"max_batch_bytes", AT(max_batch_bytes), false},
    {"connections", AT(connections), false},
    {"keepalive_timeout", AT(keepalive_timeout_ms), false},
    {"timeout", AT(timeout_ms), false},
    {"connect_timeout", AT(connect_timeout_ms), false},
    {"low_speed_timeout", AT(low_speed_timeout_ms), false},
    {"retry_min", AT(retry_min_ms), false},
    {"retry_max", AT(retry_max_ms), false},
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "sender: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void warn(const char *text, void *state)
{
    (void)state;
    fprintf(stderr, "sender: %s\n", text);
}

static void set_one(struct tracez_exporter_config *config, const struct setting *setting,
                    const char *value)
{
    char *at = (char *)config + setting->offset;
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);

    if (setting->is_text) {
        memcpy(at, &value, sizeof(value));
    } else {
        memcpy(at, &number, sizeof(number));
    }
}

static void set(struct tracez_exporter_config *config, const char *argument)
{
    const char *value = strchr(argument, '=');

    if (value == NULL) {
        fail("not name=value", argument);
        return;
    }
    size_t name_bytes = (size_t)(value - argument);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const char *name = settings[i].name;
        if (strlen(name) == name_bytes && strncmp(argument, name, name_bytes) == 0) {
            set_one(config, &settings[i], value + 1);
            return;
        }
    }
    if (strcmp(argument, "compression=gzip") == 0) {
        config->compression = TRACEZ_COMPRESSION_GZIP;
    } else if (strcmp(argument, "verify=off") == 0) {
        config->verify = false;
    } else {
        fail("no such setting", argument);
    }
}

/* ---- Spans ----------------------------------------------------------------------------------- */

static void end_spans(struct tracez_tracer *tracer, unsigned long count, size_t bytes)
{
    char *text = malloc(bytes + 1);

    if (text == NULL) {
        fail("spans", "no memory");
    }
    memset(text, 'x', bytes);
    for (unsigned long i = 0; i < count; i++) {
        struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "sent", NULL, NULL);
        tracez_span_set_bytes(span, "text", text, bytes);
        tracez_span_finish(span);
    }
    free(text);
}

static void print_status(const struct tracez_tracer *tracer, struct tracez_exporter *exporter)
{
    static const char *const states[] = {"waiting", "up", "down"};
    struct tracez_stats books;
    struct tracez_exporter_stats stats;

    tracez_stats_init(&books);
    tracez_exporter_stats_init(&stats);
    tracez_tracer_stats(tracer, &books);
    tracez_exporter_stats(exporter, &stats);
    printf("{\"ledger\":{\"requests\":%lu,\"traced\":%lu,\"not_traced\":%lu,\"started\":%lu,"
           "\"not_recorded\":%lu,\"recorded\":%lu,\"live\":%lu,\"not_kept\":%lu,\"queued\":%lu,"
           "\"inflight\":%lu,\"exported\":%lu,\"misuse\":%lu,\"dropped\":{",
           books.requests, books.traced, books.not_traced, books.started, books.not_recorded,
           books.recorded, books.live, books.not_kept, books.queued, books.inflight, books.exported,
           books.misuse);
    for (int i = 0; i < TRACEZ_DROP_COUNT; i++) {
        printf("%s\"%s\":%lu", i > 0 ? "," : "", tracez_drop_text((enum tracez_drop)i),
               books.dropped[i]);
    }
    printf("}},\"exporter\":{\"state\":\"%s\",\"endpoint\":\"%s\",\"attempts\":%lu,"
           "\"failed_attempts\":%lu,\"malformed_responses\":%lu,\"connections_opened\":%lu,"
           "\"body_bytes\":%lu,\"wire_bytes\":%lu,\"last_error\":\"%s\"}}\n",
           states[stats.state], stats.endpoint, stats.attempts, stats.failed_attempts,
           stats.malformed_responses, stats.connections_opened, stats.body_bytes, stats.wire_bytes,
           stats.last_error);
    fflush(stdout);
}

/* ---- The program ----------------------------------------------------------------------------- */

static void obey(struct tracez_tracer *tracer, struct tracez_exporter *exporter)
{
    char line[LINE_BYTES];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strncmp(line, "spans ", 6) == 0) {
            char *bytes = NULL;
            unsigned long count = strtoul(line + 6, &bytes, 10);
            end_spans(tracer, count, strtoul(bytes, NULL, 10));
            tracez_exporter_flush(exporter);
        } else if (strcmp(line, "status\n") == 0) {
            print_status(tracer, exporter);
        } else {
            fail("no such order", line);
        }
    }
}

int main(int argument_count, char **arguments)
{
    static const struct tracez_collector_config roomy = {
        .name = "default", .match = TRACEZ_MATCH_ALL, .spans_max = 65536};
    const struct tracez_environment environment = {.warn = warn};
    struct tracez_config config;
    struct tracez_exporter_config destination;
    struct tracez_tracer *tracer = NULL;
    struct tracez_exporter *exporter = NULL;
    struct tracez_error error;

    tracez_config_init(&config);
    tracez_exporter_config_init(&destination);
    config.collectors = &roomy;
    config.collector_count = 1;
    config.max_tag_bytes = 8000;
    tracez_exporter_config_read_environment(&destination, &environment);
    for (int i = 1; i < argument_count; i++) {
        set(&destination, arguments[i]);
    }
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK ||
        tracez_exporter_create(&destination, tracer, &exporter, &error) != TRACEZ_OK ||
        tracez_exporter_start(exporter, &error) != TRACEZ_OK) {
        fail("refused", error.text);
    }
    obey(tracer, exporter);
    if (tracez_exporter_stop(exporter, STOP_MS, false) != TRACEZ_OK) {
        fail("stop", "the thread hangs");
    }
    print_status(tracer, exporter);
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
    return EXIT_SUCCESS;
}
