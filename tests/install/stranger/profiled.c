/* SPDX-License-Identifier: MIT
 *
 * A stranger's program that lets itself be profiled, though nobody asks. */
#include <tracez/profiling.h>

#include <stdio.h>

int main(void)
{
    struct tracez_profiling_config config;
    struct tracez_profiling *profiling;
    struct tracez_error error;

    tracez_profiling_config_init(&config);
    config.enabled = true;
    config.address = "127.0.0.1:0";
    if (tracez_profiling_start(&config, &profiling, &error) != TRACEZ_OK) {
        fprintf(stderr, "profiled: %s\n", error.text);
        return 1;
    }
    printf("profiles: %s\n", tracez_profiling_address(profiling));
    tracez_profiling_stop(profiling);
    return 0;
}
