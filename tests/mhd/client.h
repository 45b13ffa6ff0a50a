/* SPDX-License-Identifier: MIT
 *
 * A client of plain bytes: what it sends is what the test wrote, however malformed. Each helper
 * fails the running test at its deadline. */
#ifndef TRACEZ_TESTS_CLIENT_H
#define TRACEZ_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_DEADLINE_MS 30000

/* Connects to this port of 127.0.0.1. */
int client_connect(uint16_t port);

/* Sends all of it, or as much as the server takes before it closes. */
void client_send(int fd, const char *bytes, size_t count);

/* Reads one response that has a Content-Length, is chunked, or lasts until the server closes.
 * Returns its status, 0 when the server closed without one. */
int client_receive(int fd);

/* Reads until the server closes. */
void client_drain(int fd);

/* Closes with a reset instead of the usual goodbye. */
void client_reset(int fd);

/* Connects, sends, receives one response, closes. */
int client_ask(uint16_t port, const char *request);

/* Until a deadline. */
uint64_t client_now_ms(void);
void client_pause(uint64_t start_ms, const char *what); /* 1 ms; fails behind the deadline */

#endif
