/* SPDX-License-Identifier: MIT
 *
 * The scripted backend; see exporter_backend.h. One thread polls the listening socket and its
 * connections; everything that tests look at is under one lock. */
#include "exporter_backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define CONNECTIONS_MAX 64
#define REQUESTS_MAX 4096
#define STEPS_MAX 300
#define FLOOD_BYTES_MAX (64 * 1024 * 1024)

struct connection {
    int fd; /* -1: free */
    char *input;
    size_t input_bytes;
    long held;    /* the request that waits for its release, -1: none */
    bool is_deaf; /* what comes is thrown away */
};

struct request {
    char *head;
    char *body;
    uint64_t arrival_ns;
    struct backend_step step;
    bool is_released;
    bool is_accepted;
};

struct backend {
    pthread_t thread;
    int listen_fd;
    char url[64];
    int wake_fds[2];
    struct backend_step steps[STEPS_MAX];
    size_t step_count;
    struct connection connections[CONNECTIONS_MAX];

    pthread_mutex_t lock; /* all below */
    bool is_stopping;
    bool is_listening;
    struct request requests[REQUESTS_MAX];
    size_t request_count;
    size_t connection_count;
    size_t unanswered;
    size_t unanswered_max;
    uint64_t flooded_bytes;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- Sockets --------------------------------------------------------------------------------- */

/* Bound, so that nobody else gets the port, and refusing connections until listen. */
static int bind_loopback(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t address_bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &address_bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    free(connection->input);
    *connection = (struct connection){.fd = -1, .held = -1};
}

static void reset_connection(struct connection *connection)
{
    struct linger at_once = {.l_onoff = 1};

    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close_connection(connection);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void flood(struct backend *backend, struct connection *connection, bool in_headers)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n";
    char block[4096];
    uint64_t flooded = 0;

    memset(block, 'x', sizeof(block));
    if (in_headers) {
        for (size_t i = 0; i < sizeof(block); i += 64) {
            memcpy(block + i, "X-Flood: ", 9);
            memcpy(block + i + 62, "\r\n", 2);
        }
    }
    send_all(connection->fd, head, sizeof(head) - 1);
    if (!in_headers) {
        send_all(connection->fd, "\r\n", 2);
    }
    while (flooded < FLOOD_BYTES_MAX && send_all(connection->fd, block, sizeof(block))) {
        flooded += sizeof(block);
    }
    pthread_mutex_lock(&backend->lock);
    backend->flooded_bytes += flooded;
    pthread_mutex_unlock(&backend->lock);
    close_connection(connection);
}

static void write_answer(struct backend *backend, struct connection *connection, size_t index)
{
    struct request *request = &backend->requests[index];
    const struct backend_step *step = &request->step;
    const char *body = step->body != NULL ? step->body : "{}";
    bool is_cut = step->action == BACKEND_CUT || step->action == BACKEND_RESET_LATE;
    size_t extra = is_cut ? 100 : 0;
    int status = step->status != 0 ? step->status : 200;
    char head[2048];
    int bytes = snprintf(head, sizeof(head),
                         "HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n%s"
                         "Content-Length: %zu\r\n\r\n",
                         status, step->headers != NULL ? step->headers : "", strlen(body) + extra);

    ck_assert_int_lt(bytes, (int)sizeof(head));
    pthread_mutex_lock(&backend->lock); /* before it is sent: who saw the answer may ask */
    request->is_accepted = status / 100 == 2 && extra == 0;
    pthread_mutex_unlock(&backend->lock);
    if (!send_all(connection->fd, head, (size_t)bytes) ||
        !send_all(connection->fd, body, strlen(body)) || step->action == BACKEND_CUT) {
        close_connection(connection);
    } else if (step->action == BACKEND_RESET_LATE) {
        reset_connection(connection);
    } else if (step->action == BACKEND_EARLY) {
        shutdown(connection->fd, SHUT_WR);
        connection->is_deaf = true;
    }
}

static void answer(struct backend *backend, struct connection *connection, size_t index)
{
    const struct backend_step *step = &backend->requests[index].step;

    pthread_mutex_lock(&backend->lock);
    backend->unanswered--;
    pthread_mutex_unlock(&backend->lock);
    switch (step->action) {
    case BACKEND_CLOSE:
        close_connection(connection);
        break;
    case BACKEND_RESET:
    case BACKEND_RESET_EARLY:
        reset_connection(connection);
        break;
    case BACKEND_RAW:
        send_all(connection->fd, step->body, strlen(step->body));
        close_connection(connection);
        break;
    case BACKEND_FLOOD_BODY:
    case BACKEND_FLOOD_HEADERS:
        flood(backend, connection, step->action == BACKEND_FLOOD_HEADERS);
        break;
    default:
        write_answer(backend, connection, index);
    }
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* With a NUL. A body that says so is decompressed, up to a bound that no test comes near. */
static char *copy_body(const char *head, const char *body, size_t body_bytes)
{
    enum { DECODED_BYTES_MAX = 8 * 1024 * 1024 };

    if (strcasestr(head, "\r\ncontent-encoding: gzip\r\n") == NULL) {
        return strndup(body, body_bytes);
    }
    char *decoded = malloc(DECODED_BYTES_MAX + 1);
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)body,
                       .avail_in = (unsigned)body_bytes,
                       .next_out = (unsigned char *)decoded,
                       .avail_out = DECODED_BYTES_MAX};
    ck_assert_int_eq(inflateInit2(&stream, 15 + 16), Z_OK);
    ck_assert_int_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
    ck_assert_uint_eq(stream.avail_in, 0);
    decoded[stream.total_out] = '\0';
    inflateEnd(&stream);
    return decoded;
}

