/* SPDX-License-Identifier: MIT
 *
 * An application of libmicrohttpd as people write them, in each of its threading modes. What it
 * answers is in the path:
 *
 *   /ok            200, at the handler's second call, as libmicrohttpd's manual has it
 *   /early         200, at the first call
 *   /status/NNN    that status
 *   /users/42      200, with the route /users/{id} and the tag user.id
 *   /child         200, with a child span "query" of the current span
 *   /no            the handler says MHD_NO
 *   /contrary      the handler queues 200 and says MHD_NO
 *   /pause         suspended at the first call until server_release, then as /ok
 *   /stream        200 in chunks, of 256 KiB
 *   /broken        200 in chunks, and the content reader fails behind the first
 *   /endless       200 in chunks, until the client leaves
 *   /wait          suspended until server_release, or for good
 *   /upgrade       101, and closes
 *
 * A POST's body is read and dropped. Each request has state of the application's own behind
 * con_cls, which its completed callback frees. */
#ifndef TRACEZ_TESTS_SERVER_H
#define TRACEZ_TESTS_SERVER_H

#include <tracez/mhd.h>

enum server_mode {
    SERVER_POLLING, /* an internal thread */
    SERVER_POOL,
    SERVER_PER_CONNECTION,
    SERVER_SELECT, /* the application's own loop */
    SERVER_EPOLL,
    SERVER_SUSPENDING, /* each request is suspended and answered by another thread */
    SERVER_MODES
};

extern const char *const server_mode_names[SERVER_MODES];

/* ---- For tests that start daemons of their own ----------------------------------------------- */

/* config: the defaults for NULL; its tracer is ignored. */
struct tracez_mhd *tracing_create(const struct tracez_mhd_config *config,
                                  struct tracez_tracer *tracer);
uint16_t daemon_port(struct MHD_Daemon *daemon);

/* ---- The application ------------------------------------------------------------------------- */

struct server;

struct server_options {
    enum server_mode mode;
    bool by_hand;                           /* MHD_start_daemon with tracez_mhd_options */
    bool is_untraced;                       /* MHD_start_daemon as the application would call it */
    bool has_uri_log;                       /* the application's own URI logger makes con_cls */
    unsigned timeout_s;                     /* of connections; 0: none */
    bool replaces_completed;                /* the application's own behind ours; by hand only */
    bool replaces_uri_log;                  /* likewise */
    const struct tracez_mhd_config *config; /* NULL: the defaults; its tracer is ignored */
    bool has_default_limit;                 /* of connections: no option says one */
    size_t memory_limit;                    /* of a connection; 0: libmicrohttpd's */
};

/* Starts it on a free port, with tracez for a tracer of its own (16,384 spans). */
struct server *server_start(const struct server_options *options);

/* Stops the daemon, if need be. The tracer lives until server_free. */
void server_stop(struct server *server);
void server_end_tracing(struct server *server); /* destroys the adapter, before server_free does */
void server_free(struct server *server);

uint16_t server_port(const struct server *server);
struct tracez_tracer *server_tracer(const struct server *server);
struct MHD_Daemon *server_daemon(const struct server *server);

/* Answers the requests that wait now (/wait). */
void server_release(struct server *server);
size_t server_waiting(struct server *server);

/* What the application saw, one line for each call of its callbacks, and clears it:
 * "log /uri", "handle GET /path con_cls=null|own body=0", "completed con_cls=own ending=0". The
 * caller frees. */
char *server_take_story(struct server *server);

/* Waits until the story has this text; the test fails at the deadline. */
void server_wait_story(struct server *server, const char *text);

/* Calls of the application's own URI logger. */
uint64_t server_logged(struct server *server);

/* States that the application made and has not freed. */
size_t server_states(struct server *server);

/* Waits until the ledger has this many requests; the test fails at the deadline. */
void server_wait_requests(struct server *server, uint64_t requests);

#endif
