// SPDX-License-Identifier: MIT
//
// The public headers as C++17: each compiles, and their functions link.
#include <tracez/curl.h>
#include <tracez/environment.h>
#include <tracez/exporter.h>
#include <tracez/http.h>
#include <tracez/keys.h>
#include <tracez/monitor.h>
#include <tracez/preset.h>
#include <tracez/reader.h>
#include <tracez/sampler.h>
#include <tracez/tracez.h>
#ifdef WITH_MHD
#include <tracez/mhd.h>
#endif
#ifdef WITH_PROFILING
#include <tracez/profiling.h>
#endif

int main()
{
    tracez_config config;
    tracez_exporter_config exporter_config;
    tracez_tracer *tracer = nullptr;
    tracez_error error;

    tracez_config_init(&config);
    tracez_exporter_config_init(&exporter_config);
    if (tracez_exporter_check(&exporter_config, &error) != TRACEZ_OK ||
        tracez_tracer_create(&config, &tracer, &error) != TRACEZ_OK) {
        return 1;
    }
#ifdef WITH_MHD
    tracez_mhd_config mhd_config;
    tracez_mhd *tracing = nullptr;

    tracez_mhd_config_init(&mhd_config);
    mhd_config.tracer = tracer;
    if (tracez_mhd_create(&mhd_config, &tracing, &error) != TRACEZ_OK) {
        return 1;
    }
    tracez_mhd_destroy(tracing);
#endif
#ifdef WITH_PROFILING
    tracez_profiling_config profiling_config;
    tracez_profiling *profiling = nullptr;

    tracez_profiling_config_init(&profiling_config);
    if (tracez_profiling_start(&profiling_config, &profiling, &error) != TRACEZ_OK) {
        return 1;
    }
    tracez_profiling_stop(profiling);
#endif
    tracez_span span = tracez_span_start(tracer, TRACEZ_KIND_INTERNAL, "span", nullptr, nullptr);
    bool is_recording = tracez_span_is_recording(span);
    tracez_span_set_string(span, TRACEZ_KEY(URL_PATH), tracez_http_method({"GET", 3}));
    tracez_span_finish(span);
    tracez_tracer_destroy(tracer);
    return is_recording ? 0 : 1;
}
