/* SPDX-License-Identifier: MIT
 *
 * A stranger's first program: two spans, one read back by hand and one left to an exporter that
 * finds nobody to send it to. The books must show both. */
#include <tracez/exporter.h>
#include <tracez/http.h>
#include <tracez/reader.h>
#include <tracez/tracez.h>

#include <stdio.h>
#include <string.h>

static void count(const struct tracez_record *record, void *state)
{
    if (record->name.bytes == strlen("first") && record->tag_count == 1) {
        ++*(int *)state;
    }
}

static int complain(const char *what)
{
    fprintf(stderr, "spans: %s\n", what);
    return 1;
}

int main(void)
{
    struct tracez_config config;
    struct tracez_exporter_config exporter_config;
    struct tracez_tracer *tracer;
    struct tracez_exporter *exporter;
    struct tracez_error error;
    struct tracez_stats stats;
    int found = 0;

    tracez_config_init(&config);
    config.service_name = "stranger";
    tracez_exporter_config_init(&exporter_config);
    exporter_config.endpoint = "http://127.0.0.1:1";
    if (strcmp(tracez_version(), TRACEZ_VERSION) != 0) {
        return complain("library and header are of different versions");
    }
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK ||
        tracez_exporter_create(&exporter_config, tracer, &exporter, &error) != TRACEZ_OK) {
        return complain(error.text);
    }

    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_SERVER, "first", NULL, NULL);
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), "/");
    tracez_span_finish(span);
    tracez_collector_drain(tracez_tracer_collector(tracer, 0), 10, count, &found);

    if (tracez_exporter_start(exporter, &error) != TRACEZ_OK) {
        return complain(error.text);
    }
    tracez_span_finish(tracez_span_start(tracer, TRACEZ_KIND_CLIENT, "second", NULL, NULL));
    if (tracez_exporter_stop(exporter, 50, false) != TRACEZ_OK) {
        return complain("the exporter did not stop");
    }
    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
    if (found != 1 || stats.recorded != 2 || stats.exported != 1 ||
        stats.dropped[TRACEZ_DROP_SHUTDOWN_DEADLINE] != 1) {
        return complain("the books are wrong");
    }
    return 0;
}
