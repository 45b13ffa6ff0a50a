/* SPDX-License-Identifier: MIT
 *
 * Defaults and ranges of an exporter's configuration. */
#include "config.h"

#include "certificates.h"
#include "endpoint.h"
#include "format.h"
#include "header.h"
#include "pace.h"
#include "proxy.h"
#include "refusal.h"

#include <tracez/preset.h>

#include <fcntl.h>
#include <string.h>

#define KIB 1024U
#define MIB (1024U * 1024U)

void tracez_exporter_config_init_bytes(struct tracez_exporter_config *config, size_t struct_bytes)
{
    struct tracez_exporter_config defaults = {
        .struct_bytes = struct_bytes,
        .format = TRACEZ_FORMAT_OTLP,
        .compression = TRACEZ_COMPRESSION_NONE,
        .verify = true,
        .interval_ms = 5000,
        .batch_size = 512,
        .max_batch_bytes = 4 * MIB,
        .connections = 10,
        .keepalive_timeout_ms = 90000,
        .timeout_ms = 30000,
        .connect_timeout_ms = 2000,
        .low_speed_timeout_ms = 30000,
        .retry_min_ms = 1000,
        .retry_max_ms = 30000,
        .retry_max_elapsed_ms = 0,
        .shutdown_timeout_ms = 5000,
    };

    for (size_t i = 0; i < TRACEZ_LANES_MAX; i++) {
        defaults.wake_fds[i] = -1;
    }
    memset(config, 0, struct_bytes);
    memcpy(config, &defaults, struct_bytes < sizeof(defaults) ? struct_bytes : sizeof(defaults));
}

enum tracez_result tracez_exporter_config_apply_preset(struct tracez_exporter_config *config,
                                                       const char *name)
{
    struct tracez_preset preset;

    if (name == NULL || name[0] == '\0') {
        return TRACEZ_OK;
    }
    enum tracez_result result = tracez_preset_find(name, &preset, NULL);
    config->interval_ms = preset.interval_ms;
    return result;
}

static enum tracez_result check_ranges(const struct tracez_exporter_config *config,
                                       struct tracez_error *error)
{
    const struct {
        const char *name;
        uint32_t value;
        uint32_t min;
        uint32_t max;
    } ranges[] = {
        {"interval_ms", config->interval_ms, INTERVAL_MS_MIN, INTERVAL_MS_MAX},
        {"batch_size", config->batch_size, BATCH_SIZE_MIN, BATCH_SIZE_MAX},
        {"max_batch_bytes", config->max_batch_bytes, 64 * KIB, 64 * MIB},
        {"connections", config->connections, 1, 100},
        {"keepalive_timeout_ms", config->keepalive_timeout_ms, 1000, HOUR_MS},
        {"timeout_ms", config->timeout_ms, 1, HOUR_MS},
        {"connect_timeout_ms", config->connect_timeout_ms, 1, HOUR_MS},
        {"low_speed_timeout_ms", config->low_speed_timeout_ms, 1000, HOUR_MS},
        {"retry_min_ms", config->retry_min_ms, 1, HOUR_MS},
        {"retry_max_ms", config->retry_max_ms, config->retry_min_ms, HOUR_MS},
        {"retry_max_elapsed_ms", config->retry_max_elapsed_ms, 0, UINT32_MAX},
        {"shutdown_timeout_ms", config->shutdown_timeout_ms, 0, HOUR_MS},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max) {
            return refuse(error, TRACEZ_INVALID, "%s %u rejected: %u to %u", ranges[i].name,
                          ranges[i].value, ranges[i].min, ranges[i].max);
        }
    }
    return TRACEZ_OK;
}

/* The thread reads it after others may have emptied it: it must never block there. */
static enum tracez_result check_wake_fds(const int *wake_fds, struct tracez_error *error)
{
    for (size_t i = 0; i < TRACEZ_LANES_MAX; i++) {
        int flags = wake_fds[i] < 0 ? O_NONBLOCK : fcntl(wake_fds[i], F_GETFL);

        if (flags == -1 || (flags & O_NONBLOCK) == 0) {
            return refuse(error, TRACEZ_INVALID,
                          "wake_fd %d rejected: an eventfd with EFD_NONBLOCK", wake_fds[i]);
        }
    }
    return TRACEZ_OK;
}

static enum tracez_result check_certificates(const struct tracez_exporter_config *config,
                                             struct tracez_error *error)
{
    struct certificates certificates;
    enum tracez_result result = certificates_init(&certificates, config, error);

    if (result == TRACEZ_OK) {
        result = certificates_check(&certificates, error);
        certificates_deinit(&certificates);
    }
    return result;
}

static enum tracez_result check_destination(const struct tracez_exporter_config *config,
                                            const char *path, struct tracez_error *error)
{
    struct endpoint endpoint;
    struct proxy proxy;
    enum tracez_result result =
        endpoint_init(&endpoint, config->endpoint, config->endpoint_form, path, error);

    if (result == TRACEZ_OK) {
        result = proxy_init(&proxy, config, &endpoint, error);
        proxy_deinit(&proxy);
        endpoint_deinit(&endpoint);
    }
    return result;
}

enum tracez_result exporter_config_take(struct tracez_exporter_config *copy,
                                        const struct tracez_exporter_config *config,
                                        struct tracez_error *error)
{
    enum tracez_result result;

    tracez_exporter_config_init(copy);
    if (config->struct_bytes < sizeof(config->struct_bytes)) {
        return refuse(error, TRACEZ_INVALID,
                      "struct_bytes %zu rejected: call tracez_exporter_config_init first",
                      config->struct_bytes);
    }
    memcpy(copy, config,
           config->struct_bytes < sizeof(*copy) ? config->struct_bytes : sizeof(*copy));
    copy->struct_bytes = sizeof(*copy);
    const struct format *format = format_of(copy->format);
    if (format == NULL) {
        return refuse(error, TRACEZ_INVALID, "format %d rejected: one of enum tracez_format",
                      (int)copy->format);
    }
    if (copy->compression > TRACEZ_COMPRESSION_GZIP) {
        return refuse(error, TRACEZ_INVALID,
                      "compression %d rejected: one of enum tracez_compression",
                      (int)copy->compression);
    }
    copy->endpoint = copy->endpoint != NULL ? copy->endpoint : format->endpoint;
    if (copy->endpoint_form > TRACEZ_ENDPOINT_BASE) {
        return refuse(error, TRACEZ_INVALID,
                      "endpoint_form %d rejected: one of enum tracez_endpoint_form",
                      (int)copy->endpoint_form);
    }
    if ((result = check_ranges(copy, error)) != TRACEZ_OK ||
        (result = paces_check(copy, error)) != TRACEZ_OK ||
        (result = check_wake_fds(copy->wake_fds, error)) != TRACEZ_OK ||
        (result = headers_check(copy->headers, copy->header_count, error)) != TRACEZ_OK ||
        (result = header_list_check(copy->header_list, copy->header_count, error)) != TRACEZ_OK ||
        (result = check_destination(copy, format->path, error)) != TRACEZ_OK ||
        (result = check_certificates(copy, error)) != TRACEZ_OK) {
        return result;
    }
    return TRACEZ_OK;
}

enum tracez_result tracez_exporter_check(const struct tracez_exporter_config *config,
                                         struct tracez_error *error)
{
    struct tracez_exporter_config copy;

    return exporter_config_take(&copy, config, error);
}
