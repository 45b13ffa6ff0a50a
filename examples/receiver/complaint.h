/* SPDX-License-Identifier: MIT
 *
 * What the server's thread has to say to whoever looks at the screen: the first complaint is kept
 * until the main thread takes it, those that come meanwhile are only counted, so a flood of bad
 * requests is one line. */
#ifndef RECEIVER_COMPLAINT_H
#define RECEIVER_COMPLAINT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define COMPLAINT_BYTES_MAX 256

struct complaint {
    pthread_mutex_t lock;
    char text[COMPLAINT_BYTES_MAX]; /* "" when there is none */
    unsigned unsaid;                /* that came while this one was waiting */
};

void complaint_init(struct complaint *complaint);
void complaint_deinit(struct complaint *complaint);

/* text: copied; it comes to a terminal, so it must be safe there. */
void complaint_add(struct complaint *complaint, const char *text);

/* False when there is none. */
bool complaint_take(struct complaint *complaint, char *text, size_t text_bytes);

#endif
