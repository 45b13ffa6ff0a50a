/* SPDX-License-Identifier: MIT
 *
 * How many spans a second can one exporter's thread get out? Spans with eight tags, as a traced
 * request of nginx's has them (807 bytes each as OTLP), in batches of 512, in each format,
 * uncompressed and with gzip:
 *
 *   encode   from records in the buffer to a finished body, and nothing else; all cases take turns
 *   post     a buffer full of spans, which a real exporter gets out to a sink in another process:
 *            "cpu" is the processor time of its thread, "elapsed" the time that passes from start
 *            to the last acknowledgement, which also depends on what else the machine does
 *
 *   export_throughput [--rounds N]
 *
 * Prints "name value unit" lines: median and lowest hundredth of the rounds for a span, and the
 * spans a second that the lowest hundredth makes; for encoding also instructions (callgrind; left
 * out where there is no valgrind). It asserts nothing, but says so when a span was dropped or did
 * not arrive at the sink, as such figures do not count. */
#include "instructions.h"
#include "rounds.h"
#include "sink.h"

#include "body.h"
#include "gzip.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_DEFAULT 400
#define ROUNDS_WARM_UP 3
#define POST_ROUNDS_PART 20 /* a round of posts to so many rounds of encoding */
#define BATCH_SPANS 512
#define BATCH_BYTES_MAX (4UL * 1024 * 1024)
#define POST_SPANS 32768
#define BUFFER_SPANS 65536
#define NS_PER_S 1e9
#define NS_PER_US 1e3

struct subject {
    const char *name;
    enum tracez_format format;
    enum tracez_compression compression;
    struct body body;
    struct envelopes envelopes;
    struct gzip gzip;
    struct gzip_body compressed;
    struct rounds encode;
    struct rounds post_cpu;
    struct rounds post_elapsed;
};

static struct subject subjects[] = {
    {.name = "otlp", .format = TRACEZ_FORMAT_OTLP},
    {.name = "zipkin", .format = TRACEZ_FORMAT_ZIPKIN},
    {.name = "tracez", .format = TRACEZ_FORMAT_TRACEZ},
    {.name = "otlp_gzip", .format = TRACEZ_FORMAT_OTLP, .compression = TRACEZ_COMPRESSION_GZIP},
    {.name = "zipkin_gzip", .format = TRACEZ_FORMAT_ZIPKIN, .compression = TRACEZ_COMPRESSION_GZIP},
    {.name = "tracez_gzip", .format = TRACEZ_FORMAT_TRACEZ, .compression = TRACEZ_COMPRESSION_GZIP},
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- Spans ----------------------------------------------------------------------------------- */

static struct tracez_tracer *create_tracer(void)
{
    const struct tracez_collector_config collector = {
        .name = "default", .spans_max = BUFFER_SPANS, .writers = 1};
    const struct tracez_resource resource = {.service_name = "shop"};
    struct tracez_config config;
    struct tracez_tracer *tracer;
    struct tracez_error error;

    tracez_config_init(&config);
    config.collectors = &collector;
    config.collector_count = 1;
    config.resources = &resource;
    config.resource_count = 1;
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    return tracer;
}

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252U;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* No two are alike, which would flatter compression: ids, path and address differ as they do when
 * many clients ask. */
static void make_span(struct tracez_tracer *tracer)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142",
        "curl/8.17.0 (x86_64-pc-linux-gnu) libcurl/8.17.0 OpenSSL/3.5.4 zlib/1.3",
    };
    uint64_t random = next_random();
    struct tracez_context parent = {.flags = TRACEZ_FLAG_SAMPLED, .is_remote = true};
    const uint64_t ids[] = {next_random(), next_random(), next_random()};

    memcpy(parent.trace_id, ids, sizeof(parent.trace_id));
    memcpy(parent.span_id, &ids[2], sizeof(parent.span_id));
    struct tracez_span span =
        tracez_span_start(tracer, TRACEZ_KIND_SERVER, "GET /users/{id}", &parent, NULL);
    tracez_span_set_string(span, TRACEZ_KEY(HTTP_REQUEST_METHOD), "GET");
    tracez_span_set_format(span, TRACEZ_KEY(URL_PATH), "/users/%u/last-orders",
                           (unsigned)(random % 9000) + 1000);
    tracez_span_set_string(span, TRACEZ_KEY(URL_SCHEME), "http");
    tracez_span_set_string(span, TRACEZ_KEY(SERVER_ADDRESS), "shop.example");
    tracez_span_set_format(span, TRACEZ_KEY(CLIENT_ADDRESS), "192.0.2.%u",
                           (unsigned)(random >> 16) % 90 + 10);
    tracez_span_set_int(span, TRACEZ_KEY(NETWORK_PEER_PORT),
                        (int64_t)(random >> 32) % 50000 + 10000);
    tracez_span_set_string(span, TRACEZ_KEY(USER_AGENT_ORIGINAL), agents[random >> 62]);
    tracez_span_set_int(span, TRACEZ_KEY(HTTP_RESPONSE_STATUS_CODE), 200);
    tracez_span_finish(span);
}

