/* SPDX-License-Identifier: MIT
 *
 * Reading the text of redact_query. */
#include "redaction.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS " \t,"

/* The keys of the text; keys may be NULL, to count them. */
static size_t split(const char *text, struct tracez_text *keys)
{
    size_t count = 0;

    for (text += strspn(text, SEPARATORS); *text != '\0'; text += strspn(text, SEPARATORS)) {
        size_t bytes = strcspn(text, SEPARATORS);
        if (keys != NULL) {
            keys[count] = (struct tracez_text){text, bytes};
        }
        text += bytes;
        count++;
    }
    return count;
}

static bool is_word(struct tracez_text text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.text, word, text.bytes) == 0;
}

/* "all" and "off" stand alone. */
static enum tracez_result settle(struct redaction *redaction, struct tracez_error *error)
{
    bool is_alone = redaction->key_count == 1;

    for (size_t i = 0; i < redaction->key_count; i++) {
        bool is_all = is_word(redaction->keys[i], "all");
        bool is_off = is_word(redaction->keys[i], "off");
        if ((is_all || is_off) && !is_alone) {
            return tracez_error_fill(error, TRACEZ_INVALID,
                                     "redact_query rejected: all and off stand alone, without "
                                     "keys");
        }
        if (is_all || is_off) {
            redaction->whole = is_all;
            redaction->key_count = 0;
        }
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
    size_t count = split(text, NULL);
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
    split(memcpy(keys + count, text, text_bytes), keys);
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