/* Notes a request that came; returns its index. */
static size_t note_request(struct backend *backend, const char *head, size_t head_bytes,
                           size_t body_bytes)
{
    pthread_mutex_lock(&backend->lock);
    ck_assert_uint_lt(backend->request_count, REQUESTS_MAX);
    size_t index = backend->request_count++;
    struct request *request = &backend->requests[index];
    request->head = strndup(head, head_bytes);
    request->body = copy_body(request->head, head + head_bytes, body_bytes);
    request->arrival_ns = now_ns();
    if (index < backend->step_count) {
        request->step = backend->steps[index];
    }
    backend->unanswered++;
    if (backend->unanswered > backend->unanswered_max) {
        backend->unanswered_max = backend->unanswered;
    }
    pthread_mutex_unlock(&backend->lock);
    return index;
}

static bool is_next_early(struct backend *backend)
{
    if (backend->request_count >= backend->step_count) {
        return false;
    }
    enum backend_action action = backend->steps[backend->request_count].action;
    return action == BACKEND_EARLY || action == BACKEND_RESET_EARLY;
}

/* Takes a whole request out of the input; its index, or -1 when it is not whole yet. */
static long take_request(struct backend *backend, struct connection *connection)
{
    char *head_end = connection->input_bytes == 0 ? NULL : strstr(connection->input, "\r\n\r\n");
    char *length = head_end == NULL ? NULL : strcasestr(connection->input, "\r\ncontent-length:");

    if (head_end == NULL) {
        return -1;
    }
    size_t head_bytes = (size_t)(head_end + 4 - connection->input);
    size_t body_bytes =
        length == NULL ? 0 : strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    if (connection->input_bytes < head_bytes + body_bytes) {
        if (!is_next_early(backend)) {
            return -1;
        }
        body_bytes = connection->input_bytes - head_bytes;
    }
    size_t index = note_request(backend, connection->input, head_bytes, body_bytes);
    connection->input_bytes -= head_bytes + body_bytes;
    memmove(connection->input, connection->input + head_bytes + body_bytes,
            connection->input_bytes);
    return (long)index;
}

static void read_input(struct backend *backend, struct connection *connection)
{
    enum { BLOCK = 65536 };
    char *grown = realloc(connection->input, connection->input_bytes + BLOCK + 1);

    ck_assert_ptr_nonnull(grown);
    connection->input = grown;
    ssize_t count = recv(connection->fd, grown + connection->input_bytes, BLOCK, MSG_DONTWAIT);
    if (count <= 0) {
        if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
            if (connection->held >= 0) {
                pthread_mutex_lock(&backend->lock);
                backend->unanswered--;
                pthread_mutex_unlock(&backend->lock);
            }
            close_connection(connection);
        }
        return;
    }
    if (connection->is_deaf) {
        return;
    }
    connection->input_bytes += (size_t)count;
    grown[connection->input_bytes] = '\0';
    long index = take_request(backend, connection);
    if (index >= 0) {
        if (backend->requests[index].step.action == BACKEND_HOLD) {
            connection->held = index;
        } else {
            answer(backend, connection, (size_t)index);
        }
    }
}

