/* SPDX-License-Identifier: MIT
 *
 * Lines: which process is which in the ledger. Each process that records spans
 * holds the robust lock of one line for as long as it lives, so nobody else
 * counts on that line, and the kernel tells when its holder died; a pid would
 * not, for pids are used again.
 *
 * What a process that died left unfinished is seen to by one that uses the
 * same buffer, as what it had locked lies there: a worker that begins, or
 * within a second the one that exports. A line is not used again before.
 *
 * Processes come and leave in turn, through a door: whoever leaves and finds
 * nobody else that uses the same buffer, or will, and is not leaving already
 * is the last one, and has to see to the spans in it. A crashed process blocks
 * nothing: its locks fall open. Neither does who overwrites a lock: the C
 * library never sees it. */
#include "ngx_http_tracez.h"


#define NGX_HTTP_TRACEZ_DOOR_MS       100


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


/* ---- locks -------------------------------------------------------------- */

/* a fresh lock has its kind set and nothing else, and locking leaves that */

static ngx_uint_t
ngx_http_tracez_is_lock(pthread_mutex_t *lock)
{
    u_char           *expected, *found;
    ngx_uint_t        i;
    pthread_mutex_t   fresh;

    ngx_memzero(&fresh, sizeof(pthread_mutex_t));

    if (ngx_http_tracez_init_lock(&fresh) != NGX_OK) {
        return 0;
    }

    expected = (u_char *) &fresh;
    found = (u_char *) lock;

    for (i = 0; i < sizeof(pthread_mutex_t); i++) {
        if (expected[i] != 0 && expected[i] != found[i]) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_tracez_unlock(pthread_mutex_t *lock)
{
    if (ngx_http_tracez_is_lock(lock)) {
        pthread_mutex_unlock(lock);
    }
}


/* A death is told once: the line remembers it, should we die as well. */

static ngx_int_t
ngx_http_tracez_try_line(ngx_http_tracez_line_t *line)
{
    if (!ngx_http_tracez_is_lock(&line->lock)) {
        return NGX_BUSY;
    }

    switch (pthread_mutex_trylock(&line->lock)) {

    case 0:
        return NGX_OK;

    case EOWNERDEAD:
        line->died = 1;
        ngx_memory_barrier();
        pthread_mutex_consistent(&line->lock);
        return NGX_OK;

    default:
        return NGX_BUSY;
    }
}


/* Whoever is inside is out at once, and a door that somebody overwrote is not
 * waited for any longer. */

static ngx_int_t
ngx_http_tracez_enter(ngx_http_tracez_shared_t *shared, ngx_uint_t wait)
{
    int              rc;
    struct timespec  until;

    if (!ngx_http_tracez_is_lock(&shared->door)
        || clock_gettime(CLOCK_REALTIME, &until) != 0)
    {
        return NGX_BUSY;
    }

    until.tv_nsec += NGX_HTTP_TRACEZ_DOOR_MS * 1000000L;

    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }

    rc = wait ? pthread_mutex_timedlock(&shared->door, &until)
              : pthread_mutex_trylock(&shared->door);

    if (rc == EOWNERDEAD) {
        rc = pthread_mutex_consistent(&shared->door);
    }

    return rc == 0 ? NGX_OK : NGX_BUSY;
}


/* is anybody else's line, behind the door, one of this buffer? */

static ngx_uint_t
ngx_http_tracez_is_used(ngx_http_tracez_shared_t *shared, ngx_uint_t buffer,
    ngx_int_t except, ngx_uint_t to_stay)
{
    ngx_int_t                i;
    ngx_http_tracez_line_t  *line;

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        line = &shared->lines[i];

        if (i == except || line->buffer != buffer
            || (to_stay && line->leaving))
        {
            continue;
        }

        if (ngx_http_tracez_try_line(line) != NGX_OK) {
            return 1;
        }

        ngx_http_tracez_unlock(&line->lock);
    }

    return 0;
}


/* Is a dead process's line for us to see to? What it had locked lies in its
 * buffer. Where nobody uses that any more it has gone with it, and anybody may;
 * but a newer buffer than ours is only without processes for a moment. */

static ngx_uint_t
ngx_http_tracez_is_ours(ngx_http_tracez_main_conf_t *tmcf, ngx_int_t i)
{
    ngx_uint_t                 own, buffer;
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);
    own = ngx_http_tracez_buffer(tmcf)->id;
    buffer = shared->lines[i].buffer;

    return buffer == own
           || (!ngx_http_tracez_is_newer(buffer, own)
               && !ngx_http_tracez_is_used(shared, buffer, i, 0));
}


/* ---- coming ------------------------------------------------------------- */

/* for the master, before new workers come: is every lock still one, and does
 * the door open? */

ngx_uint_t
ngx_http_tracez_are_lines(ngx_http_tracez_shared_t *shared)
{
    ngx_uint_t  i;

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        if (!ngx_http_tracez_is_lock(&shared->lines[i].lock)) {
            return 0;
        }
    }

    if (ngx_http_tracez_enter(shared, 1) != NGX_OK) {
        return 0;
    }

    ngx_http_tracez_unlock(&shared->door);

    return 1;
}



/* A line that nobody holds; one of a process that died and was not seen to yet
 * only where that is for us to do. */