static void make_spans(struct tracez_tracer *tracer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        make_span(tracer);
    }
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static struct tracez_tracer *encoded_tracer; /* holds one batch, which is read again and again */

struct reading {
    struct subject *subject;
    const struct tracez_collector *collector;
};

static bool encode_one(const struct tracez_record *record, void *state)
{
    struct reading *reading = state;
    struct subject *subject = reading->subject;

    return body_add(&subject->body, &subject->envelopes, reading->collector, record) == BODY_ADDED;
}

static void encode_batch(struct subject *subject, uint32_t spans)
{
    struct tracez_collector *collector = tracez_tracer_collector(encoded_tracer, 0);
    struct tracez_lane *lane = tracez_collector_lane(collector, 0);
    struct reading reading = {subject, collector};
    struct tracez_mark mark;

    tracez_lane_rewind(lane);
    body_clear(&subject->body);
    if (tracez_lane_read(lane, spans, encode_one, &reading, &mark) != spans) {
        errx(1, "spans were not encoded");
    }
    const struct json_writer *json = body_finish(&subject->body);
    if (subject->compression == TRACEZ_COMPRESSION_GZIP &&
        !gzip_compress(&subject->gzip, (struct tracez_text){json->text, json->bytes},
                       &subject->compressed)) {
        errx(1, "no memory for compression");
    }
}

static void prepare_encoding(void)
{
    encoded_tracer = create_tracer();
    make_spans(encoded_tracer, BATCH_SPANS);
    if (tracez_lane_lease(tracez_collector_lane(tracez_tracer_collector(encoded_tracer, 0), 0)) !=
        TRACEZ_OK) {
        errx(1, "somebody else reads the collector");
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        body_init(&subjects[i].body, format_of(subjects[i].format), BATCH_BYTES_MAX);
    }
}

static void encode_round(struct subject *subject)
{
    uint64_t start_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);

    encode_batch(subject, BATCH_SPANS);
    rounds_add(&subject->encode,
               (double)(read_clock(CLOCK_THREAD_CPUTIME_ID) - start_ns) / BATCH_SPANS);
}

/* ---- Posting --------------------------------------------------------------------------------- */

