/* SPDX-License-Identifier: MIT
 *
 * A span's life once it has started: name, kind, status, finish. How it starts is in span_start.c;
 * tags, events and links are in span_tags.c. It lies in its slot in the shape of its record, so
 * that finishing is one copy into the collector. */
#include "span.h"

#include "keep.h"
#include "probes.h"

#include <string.h>

/* ---- Handles --------------------------------------------------------------------------------- */

struct slot *span_lock_contended(struct tracez_span span)
{
    struct slot *slot = span.slot;

    if (slot_lock_contended(slot, span.generation)) {
        return slot;
    }
    if (!tracer_is_inert(slot->tracer)) {
        struct ledger_writer writer = tracer_writer(slot->tracer);
        ledger_count(writer, &writer.line->misuse);
    }
    return NULL;
}

bool tracez_span_is_recording(struct tracez_span span)
{
    struct slot *slot = span.slot;

    /* Relaxed: whether it is over can change at any moment; no data depends on it. */
    return slot != NULL && (atomic_load_explicit(&slot->state, memory_order_relaxed) &
                            ~(uint64_t)SLOT_LOCKED) == span.generation;
}

/* ---- In between ------------------------------------------------------------------------------ */

void tracez_span_set_name(struct tracez_span span, const char *name, size_t name_bytes)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        span_set_entry(slot, TRACEZ_ENTRY_NAME, (struct tracez_text){name, name_bytes});
        span_unlock(slot, span);
    }
}

void tracez_span_set_kind(struct tracez_span span, enum tracez_span_kind kind)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        if (kind >= TRACEZ_KIND_INTERNAL && kind <= TRACEZ_KIND_CONSUMER) {
            slot->record.kind = (uint8_t)kind;
        }
        span_unlock(slot, span);
    }
}

static void set_status_locked(struct slot *slot, enum tracez_status status, const char *message)
{
    if (status > TRACEZ_STATUS_ERROR) {
        return;
    }
    bool has_message = status == TRACEZ_STATUS_ERROR && message != NULL;
    slot->record.status =
        (uint8_t)((slot->record.status & RECORD_PARENT_IS_REMOTE) | (uint8_t)status);
    span_set_entry(slot, TRACEZ_ENTRY_STATUS_MESSAGE,
                   (struct tracez_text){message, has_message ? strlen(message) : 0});
}

void tracez_span_set_status(struct tracez_span span, enum tracez_status status, const char *message)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        set_status_locked(slot, status, message);
        span_unlock(slot, span);
    }
}

void tracez_span_set_error(struct tracez_span span, const char *type, const char *message)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        set_status_locked(slot, TRACEZ_STATUS_ERROR, message);
        if (type != NULL) {
            const struct tracez_tag tag = {
                .key = TRACEZ_KEY(ERROR_TYPE),
                .type = TRACEZ_TAG_STRING,
                .value.string = {type, strlen(type)},
            };
            span_set_tag_locked(slot, &tag);
        }
        span_unlock(slot, span);
    }
}

bool tracez_span_context(struct tracez_span span, struct tracez_context *context)
{
    struct slot *slot = span_lock(span);

    *context = (struct tracez_context){0};
    if (slot == NULL) {
        return false;
    }
    memcpy(context->trace_id, slot->record.trace_id, TRACEZ_TRACE_ID_BYTES);
    memcpy(context->span_id, slot->record.span_id, TRACEZ_SPAN_ID_BYTES);
    context->flags = slot->record.flags;
    span_unlock(slot, span);
    return true;
}

/* ---- Finish ---------------------------------------------------------------------------------- */

/* The first that wants the span; else the one that it was started with, or NULL. */
static __attribute__((noinline)) const struct tracez_collector *
find_collector(const struct tracez_tracer *tracer, const struct record_header *record,
               const struct tracez_collector *otherwise)
{
    for (uint32_t i = 0; i < tracer->collector_count; i++) {
        if (collector_wants(&tracer->collectors[i], record)) {
            return &tracer->collectors[i];
        }
    }
    return otherwise;
}

static inline void deliver(struct tracez_tracer *tracer, struct slot *slot)
{
    struct ledger_writer writer = tracer_writer(tracer);
    const struct tracez_collector *collector = slot->collector;

    ledger_add(writer, &writer.line->tags_set, slot->record.tag_count);
    slot->record.record_bytes = record_bytes_for(slot->record.entries_bytes);
    const struct record_header *record = slot_record(slot);
    if (callbacks_any(&tracer->callbacks)) {
        callbacks_call(&tracer->callbacks, record);
    }
    if (collector == NULL || collector->match == TRACEZ_MATCH_NAMED_REST) {
        collector = find_collector(tracer, record, collector);
    }
    if (collector == NULL) {
        ledger_count(writer, &writer.line->not_kept);
    } else {
        collector_push(collector, writer, record);
    }
}

static __attribute__((noinline)) void discard_locked(struct slot *slot, struct tracez_span span)
{
    struct tracez_tracer *tracer = slot->tracer;
    struct ledger_writer writer = tracer_writer(tracer);

    slot_end(slot, span.generation);
    if (!tracer_is_inert(tracer)) {
        ledger_count(writer, &writer.line->not_kept);
    }
    slot_return(&tracer->slots, slot);
}

static inline __attribute__((always_inline)) void
finish_locked(struct slot *slot, struct tracez_span span, uint64_t duration_ns)
{
    struct tracez_tracer *tracer = slot->tracer;

    if (slot->keep != NULL && (tracer_is_inert(tracer) || !keep_decide(slot, duration_ns))) {
        discard_locked(slot, span);
        return;
    }
    slot_end(slot, span.generation);
    slot->record.duration_ns = duration_ns;
    probe_span_finish(&slot->record);
    if (!tracer_is_inert(tracer)) {
        deliver(tracer, slot);
    }
    slot_return(&tracer->slots, slot);
}

void tracez_span_finish(struct tracez_span span)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        uint64_t now_ns = clock_monotonic_ns(&slot->tracer->clock);
        uint64_t start_ns = slot->start_monotonic_ns;
        finish_locked(slot, span, now_ns > start_ns ? now_ns - start_ns : 0);
    }
}

void tracez_span_finish_after(struct tracez_span span, uint64_t duration_ns)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        finish_locked(slot, span, duration_ns);
    }
}

void tracez_span_discard(struct tracez_span span)
{
    struct slot *slot = span_lock(span);

    if (slot != NULL) {
        discard_locked(slot, span);
    }
}
