/* SPDX-License-Identifier: MIT
 *
 * Reading Retry-After. libcurl reads it too (CURLINFO_RETRY_AFTER), but takes "1.5" and "2 beers"
 * for numbers, one that is too long for none, and the last of several for the only one. */
#include "retry_after.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#define DATE_BYTES_MAX 63 /* the longest, "Wednesday, 25-Nov-26 18:30:00 GMT", has 33 */

static bool is_space(char at)
{
    return at == ' ' || at == '\t' || at == '\r' || at == '\n';
}

static struct tracez_text trim(struct tracez_text text)
{
    while (text.bytes > 0 && is_space(text.text[0])) {
        text.text++;
        text.bytes--;
    }
    while (text.bytes > 0 && is_space(text.text[text.bytes - 1])) {
        text.bytes--;
    }
    return text;
}

bool retry_after_find(struct tracez_text line, struct tracez_text *value)
{
    static const char name[] = "Retry-After:";
    const size_t name_bytes = sizeof(name) - 1;

    if (line.bytes < name_bytes || strncasecmp(line.text, name, name_bytes) != 0) {
        return false;
    }
    *value = (struct tracez_text){line.text + name_bytes, line.bytes - name_bytes};
    return true;
}

static bool read_seconds(struct tracez_text text, int64_t *seconds)
{
    *seconds = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        int64_t digit = text.text[i] - '0';
        if (digit < 0 || digit > 9) {
            return false;
        }
        *seconds = *seconds > (INT64_MAX - digit) / 10 ? INT64_MAX : *seconds * 10 + digit;
    }
    return text.bytes > 0;
}

static bool read_date(struct tracez_text text, int64_t *unix_s)
{
    char date[DATE_BYTES_MAX + 1];

    if (text.bytes > DATE_BYTES_MAX || memchr(text.text, '\0', text.bytes) != NULL) {
        return false;
    }
    memcpy(date, text.text, text.bytes);
    date[text.bytes] = '\0';
    *unix_s = curl_getdate(date, NULL);
    return *unix_s != -1;
}

int64_t retry_after_read(struct tracez_text value, int64_t now_unix_s)
{
    struct tracez_text text = trim(value);
    int64_t seconds;
    int64_t unix_s;

    if (read_seconds(text, &seconds)) {
        return seconds;
    }
    if (text.bytes == 0 || !read_date(text, &unix_s)) {
        return RETRY_AFTER_NONE;
    }
    return unix_s > now_unix_s ? unix_s - now_unix_s : 0;
}
