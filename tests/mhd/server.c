/* SPDX-License-Identifier: MIT
 *
 * The application; see server.h. */
#include "server.h"

#include "client.h"
#include "spans.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#define SPANS_MAX 131072
#define CONNECTIONS_MAX 512
#define STREAM_BYTES (256 * 1024)
#define POOL_THREADS 4
#define WAITING_MAX 1024

const char *const server_mode_names[SERVER_MODES] = {
    "polling thread", "thread pool", "thread per connection", "select", "epoll", "suspending",
};

/* A request of the application's own. */
struct state {
    struct server *server;
    bool is_logged;  /* the URI logger made it */
    bool is_late;    /* the handler was called before */
    bool is_resumed; /* and behind the pause of its first call */
    bool is_answered;
};

/* A suspended request. */
struct waiting {
    struct MHD_Connection *connection;
    const char *url;
};

struct server {
    struct tracez_tracer *tracer;
    struct tracez_mhd *tracing;
    struct MHD_Daemon *daemon;
    enum server_mode mode;
    bool has_uri_log;
    uint16_t port;

    pthread_t loop; /* of SERVER_SELECT */
    pthread_t answerer;
    bool has_answerer;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    bool is_stopping;
    struct waiting waiting[WAITING_MAX];
    size_t waiting_count;
    size_t states;
    uint64_t logged;
    FILE *story;
    char *story_text;
    size_t story_bytes;
};

static void tell(struct server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct server *server, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    pthread_mutex_lock(&server->lock);
    vfprintf(server->story, format, arguments);
    pthread_mutex_unlock(&server->lock);
    va_end(arguments);
}

char *server_take_story(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    fclose(server->story);
    char *story = server->story_text;
    server->story = open_memstream(&server->story_text, &server->story_bytes);
    pthread_mutex_unlock(&server->lock);
    return story;
}

static bool story_has(struct server *server, const char *text)
{
    pthread_mutex_lock(&server->lock);
    fflush(server->story);
    bool has = strstr(server->story_text, text) != NULL;
    pthread_mutex_unlock(&server->lock);
    return has;
}

void server_wait_story(struct server *server, const char *text)
{
    uint64_t start_ms = client_now_ms();

    while (!story_has(server, text)) {
        client_pause(start_ms, text);
    }
}

/* ---- State ----------------------------------------------------------------------------------- */

static struct state *state_create(struct server *server)
{
    struct state *state = calloc(1, sizeof(*state));

    ck_assert_ptr_nonnull(state);
    state->server = server;
    pthread_mutex_lock(&server->lock);
    server->states++;
    pthread_mutex_unlock(&server->lock);
    return state;
}

size_t server_states(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t states = server->states;
    pthread_mutex_unlock(&server->lock);
    return states;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response)
{
    enum MHD_Result result = MHD_queue_response(connection, status, response);

    MHD_destroy_response(response);
    return result;
}

static struct MHD_Response *text_response(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                           MHD_RESPMEM_PERSISTENT);
}

static ssize_t read_stream(void *state, uint64_t position, char *bytes, size_t capacity)
{
    const char *path = state;

    if (strcmp(path, "/broken") == 0 && position > 0) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (strcmp(path, "/stream") == 0) {
        if (position >= STREAM_BYTES) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        if (capacity > STREAM_BYTES - position) {
            capacity = (size_t)(STREAM_BYTES - position);
        }
    }
    memset(bytes, 'x', capacity);
    return (ssize_t)capacity;
}

static enum MHD_Result answer_stream(struct MHD_Connection *connection, const char *path)
{
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, 4096, read_stream, (void *)(uintptr_t)path, NULL);

    return queue(connection, MHD_HTTP_OK, response);
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static void upgraded(void *state, struct MHD_Connection *connection, void *con_cls,
                     const char *extra, size_t extra_bytes, MHD_socket socket,
                     struct MHD_UpgradeResponseHandle *handle)
{
    struct server *server = state;
    struct state *own = con_cls;

    (void)connection;
    (void)extra;
    (void)extra_bytes;
    (void)socket;
    tell(server, "upgraded con_cls=%s\n", own != NULL && own->server == server ? "own" : "foreign");
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

static enum MHD_Result answer_upgrade(struct server *server, struct MHD_Connection *connection)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(upgraded, server);

    MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, "test");
    return queue(connection, MHD_HTTP_SWITCHING_PROTOCOLS, response);
}

static enum MHD_Result answer_child(struct MHD_Connection *connection)
{
    struct tracez_context parent;

