/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct trace {
    char trace_id[33];
    bool is_written; /* as it is now */
    uint64_t changed_ms;
    size_t span_count;
    size_t bytes;
    struct span *spans[STORE_TRACE_SPANS_MAX];
};

/* A ring: traces[first], oldest first. The newest are looked at first, so a trace that is still
 * growing is found at once. */
struct store {
    pthread_mutex_t lock;
    struct trace *traces[STORE_TRACES_MAX];
    size_t first;
    size_t count;
    size_t bytes;
    uint64_t received;
    uint64_t evicted; /* spans that made room for newer ones, or did not fit their trace */
    bool drop_one;
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct trace *trace_at(const struct store *store, size_t index)
{
    return store->traces[(store->first + index) % STORE_TRACES_MAX];
}

static void destroy_trace(struct trace *trace)
{
    for (size_t i = 0; i < trace->span_count; i++) {
        span_destroy(trace->spans[i]);
    }
    free(trace);
}

struct store *store_create(bool drop_one)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store != NULL) {
        pthread_mutex_init(&store->lock, NULL);
        store->drop_one = drop_one;
    }
    return store;
}

void store_destroy(struct store *store)
{
    if (store == NULL) {
        return;
    }
    for (size_t i = 0; i < store->count; i++) {
        destroy_trace(trace_at(store, i));
    }
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static void evict_oldest(struct store *store)
{
    struct trace *oldest = trace_at(store, 0);

    store->evicted += oldest->span_count;
    store->bytes -= oldest->bytes;
    store->first = (store->first + 1) % STORE_TRACES_MAX;
    store->count--;
    destroy_trace(oldest);
}

/* The span's trace, made when it is a new one; NULL without memory. */
static struct trace *find_trace(struct store *store, const struct span *span)
{
    for (size_t i = store->count; i > 0; i--) {
        struct trace *trace = trace_at(store, i - 1);
        if (memcmp(trace->trace_id, span->trace_id, sizeof(trace->trace_id)) == 0) {
            return trace;
        }
    }
    struct trace *added = calloc(1, sizeof(*added));
    if (added == NULL) {
        return NULL;
    }
    memcpy(added->trace_id, span->trace_id, sizeof(added->trace_id));
    added->bytes = sizeof(*added);
    if (store->count == STORE_TRACES_MAX) {
        evict_oldest(store);
    }
    store->traces[(store->first + store->count++) % STORE_TRACES_MAX] = added;
    store->bytes += added->bytes;
    return added;
}

/* False: there is no room for it, and it stays the caller's. */
static bool keep(struct store *store, struct span *span)
{
    struct trace *trace = find_trace(store, span);

    if (trace == NULL || trace->span_count == STORE_TRACE_SPANS_MAX) {
        return false;
    }
    trace->spans[trace->span_count++] = span;
    trace->bytes += span->bytes;
    trace->changed_ms = now_ms();
    trace->is_written = false;
    store->bytes += span->bytes;
    while (store->bytes > STORE_BYTES_MAX) {
        evict_oldest(store); /* at the latest when it is this one */
    }
    return true;
}

void store_add(struct store *store, struct span *span)
{
    pthread_mutex_lock(&store->lock);
    store->received++;
    if (store->drop_one && span->kind == SPAN_KIND_SERVER) {
        store->drop_one = false;
        span_destroy(span);
    } else if (!keep(store, span)) {
        store->evicted++;
        span_destroy(span);
    }
    pthread_mutex_unlock(&store->lock);
}

static uint64_t start_of(const struct trace *trace)
{
    uint64_t start = UINT64_MAX;

    for (size_t i = 0; i < trace->span_count; i++) {
        uint64_t of_span = trace->spans[i]->start_unix_ns;
        start = of_span < start ? of_span : start;
    }
    return start;
}

static int by_start(const void *left, const void *right)
{
    uint64_t a = start_of(*(struct trace *const *)left);
    uint64_t b = start_of(*(struct trace *const *)right);

    return a == b ? 0 : a < b ? -1 : 1;
}

/* Collects the traces that are to be written, and regards them as written. */
static size_t take_quiet(struct store *store, unsigned quiet_ms, struct trace **quiet)
{
    uint64_t now = now_ms();
    size_t count = 0;

    for (size_t i = 0; i < store->count; i++) {
        struct trace *trace = trace_at(store, i);
        if (!trace->is_written && now - trace->changed_ms >= quiet_ms) {
            trace->is_written = true;
            quiet[count++] = trace;
        }
    }
    return count;
}

bool store_write_quiet(struct store *store, unsigned quiet_ms, size_t traces_max,
                       const struct tree_style *style, FILE *out)
{
    struct trace *quiet[STORE_TRACES_MAX];

    pthread_mutex_lock(&store->lock);
    size_t count = take_quiet(store, quiet_ms, quiet);
    qsort(quiet, count, sizeof(struct trace *), by_start);
    for (size_t i = 0; i < count && i < traces_max; i++) {
        tree_write(quiet[i]->spans, quiet[i]->span_count, style, out);
    }
    if (count > traces_max) {
        fprintf(out, "(and %zu further traces, not shown)\n\n", count - traces_max);
    }
    /* Under the lock: who reads from store_json that all is written may rely on it. */
    bool is_out = fflush(out) == 0;
    pthread_mutex_unlock(&store->lock);
    return is_out;
}

static json_t *text_json(const struct text *text)
{
    return json_stringn(text->at != NULL ? text->at : "", text->bytes);
}

/* 64-bit times as text: many readers of JSON know only doubles. */
static json_t *number_json(uint64_t number)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, number);
    return json_string(digits);
}

/* NULL without memory. */
static json_t *tags_json(const struct span *span)
{
    json_t *tags = json_array();

    for (size_t i = 0; i < span->tag_count; i++) {
        json_t *pair =
            json_pack("[o, o]", text_json(&span->tags[i].key), text_json(&span->tags[i].value));
        if (json_array_append_new(tags, pair) != 0) {
            json_decref(tags);
            return NULL;
        }
    }
    return tags;
}

/* NULL without memory; jansson frees the parts. */
static json_t *span_json(const struct span *span)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", /* */
        "trace_id", span->trace_id, "span_id", span->span_id, "parent_id", span->parent_id, "kind",
        span_kind_text(span->kind), "service", text_json(&span->service), "name",
        text_json(&span->name), "start_unix_ns", number_json(span->start_unix_ns), "duration_ns",
        number_json(span_duration_ns(span)), "is_error", span->status == SPAN_STATUS_ERROR,
        "message", text_json(&span->message), "tags", tags_json(span));
}

/* False without memory. */
static bool append_spans(const struct trace *trace, json_t *spans)
{
    for (size_t i = 0; i < trace->span_count; i++) {
        if (json_array_append_new(spans, span_json(trace->spans[i])) != 0) {
            return false;
        }
    }
    return true;
}

json_t *store_json(struct store *store)
{
    json_t *spans = json_array();
    json_int_t unwritten = 0;
    bool is_complete = true;

    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->count && is_complete; i++) {
        const struct trace *trace = trace_at(store, i);
        unwritten += trace->is_written ? 0 : 1;
        is_complete = append_spans(trace, spans);
    }
    json_int_t received = (json_int_t)store->received;
    json_int_t evicted = (json_int_t)store->evicted;
    pthread_mutex_unlock(&store->lock);
    if (!is_complete) {
        json_decref(spans);
        return NULL;
    }
    return json_pack("{s:o, s:I, s:I, s:I}", "spans", spans, "received", received, "evicted",
                     evicted, "unwritten", unwritten);
}
