/* SPDX-License-Identifier: MIT
 *
 * Reading settings from the environment: OpenTelemetry's names first, tracez's own over them. Only
 * called at set-up; nothing is written, and nothing copied. */
#include "attributes.h"
#include "config.h"
#include "text.h"

#include <tracez/environment.h>
#include <tracez/preset.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define WARNING_BYTES 512
#define VALUE_SHOWN_BYTES 80

const char *tracez_environment_text(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

void tracez_environment_ignore(const struct tracez_environment *environment, const char *name,
                               const char *why, ...)
{
    const char *value = tracez_environment_text(name);
    char text[WARNING_BYTES];
    va_list arguments;

    if (environment == NULL || environment->warn == NULL) {
        return;
    }
    int used = snprintf(text, sizeof(text), "%s \"%.*s\" ignored: ", name, VALUE_SHOWN_BYTES,
                        value != NULL ? value : "");
    va_start(arguments, why);
    if (used > 0 && (size_t)used < sizeof(text)) {
        vsnprintf(text + used, sizeof(text) - (size_t)used, why, arguments);
    }
    va_end(arguments);
    environment->warn(text, environment->state);
}

bool tracez_environment_number(const struct tracez_environment *environment, const char *name,
                               uint32_t min, uint32_t max, uint32_t *value)
{
    const char *text = tracez_environment_text(name);
    size_t digits = text == NULL ? 0 : strspn(text, "0123456789");

    if (text == NULL) {
        return false;
    }
    unsigned long long number = digits < 19 ? strtoull(text, NULL, 10) : ULLONG_MAX;
    if (digits == 0 || text[digits] != '\0' || number < min || number > max) {
        tracez_environment_ignore(environment, name, "%u to %u", min, max);
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

const char *tracez_environment_preset(const struct tracez_environment *environment)
{
    return environment != NULL && environment->preset != NULL
               ? environment->preset
               : tracez_environment_text("TRACEZ_ENVIRONMENT");
}

/* ---- Rates and samplers ---------------------------------------------------------------------- */

/* "0.1" or, where percent is allowed, "10%". Plain decimals: what strtod makes of "nan", "0x1p-3"
 * or a locale's comma is no rate. */
static bool parse_rate(const char *text, bool may_be_percent, double *rate)
{
    size_t whole = strspn(text, "0123456789");
    size_t point = text[whole] == '.' ? 1 : 0;
    size_t fraction = strspn(text + whole + point, "0123456789");
    const char *end = text + whole + point + fraction;
    double value = 0;
    double unit = 1;

    if (whole + fraction == 0 || whole + fraction > 18) {
        return false;
    }
    for (const char *at = text; at < end; at++) {
        if (*at != '.') {
            value = 10 * value + (*at - '0');
            unit *= at > text + whole ? 10 : 1;
        }
    }
    if (may_be_percent && *end == '%') {
        unit *= 100;
        end++;
    }
    *rate = value / unit;
    return *end == '\0' && *rate <= 1;
}

static double sampler_rate(const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text("OTEL_TRACES_SAMPLER_ARG");
    double rate = 1;

    if (text != NULL && !parse_rate(text, false, &rate)) {
        tracez_environment_ignore(environment, "OTEL_TRACES_SAMPLER_ARG", "0 to 1");
        rate = 1;
    }
    return rate;
}

static void read_sampler(struct tracez_config *config, const struct tracez_environment *environment)
{
    const char *name = tracez_environment_text("OTEL_TRACES_SAMPLER");
    const char *root = name;

    if (name == NULL) {
        return;
    }
    bool by_parent = strncmp(name, "parentbased_", strlen("parentbased_")) == 0;
    if (by_parent) {
        root += strlen("parentbased_");
    }
    double rate = 0;
    if (strcmp(root, "always_on") == 0) {
        rate = 1;
    } else if (strcmp(root, "traceidratio") == 0) {
        rate = sampler_rate(environment);
    } else if (strcmp(root, "always_off") != 0) {
        tracez_environment_ignore(environment, "OTEL_TRACES_SAMPLER",
                                  "one of always_on, always_off, traceidratio, and each of them "
                                  "behind parentbased_");
        return;
    }
    config->sample_rate = rate;
    if (by_parent) {
        config->sampler = (struct tracez_sampler){0};
    } else {
        config->sampler = tracez_sampler_ratio(rate);
    }
}

static void read_sample_rate(struct tracez_config *config,
                             const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text("TRACEZ_SAMPLE_RATE");
    double rate;

    if (text == NULL) {
        return;
    }
    if (!parse_rate(text, true, &rate)) {
        tracez_environment_ignore(environment, "TRACEZ_SAMPLE_RATE",
                                  "a number from 0 to 1, or a percentage from 0%% to 100%%");
        return;
    }
    config->sample_rate = rate;
    config->sampler = (struct tracez_sampler){0};
}

/* ---- The rest -------------------------------------------------------------------------------- */

/* *names_service: do the attributes that count name the service? */
static void read_attributes(struct tracez_config *config, const char *name,
                            const struct tracez_environment *environment, bool *names_service)
{
    const char *text = tracez_environment_text(name);
    struct attributes attributes;

    if (text == NULL) {
        return;
    }
    const char *wrong = attributes_read(&attributes, text);
    if (wrong != NULL) {
        tracez_environment_ignore(environment, name, "%s; it must be key=value,key=value", wrong);
        return;
    }
    config->resource_attributes = text;
    *names_service = attributes.service_name != NULL;
}

/* The first of what it sets: everything else in the environment wins over it. */
static void read_preset(struct tracez_config *config, const struct tracez_environment *environment)
{
    const char *name = tracez_environment_preset(environment);
    struct tracez_preset preset;
    struct tracez_error error;
    char text[WARNING_BYTES];

    if (tracez_config_apply_preset(config, name) != TRACEZ_OK && environment != NULL &&
        environment->warn != NULL && environment->preset == NULL) {
        (void)tracez_preset_find(name, &preset, &error);
        snprintf(text, sizeof(text), "TRACEZ_ENVIRONMENT: %s", error.text);
        environment->warn(text, environment->state);
    }
}

static void read_disabled(struct tracez_config *config,
                          const struct tracez_environment *environment)
{
    const char *text = tracez_environment_text("OTEL_SDK_DISABLED");
    struct tracez_text value = {text, text == NULL ? 0 : strlen(text)};

    if (text == NULL) {
        return;
    }
    if (value.bytes == 4 && text_equals_lower(text, "true", 4)) {
        config->is_disabled = true;
    } else if (value.bytes != 5 || !text_equals_lower(text, "false", 5)) {
        tracez_environment_ignore(environment, "OTEL_SDK_DISABLED", "true or false");
    }
}

void tracez_config_read_environment(struct tracez_config *config,
                                    const struct tracez_environment *environment)
{
    const char *otel_name = tracez_environment_text("OTEL_SERVICE_NAME");
    const char *own_name = tracez_environment_text("TRACEZ_SERVICE_NAME");
    bool names_service = false;
    uint32_t count;

    read_attributes(config, "OTEL_RESOURCE_ATTRIBUTES", environment, &names_service);
    read_attributes(config, "TRACEZ_RESOURCE_ATTRIBUTES", environment, &names_service);
    if (names_service) {
        config->service_name = NULL; /* the environment's comes before the program's */
    }
    if (otel_name != NULL || own_name != NULL) {
        config->service_name = own_name != NULL ? own_name : otel_name;
    }
    read_preset(config, environment);
    read_sampler(config, environment);
    read_sample_rate(config, environment);
    read_disabled(config, environment);

#define NUMBER(name, min, max, value) tracez_environment_number(environment, name, min, max, value)
    NUMBER("OTEL_BSP_MAX_QUEUE_SIZE", SPANS_MIN, SPANS_MAX, &config->spans_max);
    NUMBER("TRACEZ_BUFFER_SIZE", SPANS_MIN, SPANS_MAX, &config->spans_max);
    NUMBER("TRACEZ_LIVE_SPANS", LIVE_SPANS_MIN, LIVE_SPANS_MAX, &config->live_spans_max);
    NUMBER("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", TAG_BYTES_MIN, TAG_BYTES_MAX,
           &config->max_tag_bytes);
    NUMBER("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", TAG_BYTES_MIN, TAG_BYTES_MAX,
           &config->max_tag_bytes);
    NUMBER("TRACEZ_MAX_TAG_SIZE", TAG_BYTES_MIN, TAG_BYTES_MAX, &config->max_tag_bytes);
#undef NUMBER
    if (tracez_environment_number(environment, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 0, UINT32_MAX,
                                  &count) &&
        count != TRACEZ_TAGS_MAX) {
        tracez_environment_ignore(environment, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
                                  "a span has up to %d tags", TRACEZ_TAGS_MAX);
    }
}
