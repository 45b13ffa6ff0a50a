/* SPDX-License-Identifier: MIT
 *
 * The receiver's HTTP: what comes in at POST /v1/traces (OTLP/HTTP JSON) goes to the store, GET
 * /spans tells what the store has. One thread of libmicrohttpd serves all; memory, connections and
 * waiting are bounded.
 *
 * Refused: bodies over 64 MiB (413), compressed or other than JSON (415), what is no OTLP (400);
 * always with the reason, as OTLP wants it: {"message": …}. A refused request hears of it after its
 * body: an exporter that is still sending would not listen. */
#ifndef RECEIVER_SERVER_H
#define RECEIVER_SERVER_H

#include "complaint.h"
#include "store.h"

struct server;

/* listener: taken. store, complaint: borrowed until server_stop. NULL when it cannot start. */
struct server *server_start(int listener, struct store *store, struct complaint *complaint);

/* Ends the connections and the thread. Accepts NULL. */
void server_stop(struct server *server);

#endif
