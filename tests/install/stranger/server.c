/* SPDX-License-Identifier: MIT
 *
 * A stranger's server: a daemon of libmicrohttpd is started traced, asked nothing, and stopped. */
#include <tracez/mhd.h>

#include <stdio.h>

static enum MHD_Result handle(void *state, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **con_cls)
{
    (void)state;
    (void)connection;
    (void)url;
    (void)method;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    (void)con_cls;
    return MHD_NO;
}

static int complain(const char *what)
{
    fprintf(stderr, "server: %s\n", what);
    return 1;
}

int main(void)
{
    struct tracez_config config;
    struct tracez_mhd_config mhd_config;
    struct tracez_tracer *tracer;
    struct tracez_mhd *tracing;
    struct tracez_error error;

    tracez_config_init(&config);
    tracez_mhd_config_init(&mhd_config);
    if (tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK) {
        return complain(error.text);
    }
    mhd_config.tracer = tracer;
    if (tracez_mhd_create(&mhd_config, &tracing, &error) != TRACEZ_OK) {
        return complain(error.text);
    }
    struct MHD_Daemon *daemon =
        tracez_mhd_start_daemon(tracing, &error, MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
                                handle, NULL, MHD_OPTION_CONNECTION_LIMIT, 10U, MHD_OPTION_END);
    if (daemon == NULL) {
        return complain(error.text);
    }
    MHD_stop_daemon(daemon);
    tracez_mhd_destroy(tracing);
    tracez_tracer_destroy(tracer);
    return 0;
}