    if (tracez_current_context(&parent)) {
        tracez_span_finish(
            tracez_span_start(tracez_current_tracer(), TRACEZ_KIND_CLIENT, "query", &parent, NULL));
    }
    return queue(connection, MHD_HTTP_OK, text_response("child\n"));
}

/* In the handler, or on another thread while the connection is suspended. */
static enum MHD_Result answer(struct server *server, struct MHD_Connection *connection,
                              const char *url)
{
    static const char *const streams[] = {"/stream", "/broken", "/endless"};

    if (strcmp(url, "/no") == 0) {
        return MHD_NO;
    }
    if (strcmp(url, "/contrary") == 0) {
        queue(connection, MHD_HTTP_OK, text_response("never\n"));
        return MHD_NO;
    }
    if (strncmp(url, "/status/", 8) == 0) {
        return queue(connection, (unsigned)atoi(url + 8), text_response("status\n"));
    }
    if (strncmp(url, "/users/", 7) == 0) {
        tracez_mhd_set_route(connection, "/users/{id}");
        tracez_mhd_set_tag(connection, "user.id", url + 7);
        return queue(connection, MHD_HTTP_OK, text_response("user\n"));
    }
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        if (strcmp(url, streams[i]) == 0) {
            return answer_stream(connection, streams[i]);
        }
    }
    if (strcmp(url, "/child") == 0) {
        return answer_child(connection);
    }
    if (strcmp(url, "/upgrade") == 0) {
        return answer_upgrade(server, connection);
    }
    return queue(connection, MHD_HTTP_OK, text_response("ok\n"));
}

/* ---- Suspended requests ---------------------------------------------------------------------- */

static void answer_suspended(struct server *server, const struct waiting *waiting)
{
    if (strcmp(waiting->url, "/pause") != 0) {
        answer(server, waiting->connection, waiting->url);
    }
    MHD_resume_connection(waiting->connection);
}

/* No lock of ours is held around calls of libmicrohttpd, which calls us with locks of its own. */
static void suspend(struct server *server, struct MHD_Connection *connection, const char *url)
{
    const struct waiting waiting = {connection, url};

    MHD_suspend_connection(connection);
    pthread_mutex_lock(&server->lock);
    bool may_wait = !server->is_stopping;
    if (may_wait) {
        ck_assert_uint_lt(server->waiting_count, WAITING_MAX);
        server->waiting[server->waiting_count++] = waiting;
        pthread_cond_broadcast(&server->changed);
    }
    pthread_mutex_unlock(&server->lock);
    if (!may_wait) {
        answer_suspended(server, &waiting);
    }
}

static bool take_waiting(struct server *server, struct waiting *waiting)
{
    pthread_mutex_lock(&server->lock);
    bool is_taken = server->waiting_count > 0;
    if (is_taken) {
        *waiting = server->waiting[--server->waiting_count];
    }
    pthread_mutex_unlock(&server->lock);
    return is_taken;
}

void server_release(struct server *server)
{
    struct waiting waiting;

    while (take_waiting(server, &waiting)) {
        answer_suspended(server, &waiting);
    }
}

size_t server_waiting(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->waiting_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

static void *run_answerer(void *state)
{
    struct server *server = state;
    bool is_stopping = false;

    while (!is_stopping) {
        pthread_mutex_lock(&server->lock);
        while (!server->is_stopping && server->waiting_count == 0) {
            pthread_cond_wait(&server->changed, &server->lock);
        }
        is_stopping = server->is_stopping;
        pthread_mutex_unlock(&server->lock);
        server_release(server);
    }
    return NULL;
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static const char *kind_of(const struct server *server, void *const *con_cls)
{
    const struct state *state = *con_cls;

    return state == NULL ? "null" : state->server == server ? "own" : "foreign";
}

static void *log_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct server *server = cls;
    struct state *state = state_create(server);

    (void)connection;
    tell(server, "log %s\n", uri != NULL ? uri : "(null)");
    pthread_mutex_lock(&server->lock);
    server->logged++;
    pthread_mutex_unlock(&server->lock);
    state->is_logged = true;
    return state;
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has libmicrohttpd's type */
static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **con_cls)
{
    struct server *server = cls;
    struct state *state = *con_cls;

    tell(server, "handle %s %s %s con_cls=%s body=%s\n", method, url, version,
         kind_of(server, con_cls), upload_data != NULL ? "some" : "none");
    if (state == NULL) {
        *con_cls = state = state_create(server);
    }
    if (!state->is_late && strcmp(url, "/early") != 0) {
        state->is_late = true;
        if (strcmp(url, "/pause") == 0) {
            suspend(server, connection, url);
        }
        return MHD_YES;
    }
    if (strcmp(url, "/pause") == 0 && !state->is_resumed) {
        state->is_resumed = true;
        return MHD_YES;
    }
    if (upload_data != NULL && *upload_data_size > 0) {
        *upload_data_size = 0;
        return MHD_YES;
    }
    if (state->is_answered) {
        return MHD_YES;
    }
    state->is_answered = true;
    bool says_no = strcmp(url, "/no") == 0 || strcmp(url, "/contrary") == 0;
    bool waits = strcmp(url, "/wait") == 0 || (server->mode == SERVER_SUSPENDING && !says_no);
    if (waits) {
        suspend(server, connection, url);
        return MHD_YES;
    }
    return answer(server, connection, url);
}

static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode ending)
{
    struct server *server = cls;

    (void)connection;
    tell(server, "completed con_cls=%s ending=%d\n", kind_of(server, con_cls), (int)ending);
    if (*con_cls != NULL) {
        free(*con_cls);
        *con_cls = NULL;
        pthread_mutex_lock(&server->lock);
        server->states--;
        pthread_mutex_unlock(&server->lock);
    }
}