static void answer_released(struct backend *backend)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &backend->connections[i];
        if (connection->fd < 0 || connection->held < 0) {
            continue;
        }
        size_t index = (size_t)connection->held;
        pthread_mutex_lock(&backend->lock);
        bool is_released = backend->requests[index].is_released;
        pthread_mutex_unlock(&backend->lock);
        if (is_released) {
            connection->held = -1;
            answer(backend, connection, index);
        }
    }
}

static void accept_connection(struct backend *backend)
{
    int fd = accept4(backend->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (size_t i = 0; i < CONNECTIONS_MAX && fd >= 0; i++) {
        if (backend->connections[i].fd < 0) {
            backend->connections[i].fd = fd;
            pthread_mutex_lock(&backend->lock);
            backend->connection_count++;
            pthread_mutex_unlock(&backend->lock);
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- The thread ------------------------------------------------------------------------------ */

static bool is_set(struct backend *backend, const bool *flag)
{
    pthread_mutex_lock(&backend->lock);
    bool value = *flag;
    pthread_mutex_unlock(&backend->lock);
    return value;
}

static void *serve(void *state)
{
    struct backend *backend = state;
    struct pollfd polled[CONNECTIONS_MAX + 2];
    char drained[16];

    while (!is_set(backend, &backend->is_stopping)) {
        int listen_fd = is_set(backend, &backend->is_listening) ? backend->listen_fd : -1;
        polled[0] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
        polled[1] = (struct pollfd){.fd = backend->wake_fds[0], .events = POLLIN};
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            polled[i + 2] = (struct pollfd){.fd = backend->connections[i].fd, .events = POLLIN};
        }
        poll(polled, CONNECTIONS_MAX + 2, -1);
        if (polled[1].revents != 0 && read(backend->wake_fds[0], drained, sizeof(drained)) > 0) {
            answer_released(backend);
        }
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            if (polled[i + 2].revents != 0 && backend->connections[i].fd >= 0) {
                read_input(backend, &backend->connections[i]);
            }
        }
        if (polled[0].revents != 0) {
            accept_connection(backend);
        }
    }
    return NULL;
}

static void wake(struct backend *backend)
{
    ck_assert_int_eq(write(backend->wake_fds[1], "x", 1), 1);
}

struct backend *backend_start_deaf(const struct backend_step *steps, size_t step_count)
{
    struct backend *backend = calloc(1, sizeof(*backend));
    int port;

    ck_assert_ptr_nonnull(backend);
    ck_assert_uint_le(step_count, STEPS_MAX);
    if (step_count > 0) {
        memcpy(backend->steps, steps, step_count * sizeof(steps[0]));
    }
    backend->step_count = step_count;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        backend->connections[i] = (struct connection){.fd = -1, .held = -1};
    }
    pthread_mutex_init(&backend->lock, NULL);
    backend->listen_fd = bind_loopback(&port);
    ck_assert_int_eq(pipe2(backend->wake_fds, O_CLOEXEC), 0);
    snprintf(backend->url, sizeof(backend->url), "http://127.0.0.1:%d", port);
    ck_assert_int_eq(pthread_create(&backend->thread, NULL, serve, backend), 0);
    return backend;
}

void backend_listen(struct backend *backend)
{
    ck_assert_int_eq(listen(backend->listen_fd, 128), 0);
    pthread_mutex_lock(&backend->lock);
    backend->is_listening = true;
    pthread_mutex_unlock(&backend->lock);
    wake(backend);
}

void backend_drop_packets(struct backend *backend, bool is_on)
{
    struct sock_filter nothing_passes = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog filter = {.len = 1, .filter = &nothing_passes};

    ck_assert_int_eq(setsockopt(backend->listen_fd, SOL_SOCKET,
                                is_on ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &filter,
                                sizeof(filter)),
                     0);
}

struct backend *backend_start(const struct backend_step *steps, size_t step_count)
{
    struct backend *backend = backend_start_deaf(steps, step_count);

    backend_listen(backend);
    return backend;
}

void backend_stop(struct backend *backend)
{
    pthread_mutex_lock(&backend->lock);
    backend->is_stopping = true;
    pthread_mutex_unlock(&backend->lock);
    wake(backend);
    pthread_join(backend->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (backend->connections[i].fd >= 0) {
            close_connection(&backend->connections[i]);
        }
    }
    for (size_t i = 0; i < backend->request_count; i++) {
        free(backend->requests[i].head);
        free(backend->requests[i].body);
    }
    close(backend->listen_fd);
    close(backend->wake_fds[0]);
    close(backend->wake_fds[1]);
    pthread_mutex_destroy(&backend->lock);
    free(backend);
}

/* ---- What tests ask -------------------------------------------------------------------------- */

const char *backend_url(const struct backend *backend)
{
    return backend->url;
}

size_t backend_request_count(struct backend *backend)
{
    pthread_mutex_lock(&backend->lock);
    size_t count = backend->request_count;
    pthread_mutex_unlock(&backend->lock);
    return count;
}

size_t backend_connection_count(struct backend *backend)
{
    pthread_mutex_lock(&backend->lock);
    size_t count = backend->connection_count;
    pthread_mutex_unlock(&backend->lock);
    return count;
}

uint64_t backend_flooded_bytes(struct backend *backend)
{
    pthread_mutex_lock(&backend->lock);
    uint64_t bytes = backend->flooded_bytes;
    pthread_mutex_unlock(&backend->lock);
    return bytes;
}

size_t backend_unanswered_max(struct backend *backend)
{
    pthread_mutex_lock(&backend->lock);
    size_t count = backend->unanswered_max;
    pthread_mutex_unlock(&backend->lock);
    return count;
}

void backend_wait_requests(struct backend *backend, size_t count)
{
    uint64_t deadline_ns = now_ns() + BACKEND_DEADLINE_MS * UINT64_C(1000000);

    while (backend_request_count(backend) < count) {
        ck_assert_msg(now_ns() < deadline_ns, "%zu requests came, %zu expected",
                      backend_request_count(backend), count);
        poll(NULL, 0, 1);
    }
}

static struct request *request_at(struct backend *backend, size_t index)
{
    ck_assert_uint_lt(index, backend_request_count(backend));
    return &backend->requests[index];
}

const char *backend_head(struct backend *backend, size_t index)
{
    return request_at(backend, index)->head;
}

const char *backend_body(struct backend *backend, size_t index)
{
    return request_at(backend, index)->body;
}

uint64_t backend_arrival_ns(struct backend *backend, size_t index)
{
    return request_at(backend, index)->arrival_ns;
}

void backend_release(struct backend *backend, size_t index)
{
    struct request *request = request_at(backend, index);

    pthread_mutex_lock(&backend->lock);
    request->is_released = true;
    pthread_mutex_unlock(&backend->lock);
    wake(backend);
}

size_t backend_body_spans(struct backend *backend, size_t index)
{
    json_error_t error;
    json_t *root = json_loads(backend_body(backend, index), JSON_ALLOW_NUL, &error);
    size_t i;
    size_t spans = 0;
    json_t *entry;

    ck_assert_msg(root != NULL, "body %zu is not JSON: %s", index, error.text);
    if (json_is_array(root)) { /* Zipkin's, or plain */
        spans = json_array_size(root);
        json_decref(root);
        return spans;
    }
    ck_assert_uint_gt(json_array_size(json_object_get(root, "resourceSpans")), 0);
    json_array_foreach(json_object_get(root, "resourceSpans"), i, entry)
    {
        json_t *scope = json_array_get(json_object_get(entry, "scopeSpans"), 0);
        size_t count = json_array_size(json_object_get(scope, "spans"));
        ck_assert_uint_gt(count, 0);
        spans += count;
    }
    json_decref(root);
    return spans;
}

size_t backend_accepted_spans(struct backend *backend)
{
    size_t spans = 0;

    for (size_t i = 0; i < backend_request_count(backend); i++) {
        if (is_set(backend, &backend->requests[i].is_accepted)) {
            spans += backend_body_spans(backend, i);
        }
    }
    return spans;
}
