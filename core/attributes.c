/* SPDX-License-Identifier: MIT
 *
 * Reading resource attributes. One malformed pair discards them all, as OpenTelemetry wants it:
 * half a list would name a service wrongly. */
#include "attributes.h"

#include "hex.h"
#include "text.h"

#define KEY_BYTES_MAX 255

/* The value of a digit in either case; 16 or more for anything else, and behind the text's end. */
static unsigned digit_at(struct tracez_text text, size_t index)
{
    return index < text.bytes ? hex_digit(text_lower(text.text[index])) : 16;
}

/* Appends the text with a NUL; NULL when it does not fit or an escape is none. */
static const char *append(struct attributes *attributes, size_t *used, struct tracez_text text,
                          bool is_encoded)
{
    char *start = attributes->text + *used;
    char *at = start;

    if (text.bytes >= ATTRIBUTES_TEXT_BYTES - *used) {
        return NULL;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (is_encoded && text.text[i] == '%') {
            unsigned high = digit_at(text, i + 1);
            unsigned low = digit_at(text, i + 2);
            if (high >= 16 || low >= 16 || (high | low) == 0) {
                return NULL;
            }
            *at++ = (char)(high << 4 | low);
            i += 2;
        } else {
            *at++ = text.text[i];
        }
    }
    *at++ = '\0';
    *used += (size_t)(at - start);
    return start;
}

/* The index of the key's tag, or the next free one: a later value replaces an earlier one. */
static size_t find(const struct attributes *attributes, const char *key)
{
    size_t index = 0;

    while (index < attributes->count && strcmp(attributes->tags[index].key, key) != 0) {
        index++;
    }
    return index;
}

static const char *read_pair(struct attributes *attributes, size_t *used, struct tracez_text pair)
{
    const char *equals = memchr(pair.text, '=', pair.bytes);

    if (equals == NULL) {
        return "a pair without =";
    }
    size_t key_bytes = (size_t)(equals - pair.text);
    struct tracez_text key = text_trim((struct tracez_text){pair.text, key_bytes});
    struct tracez_text value =
        text_trim((struct tracez_text){equals + 1, pair.bytes - key_bytes - 1});
    if (key.bytes == 0 || key.bytes > KEY_BYTES_MAX) {
        return "keys have 1 to 255 bytes";
    }
    if (attributes->count == TRACEZ_TAGS_MAX) {
        return "over 128 pairs";
    }
    const char *key_text = append(attributes, used, key, false);
    const char *value_text = key_text == NULL ? NULL : append(attributes, used, value, true);
    if (value_text == NULL) {
        return "an escape that is none, or over 8 KiB in all";
    }
    if (strcmp(key_text, TRACEZ_KEY(SERVICE_NAME)) == 0) {
        attributes->service_name = *value_text != '\0' ? value_text : NULL;
        return NULL;
    }
    size_t index = find(attributes, key_text);
    attributes->count += index == attributes->count;
    attributes->tags[index] = (struct tracez_tag){
        .key = key_text,
        .type = TRACEZ_TAG_STRING,
        .value.string = {value_text, strlen(value_text)},
    };
    return NULL;
}

const char *attributes_read(struct attributes *attributes, const char *text)
{
    const char *wrong = NULL;
    size_t used = 0;

    attributes->count = 0;
    attributes->service_name = NULL;
    while (text != NULL && *text != '\0' && wrong == NULL) {
        struct tracez_text pair = text_trim((struct tracez_text){text, strcspn(text, ",")});

        text += strcspn(text, ",");
        text += *text == ',';
        if (pair.bytes > 0) {
            wrong = read_pair(attributes, &used, pair);
        }
    }
    if (wrong != NULL) {
        attributes->count = 0;
        attributes->service_name = NULL;
    }
    return wrong;
}