static struct tracez_exporter *create_exporter(const struct subject *subject,
                                               struct tracez_tracer *tracer,
                                               const struct sink *sink)
{
    struct tracez_exporter_config config;
    struct tracez_exporter *exporter;
    struct tracez_error error;

    tracez_exporter_config_init(&config);
    config.endpoint = sink_url(sink);
    config.format = subject->format;
    config.compression = subject->compression;
    if (tracez_exporter_create(&config, tracer, &exporter, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    return exporter;
}

/* What all threads but this one have used: there is only the exporter's. */
static uint64_t others_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID) - read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void wait_settled(struct tracez_tracer *tracer)
{
    const struct timespec moment = {.tv_nsec = 100000};
    struct tracez_stats stats;
    uint64_t dropped;

    do {
        nanosleep(&moment, NULL);
        tracez_stats_init(&stats);
        tracez_tracer_stats(tracer, &stats);
        dropped = 0;
        for (size_t reason = 0; reason < TRACEZ_DROP_COUNT; reason++) {
            dropped += stats.dropped[reason];
        }
    } while (stats.exported + dropped < POST_SPANS);
    if (dropped > 0) {
        warnx("spans were dropped: these figures do not count");
    }
}

static void post_round(struct subject *subject, const struct sink *sink)
{
    struct tracez_tracer *tracer = create_tracer();
    struct tracez_exporter *exporter = create_exporter(subject, tracer, sink);
    uint64_t arrived = sink_spans(sink);
    struct tracez_error error;

    make_spans(tracer, POST_SPANS);
    uint64_t start_ns = read_clock(CLOCK_MONOTONIC);
    uint64_t start_cpu_ns = others_cpu_ns();
    if (tracez_exporter_start(exporter, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    wait_settled(tracer);
    rounds_add(&subject->post_elapsed,
               (double)(read_clock(CLOCK_MONOTONIC) - start_ns) / POST_SPANS);
    rounds_add(&subject->post_cpu, (double)(others_cpu_ns() - start_cpu_ns) / POST_SPANS);
    tracez_exporter_destroy(exporter);
    tracez_tracer_destroy(tracer);
    if (sink_spans(sink) - arrived != POST_SPANS) {
        warnx("spans did not arrive: these figures do not count");
    }
}

/* ---- The program ----------------------------------------------------------------------------- */

static void print_rounds(const struct subject *subject, const char *what, struct rounds *rounds)
{
    double low_ns = rounds_low(rounds);

    printf("%s.%s.median %.3f us\n", subject->name, what, rounds_median(rounds) / NS_PER_US);
    printf("%s.%s.low %.3f us\n", subject->name, what, low_ns / NS_PER_US);
    printf("%s.%s.rate %.0f spans/s\n", subject->name, what, NS_PER_S / low_ns);
}

static void print_bytes(const struct subject *subject)
{
    bool is_plain = subject->compression == TRACEZ_COMPRESSION_NONE;

    printf("%s.bytes %.1f bytes\n", subject->name,
           (double)(is_plain ? subject->body.bytes : subject->compressed.bytes) / BATCH_SPANS);
}

static void measure_rounds(size_t round_count, const struct sink *sink)
{
    for (size_t round = 0; round < ROUNDS_WARM_UP + round_count; round++) {
        for (size_t i = 0; i < SUBJECTS; i++) {
            struct subject *subject = &subjects[i];
            if (round == ROUNDS_WARM_UP) {
                subject->encode.count = subject->post_cpu.count = subject->post_elapsed.count = 0;
            }
            encode_round(subject);
            if (round % POST_ROUNDS_PART == ROUNDS_WARM_UP) {
                post_round(subject, sink);
            }
        }
    }
}

/* Under valgrind, which counts what happens in here. */
static void counted_run(struct subject *subject, uint32_t count)
{
    encode_batch(subject, count);
}

/* Volatile: valgrind finds counted_run by its name, so it is neither inlined nor cloned. */
static void (*const volatile run_under_valgrind)(struct subject *, uint32_t) = counted_run;

static void measure_instructions(void)
{
    for (size_t i = 0; i < SUBJECTS; i++) {
        double instructions = instructions_of(subjects[i].name, "counted_run");
        if (instructions < 0.0) {
            warnx("no instruction counts: valgrind is missing or failed");
            return;
        }
        printf("%s.encode.instructions %.0f instructions\n", subjects[i].name, instructions);
    }
}

static int count_one(const char *name, uint32_t count)
{
    prepare_encoding();
    for (size_t i = 0; i < SUBJECTS; i++) {
        for (uint32_t done = 0; strcmp(subjects[i].name, name) == 0 && done < count;) {
            uint32_t spans = count - done < BATCH_SPANS ? count - done : BATCH_SPANS;
            run_under_valgrind(&subjects[i], spans);
            done += spans;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t round_count = ROUNDS_DEFAULT;

    if (argc == 4 && strcmp(argv[1], "--count") == 0) {
        return count_one(argv[2], (uint32_t)strtoul(argv[3], NULL, 10));
    }
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0) {
        round_count = strtoul(argv[2], NULL, 10);
    }
    if (argc == 2 || argc > 3 || round_count < 1 || round_count > ROUNDS_MAX - ROUNDS_WARM_UP) {
        fprintf(stderr, "usage: export_throughput [--rounds 1..%d]\n", ROUNDS_MAX - ROUNDS_WARM_UP);
        return 2;
    }
    struct sink *sink = sink_start();
    prepare_encoding();
    measure_rounds(round_count, sink);
    for (size_t i = 0; i < SUBJECTS; i++) {
        print_bytes(&subjects[i]);
        print_rounds(&subjects[i], "encode", &subjects[i].encode);
        print_rounds(&subjects[i], "post.cpu", &subjects[i].post_cpu);
        print_rounds(&subjects[i], "post.elapsed", &subjects[i].post_elapsed);
    }
    fflush(stdout);
    sink_stop(sink);
    measure_instructions();
    return 0;
}
