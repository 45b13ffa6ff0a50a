/* SPDX-License-Identifier: MIT
 *
 * Sending and receiving; see client.h. */
#include "client.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 65536

uint64_t client_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void client_pause(uint64_t start_ms, const char *what)
{
    ck_assert_msg(client_now_ms() - start_ms < CLIENT_DEADLINE_MS, "waited too long for %s", what);
    poll(NULL, 0, 1);
}

int client_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_ge(fd, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect: %s",
                  strerror(errno));
    return fd;
}

void client_send(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        count -= (size_t)sent;
    }
}

/* 0: closed, or reset. */
static size_t receive_some(int fd, char *bytes, size_t capacity)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    ck_assert_msg(poll(&readable, 1, CLIENT_DEADLINE_MS) == 1, "no answer");
    ssize_t got = recv(fd, bytes, capacity, 0);
    return got < 0 ? 0 : (size_t)got;
}

void client_drain(int fd)
{
    char bytes[4096];

    while (receive_some(fd, bytes, sizeof(bytes)) > 0) {
    }
}

/* What is to come behind the head. SIZE_MAX: until the server closes. */
static size_t body_bytes_of(const char *head, int status)
{
    const char *length = strcasestr(head, "\r\nContent-Length:");

    if (status / 100 == 1 || status == 204 || status == 304) {
        return 0;
    }
    return length == NULL ? SIZE_MAX : strtoul(strchr(length, ':') + 1, NULL, 10);
}

int client_receive(int fd)
{
    static _Thread_local char bytes[HEAD_BYTES_MAX];
    size_t count = 0;
    const char *end = NULL;
    int status = 0;

    while (end == NULL) {
        size_t got = receive_some(fd, bytes + count, sizeof(bytes) - 1 - count);
        if (got == 0) {
            return 0;
        }
        count += got;
        bytes[count] = '\0';
        end = strstr(bytes, "\r\n\r\n");
    }
    ck_assert_msg(sscanf(bytes, "HTTP/1.%*d %d", &status) == 1, "no status in \"%.40s\"", bytes);
    end += 4;
    bool is_chunked = strcasestr(bytes, "\r\nTransfer-Encoding: chunked") != NULL;
    size_t body = body_bytes_of(bytes, status);
    size_t have = count - (size_t)(end - bytes);
    char tail[6] = "";
    while (is_chunked ? memcmp(tail, "0\r\n\r\n", 5) != 0 : have < body) {
        if (is_chunked && have >= 5) {
            memcpy(tail, bytes + count - 5, 5);
            if (memcmp(tail, "0\r\n\r\n", 5) == 0) {
                break;
            }
        }
        if (sizeof(bytes) - count < 4096) { /* keep the end only */
            memmove(bytes, bytes + count - 8, 8);
            count = 8;
        }
        size_t got = receive_some(fd, bytes + count, sizeof(bytes) - 1 - count);
        if (got == 0) {
            break;
        }
        count += got;
        have += got;
    }
    return status;
}

void client_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

int client_ask(uint16_t port, const char *request)
{
    int fd = client_connect(port);

    client_send(fd, request, strlen(request));
    int status = client_receive(fd);
    close(fd);
    return status;
}
