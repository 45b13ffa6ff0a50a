/* SPDX-License-Identifier: MIT
 *
 * Accepting, reading, answering; see sink.h. A thread for each connection: the exporter keeps few.
 */
#include "sink.h"

#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define BODY_BYTES_MAX (8UL * 1024 * 1024)
#define GZIP_WINDOW (MAX_WBITS + 16)
#define MARK "{\"trace" /* a span's beginning, in each of the formats */

struct sink {
    _Atomic uint64_t spans; /* written by the child */
    int listener;
    pid_t child;
    char url[64];
};

struct connection {
    struct sink *sink;
    int fd;
    char *bytes;
    size_t count;
    char *inflated; /* once it is needed */
};

static bool read_some(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->bytes + connection->count,
                       BODY_BYTES_MAX - connection->count - 1, 0);

    connection->count += got > 0 ? (size_t)got : 0;
    connection->bytes[connection->count] = '\0';
    return got > 0;
}

/* The whole bytes of the first request; 0 when it is not all there. */
static size_t request_bytes(const struct connection *connection)
{
    const char *end = connection->count == 0 ? NULL : strstr(connection->bytes, "\r\n\r\n");
    const char *length = end == NULL ? NULL : strcasestr(connection->bytes, "\r\nContent-Length:");

    if (length == NULL) {
        return 0;
    }
    size_t bytes =
        (size_t)(end + 4 - connection->bytes) + strtoul(strchr(length, ':') + 1, NULL, 10);
    return bytes <= connection->count ? bytes : 0;
}

static uint64_t count_marks(const char *bytes, size_t count)
{
    const char *end = bytes + count;
    uint64_t spans = 0;

    while ((bytes = memmem(bytes, (size_t)(end - bytes), MARK, strlen(MARK))) != NULL) {
        bytes += strlen(MARK);
        spans++;
    }
    return spans;
}

/* In the text that was compressed. */
static uint64_t count_compressed(struct connection *connection, const char *bytes, size_t count)
{
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)bytes, .avail_in = (uInt)count};

    if (connection->inflated == NULL) {
        connection->inflated = malloc(BODY_BYTES_MAX);
    }
    if (connection->inflated == NULL || inflateInit2(&stream, GZIP_WINDOW) != Z_OK) {
        return 0;
    }
    stream.next_out = (unsigned char *)connection->inflated;
    stream.avail_out = BODY_BYTES_MAX;
    int status = inflate(&stream, Z_FINISH);
    uint64_t spans =
        status == Z_STREAM_END ? count_marks(connection->inflated, stream.total_out) : 0;
    inflateEnd(&stream);
    return spans;
}

static uint64_t count_spans(struct connection *connection, size_t request_bytes)
{
    const char *body = strstr(connection->bytes, "\r\n\r\n") + 4;
    const char *encoding = strcasestr(connection->bytes, "\r\nContent-Encoding: gzip\r\n");
    size_t body_bytes = (size_t)(connection->bytes + request_bytes - body);

    return encoding != NULL && encoding < body ? count_compressed(connection, body, body_bytes)
                                               : count_marks(body, body_bytes);
}

static void *serve(void *state)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 2\r\n\r\n{}";
    struct connection *connection = state;

    while (read_some(connection)) {
        size_t bytes = request_bytes(connection);
        if (bytes > 0) {
            /* Relaxed: a number by itself. */
            atomic_fetch_add_explicit(&connection->sink->spans, count_spans(connection, bytes),
                                      memory_order_relaxed);
            connection->count -= bytes;
            memmove(connection->bytes, connection->bytes + bytes, connection->count + 1);
            if (send(connection->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) {
                break;
            }
        }
    }
    close(connection->fd);
    free(connection->bytes);
    free(connection->inflated);
    free(connection);
    return NULL;
}

static void run(struct sink *sink)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (;;) {
        struct connection *connection = calloc(1, sizeof(*connection));
        pthread_t thread;

        if (connection == NULL || (connection->bytes = malloc(BODY_BYTES_MAX)) == NULL) {
            _exit(1);
        }
        connection->sink = sink;
        connection->fd = accept(sink->listener, NULL, NULL);
        if (connection->fd < 0 || pthread_create(&thread, NULL, serve, connection) != 0) {
            _exit(1);
        }
        pthread_detach(thread);
    }
}

struct sink *sink_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t address_bytes = sizeof(address);
    struct sink *sink =
        mmap(NULL, sizeof(*sink), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sink == MAP_FAILED) {
        err(1, "no memory for a sink");
    }
    sink->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sink->listener < 0 ||
        bind(sink->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(sink->listener, 64) != 0 ||
        getsockname(sink->listener, (struct sockaddr *)&address, &address_bytes) != 0) {
        err(1, "no socket for a sink");
    }
    snprintf(sink->url, sizeof(sink->url), "http://127.0.0.1:%d", ntohs(address.sin_port));
    pid_t child = fork();
    if (child == 0) {
        run(sink);
    }
    if (child < 0) {
        err(1, "no process for a sink");
    }
    sink->child = child; /* by the parent alone: the memory is shared */
    return sink;
}

const char *sink_url(const struct sink *sink)
{
    return sink->url;
}

uint64_t sink_spans(const struct sink *sink)
{
    return atomic_load_explicit(&sink->spans, memory_order_relaxed);
}

void sink_stop(struct sink *sink)
{
    kill(sink->child, SIGTERM);
    waitpid(sink->child, NULL, 0);
    close(sink->listener);
    munmap(sink, sizeof(*sink));
}
