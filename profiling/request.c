/* SPDX-License-Identifier: MIT
 *
 * Answering GET /debug/pprof/profile?seconds=N. Whatever else is asked gets a status and a
 * sentence. A profile ends early when who asked for it hangs up: nobody keeps the profiler by
 * leaving. */
#include "request.h"

#include "profile.h"

#include <tracez/profiling.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH "/debug/pprof/profile"
#define MS_PER_S 1000
#define NS_PER_MS 1000000
#define SECONDS_DIGITS_MAX 3
#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

/* ---- Answers --------------------------------------------------------------------------------- */

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response, const char *type)
{
    if (response == NULL) {
        return MHD_NO; /* no memory: the connection is closed */
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* text: constant. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return queue(connection, status,
                 MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                 MHD_RESPMEM_PERSISTENT),
                 "text/plain; charset=utf-8");
}

/* ---- A profile ------------------------------------------------------------------------------- */

static bool parse_seconds(const char *text, int *seconds)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > SECONDS_DIGITS_MAX || text[digits] != '\0') {
        return false;
    }
    *seconds = (int)strtol(text, NULL, 10);
    return *seconds >= 1 && *seconds <= TRACEZ_PROFILE_SECONDS_MAX;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

/* Until the time is over; or, which is false, the client has gone or profiling stops. */
static bool wait_out(struct MHD_Connection *connection, int stop_fd, int seconds)
{
    int64_t end_ms = now_ms() + (int64_t)seconds * MS_PER_S;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fds[] = {
        {.fd = stop_fd, .events = POLLIN},
        {.fd = info == NULL ? -1 : info->connect_fd, .events = POLLRDHUP},
    };

    for (;;) {
        int64_t left_ms = end_ms - now_ms();
        if (left_ms <= 0) {
            return true;
        }
        int status = poll(fds, sizeof(fds) / sizeof(fds[0]), (int)left_ms);
        /* The signal that profiles are made of interrupts this, too. */
        if (status > 0 || (status < 0 && errno != EINTR)) {
            return false;
        }
    }
}

static enum MHD_Result take(struct MHD_Connection *connection, int stop_fd, int seconds)
{
    int fd;

    switch (profile_begin(&fd)) {
    case PROFILE_BEGUN:
        break;
    case PROFILE_BUSY:
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "a profile is being taken already, and there is one at a time\n");
    case PROFILE_NO_MEMORY:
        return answer(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory for a profile\n");
    }
    bool is_whole = wait_out(connection, stop_fd, seconds);
    size_t bytes = profile_end(fd);
    struct MHD_Response *response = is_whole ? MHD_create_response_from_fd(bytes, fd) : NULL;
    if (response == NULL) {
        close(fd); /* else it is the response's */
        return MHD_NO;
    }
    return queue(connection, MHD_HTTP_OK, response, "application/octet-stream");
}

/* NOLINTNEXTLINE(readability-function-size): so many parameters has a handler of libmicrohttpd */
enum MHD_Result request_handle(void *state, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_bytes, void **con_cls)
{
    const int *stop_fd = state;
    int seconds = TRACEZ_PROFILE_SECONDS_DEFAULT;

    (void)version;
    (void)upload;
    (void)upload_bytes;
    (void)con_cls;
    if (strcmp(url, PATH) != 0) {
        return answer(connection, MHD_HTTP_NOT_FOUND,
                      "there is " PATH
                      "?seconds=N, N from 1 to " TEXT_OF(TRACEZ_PROFILE_SECONDS_MAX) "\n");
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET it\n");
    }
    const char *wanted = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "seconds");
    if (wanted != NULL && !parse_seconds(wanted, &seconds)) {
        return answer(
            connection, MHD_HTTP_BAD_REQUEST,
            "seconds must be a number from 1 to " TEXT_OF(TRACEZ_PROFILE_SECONDS_MAX) "\n");
    }
    return take(connection, *stop_fd, seconds);
}
