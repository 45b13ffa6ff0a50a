/* SPDX-License-Identifier: MIT
 *
 * What does tracing cost the thread that serves requests in libmicrohttpd? Daemons of one thread
 * each answer "200 ok": untraced, traced, traced with nothing sampled, with the least that any
 * tracer must do (mhd_floor.h), and untraced once more as the control. All are alive at once and
 * take turns in random order, in short bursts; what is compared is the processor time of their
 * threads, by the ratio within a round.
 *
 *   mhd_overhead [--clients kept|single|new] [--rounds N]
 *
 * kept (the default): eight connections that are kept ask at once, so the thread finds the next
 * request when it is done with one, and nothing but the request costs it time. single: the same
 * connections in turn; the thread sleeps before each request. new: a connection for each request.
 *
 * The exporter works, towards a sink in another process; its thread's time is reported beside. It
 * asserts nothing, but says so when a span was dropped or did not arrive. */
#include "mhd_floor.h"
#include "rounds.h"
#include "sink.h"

#include <tracez/exporter.h>
#include <tracez/mhd.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_DEFAULT 500
#define ROUNDS_WARM_UP 20
#define CONNECTIONS 8
#define BURST_REQUESTS 800
#define SPANS_MAX 8192
#define ASK                                                                                        \
    "GET /users/4711?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1\r\n"             \
    "Accept: */*\r\nAccept-Encoding: gzip\r\n"                                                     \
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"

enum which { UNTRACED, TRACED, UNSAMPLED, FLOOR, CONTROL, DAEMONS };

enum clients { CLIENTS_KEPT, CLIENTS_SINGLE, CLIENTS_NEW, CLIENTS };

static const char *const clients_names[CLIENTS] = {"kept", "single", "new"};

static const char *const names[DAEMONS] = {"untraced", "traced", "unsampled", "floor", "control"};

struct server {
    struct MHD_Daemon *daemon;
    struct tracez_mhd *tracing; /* NULL: untraced */
    struct MHD_Response *response;
    atomic_bool has_clock;
    clockid_t clock; /* of its thread */
    int fds[CONNECTIONS];
    struct rounds ns; /* a request */
};

static struct server servers[DAEMONS];
static struct tracez_tracer *tracer;
static struct tracez_exporter *exporter;

static void pin_to_processor(unsigned processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof(set), &set); /* without it figures are only less steady */
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* ---- Servers --------------------------------------------------------------------------------- */

/* Answers at the second call, as libmicrohttpd's manual has it: at the first one it would close the
 * connection. The first request lets the measuring thread know whom to measure. */
/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *state, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **con_cls)
{
    struct server *server = state;

    (void)url;
    (void)method;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    if (*con_cls == NULL) {
        *con_cls = server;
        return MHD_YES;
    }
    if (!atomic_load_explicit(&server->has_clock, memory_order_relaxed)) {
        pin_to_processor(0);
        pthread_getcpuclockid(pthread_self(), &server->clock);
        /* Release: pairs with the acquire in connect_all. */
        atomic_store_explicit(&server->has_clock, true, memory_order_release);
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, server->response);
}

static struct tracez_mhd *create_tracing(enum which which)
{
    static struct tracez_sampler never;
    struct tracez_mhd_config config;
    struct tracez_mhd *tracing;
    struct tracez_error error;