static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    struct server *server = cls;

    (void)connection;
    tell(server, "unescape %s\n", text);
    return MHD_http_unescape(text);
}

static void be_silent(void *cls, const char *format, va_list arguments)
{
    (void)cls;
    (void)format;
    (void)arguments;
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

static void *run_loop(void *state)
{
    struct server *server = state;
    bool is_stopping = false;

    while (!is_stopping) {
        fd_set reads;
        fd_set writes;
        fd_set errors;
        MHD_socket max = 0;
        struct timeval patience = {.tv_usec = 5000};
        FD_ZERO(&reads);
        FD_ZERO(&writes);
        FD_ZERO(&errors);
        ck_assert(MHD_get_fdset(server->daemon, &reads, &writes, &errors, &max) == MHD_YES);
        ck_assert(select(max + 1, &reads, &writes, &errors, &patience) >= 0 || errno == EINTR);
        ck_assert(MHD_run_from_select(server->daemon, &reads, &writes, &errors) == MHD_YES);
        pthread_mutex_lock(&server->lock);
        is_stopping = server->is_stopping;
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

static unsigned flags_of(enum server_mode mode)
{
    static const unsigned flags[SERVER_MODES] = {
        [SERVER_POLLING] = MHD_USE_POLL_INTERNAL_THREAD,
        [SERVER_POOL] = MHD_USE_EPOLL_INTERNAL_THREAD,
        [SERVER_PER_CONNECTION] = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD,
        [SERVER_SELECT] = 0,
        [SERVER_EPOLL] = MHD_USE_EPOLL_INTERNAL_THREAD,
        [SERVER_SUSPENDING] = MHD_USE_EPOLL_INTERNAL_THREAD,
    };

    return flags[mode] | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;
}

static struct tracez_tracer *create_tracer(void)
{
    struct tracez_config config;

    tracez_config_init(&config);
    config.spans_max = SPANS_MAX;
    return tracer_create(&config);
}

struct tracez_mhd *tracing_create(const struct tracez_mhd_config *config,
                                  struct tracez_tracer *tracer)
{
    struct tracez_mhd_config own;
    struct tracez_error error = {0};
    struct tracez_mhd *tracing;

    tracez_mhd_config_init(&own);
    if (config != NULL) {
        own = *config;
    }
    own.tracer = tracer;
    ck_assert_msg(tracez_mhd_create(&own, &tracing, &error) == TRACEZ_OK, "%s", error.text);
    return tracing;
}

uint16_t daemon_port(struct MHD_Daemon *daemon)
{
    return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void set_up_tracing(struct server *server, const struct server_options *options)
{
    struct tracez_mhd_config config;

    tracez_mhd_config_init(&config);
    if (options->config != NULL) {
        config = *options->config;
    }
    if (options->by_hand) {
        config.handler = handle;
        config.handler_state = server;
        config.completed = completed;
        config.completed_state = server;
        config.uri_log = options->has_uri_log ? log_uri : NULL;
        config.uri_log_state = server;
    }
    server->tracing = tracing_create(&config, server->tracer);
}

static struct MHD_Daemon *start_daemon(struct server *server, const struct server_options *options)
{
    static const struct MHD_OptionItem end = {MHD_OPTION_END, 0, NULL};
    struct MHD_OptionItem later[3] = {end, end, end};
    struct MHD_OptionItem own[8] = {{MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)be_silent, NULL}};
    unsigned flags = flags_of(options->mode);
    unsigned threads = options->mode == SERVER_POOL ? POOL_THREADS : 0;
    struct tracez_error error = {0};
    struct MHD_Daemon *daemon;
    size_t count = 1;

    if (options->memory_limit > 0) {
        own[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                               (intptr_t)options->memory_limit, NULL};
    }
    if (options->has_uri_log && !options->by_hand) {
        own[count++] =
            (struct MHD_OptionItem){MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)log_uri, server};
    }
    if (!options->has_default_limit) {
        own[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, NULL};
    }
    own[count] = end;
    count = 0;
    if (options->replaces_completed) {
        later[count++] =
            (struct MHD_OptionItem){MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)completed, server};
    }
    if (options->replaces_uri_log) {
        later[count++] =
            (struct MHD_OptionItem){MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)log_uri, server};
    }
#define OWN_OPTIONS                                                                                \
    MHD_OPTION_ARRAY, own, MHD_OPTION_THREAD_POOL_SIZE, threads, MHD_OPTION_CONNECTION_TIMEOUT,    \
        options->timeout_s, MHD_OPTION_UNESCAPE_CALLBACK, unescape, server,                        \
        MHD_OPTION_NOTIFY_COMPLETED, completed, server
    if (options->is_untraced) {
        daemon =
            MHD_start_daemon(flags, 0, NULL, NULL, handle, server, OWN_OPTIONS, MHD_OPTION_END);
    } else if (options->by_hand) {
        daemon =
            MHD_start_daemon(flags, 0, NULL, NULL, tracez_mhd_handler, server->tracing, OWN_OPTIONS,
                             MHD_OPTION_ARRAY, tracez_mhd_options(server->tracing),
                             MHD_OPTION_ARRAY, later, MHD_OPTION_END);
    } else {
        daemon = tracez_mhd_start_daemon(server->tracing, &error, flags, 0, NULL, NULL, handle,
                                         server, OWN_OPTIONS, MHD_OPTION_END);
    }
#undef OWN_OPTIONS
    ck_assert_msg(daemon != NULL, "%s", error.text);
    return daemon;
}

