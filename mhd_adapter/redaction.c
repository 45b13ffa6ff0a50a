/* SPDX-License-Identifier: MIT
 *
 * Reading the text of redact_query. */
#include "redaction.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS " \t,"

static size_t count_keys(const char *text)
{
    size_t count = 0;

    for (text += strspn(text, SEPARATORS); *text != '\0'; text += strspn(text, SEPARATORS)) {
        text += strcspn(text, SEPARATORS);
        count++;
    }
    return count;
}

bool redaction_init(struct redaction *redaction, const char *text)
{
    *redaction = (struct redaction){0};
    if (text == NULL) {
        redaction->keys = tracez_http_redacted_keys_default;
        redaction->key_count = TRACEZ_HTTP_REDACTED_KEYS_DEFAULT;
        return true;
    }
    redaction->whole = strcmp(text, "all") == 0;
    if (redaction->whole || strcmp(text, "off") == 0) {
        return true;
    }
    size_t count = count_keys(text);
    size_t text_bytes = strlen(text) + 1;
    struct tracez_text *keys = malloc(count * sizeof(keys[0]) + text_bytes);
    if (keys == NULL) {
        return false;
    }
    const char *texts = memcpy(keys + count, text, text_bytes);
    for (size_t i = 0; i < count; i++) {
        texts += strspn(texts, SEPARATORS);
        keys[i] = (struct tracez_text){texts, strcspn(texts, SEPARATORS)};
        texts += keys[i].bytes;
    }
    redaction->memory = keys;
    redaction->keys = keys;
    redaction->key_count = count;
    return true;
}

void redaction_deinit(struct redaction *redaction)
{
    free(redaction->memory);
    *redaction = (struct redaction){0};
}
