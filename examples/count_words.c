/* SPDX-License-Identifier: MIT
 *
 * tracez outside of servers: counts the words of files, a thread for each. A run is one trace: a
 * root span, and below it one for each file, of whichever thread reads it. Where spans go, and all
 * else, comes from the environment (OTEL_EXPORTER_OTLP_ENDPOINT, ...). */
#include <tracez/exporter.h>

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>

#define FILES_MAX 64

struct job {
    struct tracez_tracer *tracer;
    const struct tracez_context *run; /* the parent */
    const char *path;
    pthread_t thread;
    long words;
};

static void *count_words(void *state)
{
    struct job *job = state;
    struct tracez_span span =
        tracez_span_start(job->tracer, TRACEZ_KIND_INTERNAL, "count words", job->run, NULL);
    FILE *file = fopen(job->path, "r");
    bool is_in_word = false;

    tracez_span_set_string(span, "file.path", job->path);
    if (file == NULL) {
        tracez_span_set_error(span, "not_readable", "there are no words to count");
    } else {
        for (int at = getc(file); at != EOF; at = getc(file)) {
            job->words += !isspace(at) && !is_in_word;
            is_in_word = !isspace(at);
        }
        fclose(file);
    }
    tracez_span_set_int(span, "file.words", job->words);
    tracez_span_finish(span);
    return NULL;
}

static long count_all(struct tracez_tracer *tracer, int count, char **paths)
{
    struct job jobs[FILES_MAX];
    struct tracez_context run;
    struct tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "run", NULL, &run);
    long words = 0;

    for (int i = 0; i < count; i++) {
        jobs[i] = (struct job){.tracer = tracer, .run = &run, .path = paths[i]};
        if (pthread_create(&jobs[i].thread, NULL, count_words, &jobs[i]) != 0) {
            jobs[i].thread = pthread_self();
            count_words(&jobs[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        if (!pthread_equal(jobs[i].thread, pthread_self())) {
            pthread_join(jobs[i].thread, NULL);
        }
        words += jobs[i].words;
    }
    tracez_span_set_int(span, "run.words", words);
    tracez_span_finish(span);
    return words;
}

int main(int count, char **arguments)
{
    struct tracez_config config;
    struct tracez_exporter_config destination;
    struct tracez_tracer *tracer = NULL;
    struct tracez_exporter *exporter = NULL;
    struct tracez_error error;
    int files = count - 1 < FILES_MAX ? count - 1 : FILES_MAX;

    tracez_config_init(&config);
    config.service_name = "count_words";
    tracez_config_read_environment(&config, NULL);
    tracez_exporter_config_init(&destination);
    tracez_exporter_config_read_environment(&destination, NULL);
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK ||
        tracez_exporter_create(&destination, tracer, &exporter, &error) != TRACEZ_OK ||
        tracez_exporter_start(exporter, &error) != TRACEZ_OK) {
        fprintf(stderr, "count_words: %s; counting without a trace\n", error.text);
    }
    printf("%ld words in %d files\n", count_all(tracer, files, arguments + 1), files);
    tracez_exporter_destroy(exporter); /* sends what is left, for at most 5 s */
    tracez_tracer_destroy(tracer);
    return 0;
}