struct server *server_start(const struct server_options *options)
{
    struct server *server = calloc(1, sizeof(*server));

    ck_assert_ptr_nonnull(server);
    server->mode = options->mode;
    server->has_uri_log = options->has_uri_log;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->story = open_memstream(&server->story_text, &server->story_bytes);
    server->tracer = create_tracer();
    set_up_tracing(server, options);
    server->daemon = start_daemon(server, options);
    server->port = daemon_port(server->daemon);
    if (server->mode == SERVER_SELECT) {
        ck_assert_int_eq(pthread_create(&server->loop, NULL, run_loop, server), 0);
    }
    if (server->mode == SERVER_SUSPENDING) {
        ck_assert_int_eq(pthread_create(&server->answerer, NULL, run_answerer, server), 0);
    }
    return server;
}

void server_stop(struct server *server)
{
    if (server->daemon == NULL) {
        return;
    }
    pthread_mutex_lock(&server->lock);
    server->is_stopping = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (server->mode == SERVER_SELECT) {
        pthread_join(server->loop, NULL);
    }
    if (server->mode == SERVER_SUSPENDING) {
        pthread_join(server->answerer, NULL);
    }
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}

void server_end_tracing(struct server *server)
{
    tracez_mhd_destroy(server->tracing);
    server->tracing = NULL;
}

void server_free(struct server *server)
{
    server_stop(server);
    server_end_tracing(server);
    tracez_tracer_destroy(server->tracer);
    fclose(server->story);
    free(server->story_text);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

uint64_t server_logged(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    uint64_t logged = server->logged;
    pthread_mutex_unlock(&server->lock);
    return logged;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

struct tracez_tracer *server_tracer(const struct server *server)
{
    return server->tracer;
}

struct MHD_Daemon *server_daemon(const struct server *server)
{
    return server->daemon;
}

void server_wait_requests(struct server *server, uint64_t requests)
{
    struct tracez_stats stats;
    uint64_t start_ms = client_now_ms();

    tracez_stats_init(&stats);
    for (;;) {
        tracez_tracer_stats(server->tracer, &stats);
        if (stats.requests >= requests) {
            return;
        }
        client_pause(start_ms, "requests to end");
    }
}
