/* SPDX-License-Identifier: MIT */
#include "complaint.h"

#include <stdio.h>

void complaint_init(struct complaint *complaint)
{
    pthread_mutex_init(&complaint->lock, NULL);
    complaint->text[0] = '\0';
    complaint->unsaid = 0;
}

void complaint_deinit(struct complaint *complaint)
{
    pthread_mutex_destroy(&complaint->lock);
}

void complaint_add(struct complaint *complaint, const char *text)
{
    pthread_mutex_lock(&complaint->lock);
    if (complaint->text[0] == '\0') {
        snprintf(complaint->text, sizeof(complaint->text), "%s", text);
    } else {
        complaint->unsaid++;
    }
    pthread_mutex_unlock(&complaint->lock);
}

bool complaint_take(struct complaint *complaint, char *text, size_t text_bytes)
{
    pthread_mutex_lock(&complaint->lock);
    bool is_one = complaint->text[0] != '\0';
    if (complaint->unsaid > 0) {
        snprintf(text, text_bytes, "%s (and %u more)", complaint->text, complaint->unsaid);
    } else {
        snprintf(text, text_bytes, "%s", complaint->text);
    }
    complaint->text[0] = '\0';
    complaint->unsaid = 0;
    pthread_mutex_unlock(&complaint->lock);
    return is_one;
}