    never = tracez_sampler_never();
    tracez_mhd_config_init(&config);
    config.tracer = tracer;
    config.sampler = which == UNSAMPLED ? &never : NULL;
    if (tracez_mhd_create(&config, &tracing, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
    return tracing;
}

static void start_server(enum which which)
{
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;
    const struct sockaddr_in address = loopback(0);
    struct server *server = &servers[which];

    server->response =
        MHD_create_response_from_buffer(3, (void *)(uintptr_t) "ok\n", MHD_RESPMEM_PERSISTENT);
    if (which == TRACED || which == UNSAMPLED) {
        server->tracing = create_tracing(which);
        server->daemon =
            tracez_mhd_start_daemon(server->tracing, NULL, flags, 0, NULL, NULL, handle, server,
                                    MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    } else if (which == FLOOR) {
        floor_set_handler(handle, server);
        server->daemon =
            MHD_start_daemon(flags, 0, NULL, NULL, floor_handle, NULL, MHD_OPTION_SOCK_ADDR,
                             &address, MHD_OPTION_ARRAY, floor_options(), MHD_OPTION_END);
    } else {
        server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, server,
                                          MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    }
    if (server->daemon == NULL) {
        errx(1, "no daemon");
    }
}

static void stop_server(struct server *server)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        close(server->fds[i]);
    }
    MHD_stop_daemon(server->daemon);
    MHD_destroy_response(server->response);
    tracez_mhd_destroy(server->tracing);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void receive(int fd)
{
    char bytes[1024] = "";
    size_t count = 0;

    while (count < 4 || memcmp(bytes + count - 3, "ok\n", 3) != 0) {
        ssize_t got = recv(fd, bytes + count, sizeof(bytes) - count, 0);
        if (got <= 0) {
            err(1, "a connection broke");
        }
        count += (size_t)got;
    }
}

static void send_request(int fd)
{
    if (send(fd, ASK, strlen(ASK), MSG_NOSIGNAL) < 0) {
        err(1, "a connection broke");
    }
}

static int connect_to(const struct server *server)
{
    struct sockaddr_in address =
        loopback(MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        err(1, "connect");
    }
    return fd;
}

/* Ends with a reset: ports that wait for stragglers would run out. */
static void ask_over_new_connection(const struct server *server)
{
    const struct linger none = {.l_onoff = 1};
    int fd = connect_to(server);

    send_request(fd);
    receive(fd);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

static void ask_all_at_once(const struct server *server)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        send_request(server->fds[i]);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        receive(server->fds[i]);
    }
}

static void ask_in_turn(const struct server *server)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        send_request(server->fds[i]);
        receive(server->fds[i]);
    }
}

static void ask(const struct server *server, enum clients clients, int requests)
{
    for (int done = 0; done < requests; done += CONNECTIONS) {
        if (clients == CLIENTS_KEPT) {
            ask_all_at_once(server);
        } else if (clients == CLIENTS_SINGLE) {
            ask_in_turn(server);
        } else {
            for (int i = 0; i < CONNECTIONS; i++) {
                ask_over_new_connection(server);
            }
        }
    }
}

static void connect_all(struct server *server)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        server->fds[i] = connect_to(server);
    }
    ask(server, CLIENTS_KEPT, CONNECTIONS);
    /* Acquire: pairs with the release in handle. */
    if (!atomic_load_explicit(&server->has_clock, memory_order_acquire)) {
        errx(1, "answered, and not by our handler");
    }
}

static double clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void run_burst(struct server *server, enum clients clients)
{
    double start_ns = clock_ns(server->clock);

    ask(server, clients, BURST_REQUESTS);
    rounds_add(&server->ns, (clock_ns(server->clock) - start_ns) / BURST_REQUESTS);
}

static void run_round(enum clients clients)
{
    enum which order[DAEMONS] = {UNTRACED, TRACED, UNSAMPLED, FLOOR, CONTROL};

    for (int i = DAEMONS - 1; i > 0; i--) {
        int other = (int)(random() % (i + 1));
        enum which swapped = order[i];
        order[i] = order[other];
        order[other] = swapped;
    }
    for (int i = 0; i < DAEMONS; i++) {
        run_burst(&servers[order[i]], clients);
    }
}

/* ---- The exporter ---------------------------------------------------------------------------- */

static void start_exporter(const struct sink *sink)
{
    struct tracez_config config;
    struct tracez_exporter_config exporter_config;
    struct tracez_error error;

    tracez_config_init(&config);
    config.spans_max = SPANS_MAX;
    tracez_exporter_config_init(&exporter_config);
    exporter_config.endpoint = sink_url(sink);
    exporter_config.interval_ms = 1000;
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK ||
        tracez_exporter_create(&exporter_config, tracer, &exporter, &error) != TRACEZ_OK ||
        tracez_exporter_start(exporter, &error) != TRACEZ_OK) {
        errx(1, "%s", error.text);
    }
}

/* The first word of a file of a thread's in /proc; false: there is none. */
static bool read_of_task(const char *task, const char *name, char word[32])
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, name);
    file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    bool is_read = fscanf(file, "%31s", word) == 1;
    fclose(file);
    return is_read;
}

