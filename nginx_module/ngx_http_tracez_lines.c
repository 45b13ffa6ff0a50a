/* SPDX-License-Identifier: MIT
 *
 * Lines: which process is which in the ledger. Each process that records spans
 * holds the robust lock of one line for as long as it lives, so nobody else
 * counts on that line, and the kernel tells when its holder died; a pid would
 * not, for pids are used again.
 *
 * Processes leave in turn, through a door: whoever finds nobody else that uses
 * the same buffer and is not leaving already is the last one, and has to see
 * to the spans in it. A crashed process blocks nothing: its locks fall open. */
#include "ngx_http_tracez.h"


static ngx_int_t
ngx_http_tracez_init_lock(pthread_mutex_t *lock)
{
    int                  failed;
    pthread_mutexattr_t  attr;

    if (pthread_mutexattr_init(&attr) != 0) {
        return NGX_ERROR;
    }

    failed = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) != 0
             || pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) != 0
             || pthread_mutex_init(lock, &attr) != 0;

    pthread_mutexattr_destroy(&attr);

    return failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_tracez_init_lines(ngx_http_tracez_shared_t *shared)
{
    ngx_uint_t  i;

    if (ngx_http_tracez_init_lock(&shared->door) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        if (ngx_http_tracez_init_lock(&shared->lines[i].lock) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* NGX_OK, NGX_BUSY, or NGX_DONE: locked, but its last holder died with it */

static ngx_int_t
ngx_http_tracez_try_lock(pthread_mutex_t *lock)
{
    switch (pthread_mutex_trylock(lock)) {

    case 0:
        return NGX_OK;

    case EOWNERDEAD:
        pthread_mutex_consistent(lock);
        return NGX_DONE;

    default:
        return NGX_BUSY;
    }
}


/* the index of a line that is now ours, or NGX_ERROR: all are in use */

ngx_int_t
ngx_http_tracez_claim_line(ngx_http_tracez_shared_t *shared, ngx_uint_t buffer,
    ngx_uint_t *died)
{
    ngx_int_t                i, rc;
    ngx_http_tracez_line_t  *line;

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        line = &shared->lines[i];
        rc = ngx_http_tracez_try_lock(&line->lock);

        if (rc != NGX_BUSY) {
            line->buffer = buffer;
            line->leaving = 0;
            *died = (rc == NGX_DONE);
            return i;
        }
    }

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_tracez_is_in_use(ngx_http_tracez_line_t *line)
{
    ngx_int_t  rc;

    rc = ngx_http_tracez_try_lock(&line->lock);

    if (rc == NGX_DONE) {
        /* who claims it must still learn that its holder died, but a death is
         * told once: so leave it locked by nobody who lives */
        return 0;
    }

    if (rc == NGX_OK) {
        pthread_mutex_unlock(&line->lock);
    }

    return rc == NGX_BUSY;
}


/* 1 where no other process uses the same buffer, or will */

ngx_uint_t
ngx_http_tracez_leave_line(ngx_http_tracez_shared_t *shared, ngx_int_t line)
{
    ngx_int_t   i, rc;
    ngx_uint_t  last;

    rc = pthread_mutex_lock(&shared->door);

    if (rc == EOWNERDEAD) {
        pthread_mutex_consistent(&shared->door);

    } else if (rc != 0) {
        return 0;
    }

    shared->lines[line].leaving = 1;
    last = 1;

    for (i = 0; i < TRACEZ_WRITERS_MAX && last; i++) {
        if (i != line && !shared->lines[i].leaving
            && shared->lines[i].buffer == shared->lines[line].buffer
            && ngx_http_tracez_is_in_use(&shared->lines[i]))
        {
            last = 0;
        }
    }

    pthread_mutex_unlock(&shared->door);

    return last;
}


void
ngx_http_tracez_release_line(ngx_http_tracez_shared_t *shared, ngx_int_t line)
{
    shared->lines[line].buffer = 0;
    pthread_mutex_unlock(&shared->lines[line].lock);
}
