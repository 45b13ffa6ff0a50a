/* SPDX-License-Identifier: MIT */
#include "budget.h"

#include <malloc.h>
#include <stdlib.h>

static size_t used_bytes;
static size_t refusal_count;

void *budget_allocate(size_t bytes)
{
    void *memory = NULL;

    if (bytes <= BUDGET_BYTES_MAX && used_bytes <= BUDGET_BYTES_MAX - bytes) {
        memory = malloc(bytes);
    }
    if (memory == NULL) {
        refusal_count++;
        return NULL;
    }
    used_bytes += malloc_usable_size(memory);
    return memory;
}

void budget_free(void *memory)
{
    used_bytes -= malloc_usable_size(memory); /* of NULL: 0 */
    free(memory);
}

size_t budget_refusal_count(void)
{
    return refusal_count;
}
