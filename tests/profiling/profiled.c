/* SPDX-License-Identifier: MIT
 *
 * A program to be profiled, until its standard input ends. It traces without a pause, so that two
 * threads burn: its first one, in trace_requests, and the exporter's. It prints where profiles are
 * to be had. */
#include <tracez/exporter.h>
#include <tracez/profiling.h>

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define SPANS_A_LOOK 1000

void trace_requests(struct tracez_tracer *tracer);

/* Not inlined, not static: it is looked for by name. */
__attribute__((noinline)) void trace_requests(struct tracez_tracer *tracer)
{
    for (int i = 0; i < SPANS_A_LOOK; i++) {
        struct tracez_span span =
            tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /profiled", NULL, NULL);
        tracez_span_set_string(span, "http.request.method", "GET");
        tracez_span_set_int(span, "http.response.status_code", 200);
        tracez_span_finish(span);
    }
}

static bool goes_on(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&input, 1, 0) == 0;
}

static void warn_of(const char *text, void *state)
{
    (void)state;
    fprintf(stderr, "profiled: %s\n", text);
}

int main(int count, char **arguments)
{
    const struct tracez_environment environment = {.warn = warn_of};
    struct tracez_config config;
    struct tracez_exporter_config destination;
    struct tracez_profiling_config profiles;
    struct tracez_tracer *tracer;
    struct tracez_exporter *exporter;
    struct tracez_profiling *profiling;
    struct tracez_error error;

    tracez_config_init(&config);
    tracez_exporter_config_init(&destination);
    destination.endpoint = count > 1 ? arguments[1] : NULL;
    destination.compression =
        TRACEZ_COMPRESSION_GZIP; /* work for the thread, not for the backend */
    tracez_profiling_config_init(&profiles);
    tracez_profiling_config_read_environment(&profiles, &environment);
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK ||
        tracez_exporter_create(&destination, tracer, &exporter, &error) != TRACEZ_OK ||
        tracez_exporter_start(exporter, &error) != TRACEZ_OK ||
        tracez_profiling_start(&profiles, &profiling, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    printf("%s\n", profiling == NULL ? "off" : tracez_profiling_address(profiling));
    fflush(stdout);
    while (goes_on()) {
        trace_requests(tracer);
    }
    tracez_profiling_stop(profiling);
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
    return 0;
}