/* Processor time of the thread of this name, in ns; 0 when there is none. */
static double thread_ns(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    char word[32];
    double ns = 0;

    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
        if (read_of_task(task->d_name, "comm", word) && strcmp(word, name) == 0 &&
            read_of_task(task->d_name, "schedstat", word)) {
            ns = strtod(word, NULL);
        }
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return ns;
}

/* ---- The program ----------------------------------------------------------------------------- */

/* Medians of the ratios within a round, so that what drifts over rounds does not matter. */
static void print_ratio(enum which which, const double base[], size_t count, const double values[])
{
    static struct rounds ratios;

    ratios.count = 0;
    for (size_t i = 0; i < count; i++) {
        rounds_add(&ratios, 100.0 * (values[i] / base[i] - 1.0));
    }
    printf("%s.overhead %.2f %%\n", names[which], rounds_median(&ratios));
}

static void print_times(void)
{
    static double values[DAEMONS][ROUNDS_MAX];
    size_t count = servers[UNTRACED].ns.count;

    for (int which = 0; which < DAEMONS; which++) {
        memcpy(values[which], servers[which].ns.values, count * sizeof(double));
    }
    for (int which = 0; which < DAEMONS; which++) {
        printf("%s.median %.0f ns\n", names[which], rounds_median(&servers[which].ns));
        printf("%s.low %.0f ns\n", names[which], rounds_low(&servers[which].ns));
    }
    for (int which = TRACED; which < DAEMONS; which++) {
        print_ratio((enum which)which, values[UNTRACED], count, values[which]);
    }
}

static void print_spans(const struct sink *sink, double exporter_ns)
{
    struct tracez_stats stats;
    uint64_t lost;

    tracez_stats_init(&stats);
    tracez_tracer_stats(tracer, &stats);
    lost = stats.recorded - sink_spans(sink);
    printf("exporter %.0f ns\n", exporter_ns / (double)stats.recorded);
    printf("spans %llu spans\n", (unsigned long long)stats.recorded);
    printf("lost %llu spans\n", (unsigned long long)lost);
    if (lost > 0) {
        warnx("spans were lost: these figures do not count");
    }
}

static enum clients find_clients(const char *name)
{
    enum clients clients = CLIENTS_KEPT;

    while (clients < CLIENTS && strcmp(clients_names[clients], name) != 0) {
        clients++;
    }
    return clients;
}

/* False: neither option, or a bad value. */
static bool read_arguments(char **arguments, enum clients *clients, size_t *round_count)
{
    for (; arguments[0] != NULL && arguments[1] != NULL; arguments += 2) {
        if (strcmp(arguments[0], "--rounds") == 0) {
            *round_count = strtoul(arguments[1], NULL, 10);
        } else if (strcmp(arguments[0], "--clients") == 0) {
            *clients = find_clients(arguments[1]);
        } else {
            return false;
        }
    }
    return arguments[0] == NULL && *clients < CLIENTS && *round_count >= 1 &&
           *round_count <= ROUNDS_MAX;
}

int main(int argc, char **argv)
{
    size_t round_count = ROUNDS_DEFAULT;
    enum clients clients = CLIENTS_KEPT;

    (void)argc;
    if (!read_arguments(argv + 1, &clients, &round_count)) {
        fprintf(stderr, "usage: mhd_overhead [--clients kept|single|new] [--rounds 1..%d]\n",
                ROUNDS_MAX);
        return 2;
    }
    struct sink *sink = sink_start();
    start_exporter(sink);
    for (int which = 0; which < DAEMONS; which++) {
        start_server((enum which)which);
        connect_all(&servers[which]);
    }
    pin_to_processor(1); /* after the daemons' threads, which would inherit it */
    for (size_t round = 0; round < ROUNDS_WARM_UP + round_count; round++) {
        if (round == ROUNDS_WARM_UP) {
            for (int which = 0; which < DAEMONS; which++) {
                servers[which].ns.count = 0;
            }
        }
        run_round(clients);
    }
    double exporter_ns = thread_ns("tracez");
    for (int which = 0; which < DAEMONS; which++) {
        stop_server(&servers[which]);
    }
    tracez_exporter_destroy(exporter);
    print_times();
    print_spans(sink, exporter_ns);
    tracez_tracer_destroy(tracer);
    sink_stop(sink);
    return 0;
}
