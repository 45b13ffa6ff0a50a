/* SPDX-License-Identifier: MIT
 *
 * Running valgrind and reading its sum. */
#include "instructions.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FEW 200
#define MANY 800 /* fit into one shard: nobody empties it meanwhile */
#define COMMAND_BYTES (PATH_MAX + 512)

/* callgrind says "Collected : 1234" at the end. */
static double read_collected(FILE *output)
{
    char line[512];
    double collected = -1.0;

    while (fgets(line, sizeof(line), output) != NULL) {
        const char *found = strstr(line, "Collected : ");
        if (found != NULL) {
            collected = strtod(found + strlen("Collected : "), NULL);
        }
    }
    return collected;
}

static double run(const char *what, const char *function, unsigned count)
{
    char self[PATH_MAX] = "";
    char command[COMMAND_BYTES];

    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
        return -1.0;
    }
    snprintf(command, sizeof(command),
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=%s "
             "'%s' --count %s %u 2>&1",
             function, self, what, count);
    FILE *output = popen(command, "r");
    if (output == NULL) {
        return -1.0;
    }
    double collected = read_collected(output);
    return pclose(output) == 0 ? collected : -1.0;
}

double instructions_of(const char *what, const char *function)
{
    double few = run(what, function, FEW);
    double many = few < 0.0 ? -1.0 : run(what, function, MANY);

    return many < 0.0 ? -1.0 : (many - few) / (MANY - FEW);
}
