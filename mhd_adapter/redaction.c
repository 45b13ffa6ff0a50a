/* SPDX-License-Identifier: MIT
 *
 * Reading the text of redact_query. */
#include "redaction.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static bool is_word(struct tracez_text text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.text, word, text.bytes) == 0;
}

static void split(struct tracez_text keys[], size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        text += strspn(text, SEPARATORS);
        keys[i] = (struct tracez_text){text, strcspn(text, SEPARATORS)};
        text += keys[i].bytes;
    }
}

/* "all" and "off" stand alone. */
static enum tracez_result settle(struct redaction *redaction, struct tracez_error *error)
{
    bool has_word = false;

    if (redaction->key_count == 1 && is_word(redaction->keys[0], "all")) {
        redaction->whole = true;
        redaction->key_count = 0;
    } else if (redaction->key_count == 1 && is_word(redaction->keys[0], "off")) {
        redaction->key_count = 0;
    }
    for (size_t i = 0; i < redaction->key_count; i++) {
        has_word =
            has_word || is_word(redaction->keys[i], "all") || is_word(redaction->keys[i], "off");
    }
    if (has_word) {
        return tracez_error_fill(error, TRACEZ_INVALID,
                                 "redact_query rejected: all and off stand alone, without keys");
    }
    return TRACEZ_OK;
}

enum tracez_result redaction_init(struct redaction *redaction, const char *text,
                                  struct tracez_error *error)
{
    *redaction = (struct redaction){0};
    if (text == NULL) {
        redaction->keys = tracez_http_redacted_keys_default;
        redaction->key_count = TRACEZ_HTTP_REDACTED_KEYS_DEFAULT;
        return TRACEZ_OK;
    }
    size_t count = count_keys(text);
    size_t text_bytes = strlen(text) + 1;
    if (count == 0) {
        return tracez_error_fill(error, TRACEZ_INVALID,
                                 "redact_query \"%.40s\" rejected: all, off, or a list of keys",
                                 text);
    }
    struct tracez_text *keys = malloc(count * sizeof(keys[0]) + text_bytes);
    if (keys == NULL) {
        return tracez_error_fill(error, TRACEZ_NO_MEMORY, "no memory for redact_query");
    }
    split(keys, count, memcpy(keys + count, text, text_bytes));
    redaction->memory = keys;
    redaction->keys = keys;
    redaction->key_count = count;
    return settle(redaction, error);
}

void redaction_deinit(struct redaction *redaction)
{
    free(redaction->memory);
    *redaction = (struct redaction){0};
}