static ngx_int_t
ngx_http_tracez_find_line(ngx_http_tracez_main_conf_t *tmcf, ngx_uint_t died)
{
    ngx_int_t                  i;
    ngx_http_tracez_line_t    *line;
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        line = &shared->lines[i];

        if (ngx_http_tracez_try_line(line) != NGX_OK) {
            continue;
        }

        if (line->died == died
            && (!died || ngx_http_tracez_is_ours(tmcf, i)))
        {
            return i;
        }

        ngx_http_tracez_unlock(&line->lock);
    }

    return NGX_ERROR;
}


/* The index of a line that is now ours, or NGX_ERROR: all are in use, or
 * somebody is at the door, which a worker that serves already does not wait
 * for. */

ngx_int_t
ngx_http_tracez_claim_line(ngx_http_tracez_main_conf_t *tmcf, ngx_uint_t wait)
{
    ngx_int_t                  i;
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);

    if (ngx_http_tracez_enter(shared, wait) != NGX_OK) {
        return NGX_ERROR;
    }

    i = ngx_http_tracez_find_line(tmcf, 0);

    if (i == NGX_ERROR) {
        i = ngx_http_tracez_find_line(tmcf, 1);
    }

    if (i != NGX_ERROR) {
        shared->lines[i].buffer = ngx_http_tracez_buffer(tmcf)->id;
        shared->lines[i].leaving = 0;
    }

    ngx_http_tracez_unlock(&shared->door);

    return i;
}


static void
ngx_http_tracez_take_over_line(ngx_http_tracez_main_conf_t *tmcf, ngx_int_t i)
{
    tracez_tracer_take_over(tmcf->tracer, (uint32_t) i);
    ngx_memory_barrier();
    ngx_http_tracez_shared(tmcf)->lines[i].died = 0;
}


/* What the holder before us left on the line that we claimed: nobody else may
 * see to it, and nobody shall take it for ours. */

void
ngx_http_tracez_take_over_own(ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_http_tracez_take_over_line(tmcf, tmcf->line);
}


/* Sees to what dead processes left. A worker that serves already waits for
 * nobody: where somebody is at the door, it comes back another time. */

void
ngx_http_tracez_take_over(ngx_http_tracez_main_conf_t *tmcf, ngx_uint_t wait)
{
    ngx_int_t                  i;
    ngx_http_tracez_line_t    *line;
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);

    if (ngx_http_tracez_enter(shared, wait) != NGX_OK) {
        return;
    }

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        line = &shared->lines[i];

        if (i != tmcf->line && ngx_http_tracez_try_line(line) == NGX_OK) {
            if (line->died && ngx_http_tracez_is_ours(tmcf, i)) {
                ngx_http_tracez_take_over_line(tmcf, i);
            }

            if (!line->died) {
                line->buffer = 0;
            }

            ngx_http_tracez_unlock(&line->lock);
        }
    }

    ngx_http_tracez_unlock(&shared->door);
}


/* 1 where no process uses another buffer, or used it when it died and was not
 * seen to yet; nor will use one, which is true of the newest buffer alone */

bool
ngx_http_tracez_is_alone(void *data)
{
    ngx_http_tracez_main_conf_t  *tmcf = data;

    ngx_uint_t               i;
    ngx_http_tracez_line_t  *lines;

    lines = ngx_http_tracez_shared(tmcf)->lines;

    ngx_memory_barrier();

    if (ngx_http_tracez_is_newer(ngx_http_tracez_shared(tmcf)->newest_buffer,
                                 ngx_http_tracez_buffer(tmcf)->id))
    {
        return false;
    }

    for (i = 0; i < TRACEZ_WRITERS_MAX; i++) {
        if (lines[i].buffer != 0
            && lines[i].buffer != ngx_http_tracez_buffer(tmcf)->id)
        {
            return false;
        }
    }

    ngx_memory_barrier();

    return true;
}


/* ---- leaving ------------------------------------------------------------ */

/* Those who leave before us shall not leave the buffer to us: we are leaving,
 * or do not export, or no longer. */

void
ngx_http_tracez_stay_no_longer(ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_http_tracez_shared(tmcf)->lines[tmcf->line].leaving = 1;
    ngx_memory_barrier();
}



/* 1 where no other process uses the same buffer, or will: after a reload the
 * new workers may be later than the old ones are gone. A door that does not
 * open is gone around: two that take themselves for the last do no harm, none
 * would lose what is buffered. */

ngx_uint_t
ngx_http_tracez_leave_line(ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_int_t                  entered;
    ngx_uint_t                 last;
    ngx_http_tracez_buffer_t  *buffer;
    ngx_http_tracez_shared_t  *shared;

    shared = ngx_http_tracez_shared(tmcf);
    buffer = ngx_http_tracez_buffer(tmcf);

    entered = ngx_http_tracez_enter(shared, 1);

    ngx_http_tracez_stay_no_longer(tmcf);

    last = !ngx_http_tracez_is_used(shared, buffer->id, tmcf->line, 1)
           && buffer->current <= ngx_max(buffer->newest, tmcf->configuration);

    if (entered == NGX_OK) {
        ngx_http_tracez_unlock(&shared->door);
    }

    return last;
}


void
ngx_http_tracez_release_line(ngx_http_tracez_main_conf_t *tmcf)
{
    ngx_http_tracez_line_t  *line;

    line = &ngx_http_tracez_shared(tmcf)->lines[tmcf->line];

    ngx_memory_barrier();                  /* all is counted by now */
    line->buffer = 0;
    ngx_http_tracez_unlock(&line->lock);
}
