/* SPDX-License-Identifier: MIT
 *
 * Loaded into nginx before everything else by a test (LD_PRELOAD): calls that never return. A call
 * of one of the functions below hangs for ever while a file of its name is in the folder that
 * TRACEZ_HANG named when nginx was started. The thread that hangs is called "hanging" from then on,
 * so that the test can see it. pthread_create does not hang, but fails, and takes its file away:
 * one worker has no thread. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static char folder[512];

/* nginx takes the environment away from its workers. */
__attribute__((constructor)) static void read_environment(void)
{
    const char *named = getenv("TRACEZ_HANG");

    snprintf(folder, sizeof(folder), "%s", named != NULL ? named : "/nonexistent");
}

static void hang_if_told(const char *function)
{
    char path[sizeof(folder) + 32];

    snprintf(path, sizeof(path), "%s/%s", folder, function);
    if (access(path, F_OK) == 0) {
        prctl(PR_SET_NAME, "hanging");
        for (;;) {
            pause();
        }
    }
}

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *req,
                struct addrinfo **pai)
{
    hang_if_told("getaddrinfo");
    return ((getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, req, pai);
}

typedef CURLMcode curl_multi_poll_fn(CURLM *, struct curl_waitfd *, unsigned, int, int *);

CURLMcode curl_multi_poll(CURLM *multi_handle, struct curl_waitfd extra_fds[],
                          unsigned int extra_nfds, int timeout_ms, int *ret)
{
    hang_if_told("curl_multi_poll");
    return ((curl_multi_poll_fn *)dlsym(RTLD_NEXT, "curl_multi_poll"))(multi_handle, extra_fds,
                                                                       extra_nfds, timeout_ms, ret);
}

typedef CURLMcode curl_multi_add_handle_fn(CURLM *, CURL *);

/* By whoever sends: the holder of the lease. */
CURLMcode curl_multi_add_handle(CURLM *multi_handle, CURL *curl_handle)
{
    hang_if_told("curl_multi_add_handle");
    return ((curl_multi_add_handle_fn *)dlsym(RTLD_NEXT, "curl_multi_add_handle"))(multi_handle,
                                                                                   curl_handle);
}

typedef int pthread_create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *newthread, const pthread_attr_t *attr, void *(*start_routine)(void *),
                   void *arg)
{
    char path[sizeof(folder) + 32];

    snprintf(path, sizeof(path), "%s/pthread_create", folder);
    if (unlink(path) == 0) {
        return EAGAIN;
    }
    return ((pthread_create_fn *)dlsym(RTLD_NEXT, "pthread_create"))(newthread, attr, start_routine,
                                                                     arg);
}
