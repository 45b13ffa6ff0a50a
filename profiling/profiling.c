/* SPDX-License-Identifier: MIT
 *
 * Listening, and the end of it. A few connections at a time, each on a thread of its own, which
 * waits while a profile is taken. These threads take no signal but SIGPROF, like the exporter's. */
#include "bind_address.h"
#include "request.h"

#include <tracez/profiling.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ADDRESS_DEFAULT "127.0.0.1:6060"
#define CONNECTIONS_MAX 8U
#define CONNECTION_BYTES ((size_t)16 * 1024)
#define IDLE_TIMEOUT_S 5U

struct tracez_profiling {
    struct MHD_Daemon *daemon;
    int stop_fd;   /* an eventfd; readable once profiling stops */
    pid_t process; /* that listens; a forked child does not */
    char address[BIND_ADDRESS_BYTES];
};

void tracez_profiling_config_init_bytes(struct tracez_profiling_config *config, size_t struct_bytes)
{
    const struct tracez_profiling_config defaults = {
        .struct_bytes = struct_bytes,
        .address = ADDRESS_DEFAULT,
    };

    memset(config, 0, struct_bytes);
    memcpy(config, &defaults, struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
}

/* Its threads inherit the signals that are blocked here. */
static struct MHD_Daemon *start_daemon(const union bind_address *address, int *stop_fd)
{
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                           MHD_USE_POLL |
                           (address->any.sa_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0U);
    sigset_t all_but_profiling;
    sigset_t before;

    sigfillset(&all_but_profiling);
    sigdelset(&all_but_profiling, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all_but_profiling, &before);
    errno = 0;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, request_handle, stop_fd, MHD_OPTION_SOCK_ADDR, &address->any,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_END);
    int status = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = status;
    return daemon;
}

/* A half-started one is freed by stop. */
static enum tracez_result listen_at(struct tracez_profiling *profiling, union bind_address *address,
                                    struct tracez_error *error)
{
    bind_address_format(address, profiling->address);
    profiling->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (profiling->stop_fd < 0) {
        return tracez_error_fill(error, TRACEZ_SYSTEM, "profiling: no eventfd: %s",
                                 strerror(errno));
    }
    profiling->daemon = start_daemon(address, &profiling->stop_fd);
    if (profiling->daemon == NULL) {
        return tracez_error_fill(error, TRACEZ_SYSTEM, "profiling: cannot listen at %s: %s",
                                 profiling->address,
                                 errno != 0 ? strerror(errno) : "libmicrohttpd refused");
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(profiling->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info != NULL) {
        bind_address_set_port(address, info->port);
        bind_address_format(address, profiling->address);
    }
    return TRACEZ_OK;
}

enum tracez_result tracez_profiling_start(const struct tracez_profiling_config *config,
                                          struct tracez_profiling **profiling,
                                          struct tracez_error *error)
{
    union bind_address address;
    enum tracez_result result;

    *profiling = NULL;
    if (config->struct_bytes != sizeof(*config)) {
        return tracez_error_fill(error, TRACEZ_INVALID,
                                 "struct_bytes %zu rejected: call tracez_profiling_config_init "
                                 "first",
                                 config->struct_bytes);
    }
    result = bind_address_parse(&address, config->address, error);
    if (result != TRACEZ_OK || !config->enabled) {
        return result;
    }
    struct tracez_profiling *started = calloc(1, sizeof(*started));
    if (started == NULL) {
        return tracez_error_fill(error, TRACEZ_NO_MEMORY, "profiling: no memory");
    }
    started->process = getpid();
    result = listen_at(started, &address, error);
    if (result != TRACEZ_OK) {
        tracez_profiling_stop(started);
        return result;
    }
    *profiling = started;
    return TRACEZ_OK;
}

const char *tracez_profiling_address(const struct tracez_profiling *profiling)
{
    return profiling == NULL ? NULL : profiling->address;
}

void tracez_profiling_stop(struct tracez_profiling *profiling)
{
    /* In a forked child the threads are the parent's. */
    if (profiling == NULL || profiling->process != getpid()) {
        return;
    }
    if (profiling->daemon != NULL) {
        eventfd_write(profiling->stop_fd, 1);
        MHD_stop_daemon(profiling->daemon); /* after this, no thread of ours runs */
    }
    if (profiling->stop_fd >= 0) {
        close(profiling->stop_fd);
    }
    free(profiling);
}
