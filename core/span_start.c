/* SPDX-License-Identifier: MIT
 *
 * How a span starts: decide before any work, so that a span that nobody wants costs ids and the
 * sampler's look. One that is recorded grows in its slot in the shape of its record. */
#include "config.h"
#include "context.h"
#include "ids.h"
#include "probes.h"
#include "sampler.h"
#include "span.h"

#include <string.h>

static inline enum tracez_span_kind kind_of(const struct tracez_span_options *options)
{
    return options->kind == 0 ? TRACEZ_KIND_INTERNAL : options->kind;
}

/* Who the span will be; flags come last, with the decision. */
static inline void set_own_context(struct tracez_context *own, const struct tracez_context *parent)
{
    if (parent != NULL) {
        ids_copy_trace(own->trace_id, parent->trace_id);
        own->threshold = parent->threshold;
        own->tracestate = parent->tracestate;
        own->tracestate_bytes = parent->tracestate_bytes;
        ids_make(NULL, own->span_id);
    } else {
        own->threshold = 0;
        own->tracestate = NULL;
        own->tracestate_bytes = 0;
        ids_make(own->trace_id, own->span_id);
    }
    own->flags = 0;
    own->is_remote = false;
}

static inline void hand_out(struct tracez_context *to, const struct tracez_context *own)
{
    ids_copy_trace(to->trace_id, own->trace_id);
    ids_copy_span(to->span_id, own->span_id);
    to->flags = own->flags;
    to->is_remote = false;
    to->threshold = own->threshold;
    to->tracestate = own->tracestate;
    to->tracestate_bytes = own->tracestate_bytes;
}

static __attribute__((noinline)) struct tracez_sampling_decision
ask(const struct tracez_sampler *sampler, const struct tracez_sampling_query *query)
{
    struct tracez_sampling_decision decision = {0};

    sampler->decide(sampler, query, &decision);
    return decision;
}

static void note_text(struct slot *slot, const char *key, const char *text)
{
    if (text != NULL) {
        span_set_tag_locked(slot, &(struct tracez_tag){.key = key,
                                                       .type = TRACEZ_TAG_STRING,
                                                       .value.string = {text, strlen(text)}});
    }
}

/* What a decision that was not the plain rate's leaves on the span. */
static __attribute__((noinline)) void note_decision(struct slot *slot,
                                                    const struct tracez_sampling_decision *decision)
{
    const struct tracez_tag rate = {
        .key = TRACEZ_KEY(TRACEZ_SAMPLING_RATE),
        .type = TRACEZ_TAG_DOUBLE,
        .value.real = decision->rate,
    };

    slot->keep = decision->keep;
    note_text(slot, TRACEZ_KEY(TRACEZ_SAMPLING_STRATEGY), decision->strategy);
    span_set_tag_locked(slot, &rate);
    if (decision->keep == NULL) {
        note_text(slot, TRACEZ_KEY(TRACEZ_SAMPLING_REASON), decision->reason);
    } /* else the end tells */
}

static void set_times(struct tracez_tracer *tracer, struct slot *slot,
                      const struct tracez_span_options *options)
{
    uint64_t start_unix_ns = options->start_unix_ns;
    uint64_t monotonic_ns = options->start_monotonic_ns != 0 ? options->start_monotonic_ns
                                                             : clock_monotonic_ns(&tracer->clock);
    uint64_t unix_ns = clock_unix_ns(&tracer->clock, monotonic_ns);
    uint64_t ago_ns = 0;

    if (start_unix_ns != 0 && start_unix_ns < unix_ns) {
        ago_ns = unix_ns - start_unix_ns;
    }
    if (ago_ns > monotonic_ns) {
        ago_ns = monotonic_ns;
    }
    slot->start_monotonic_ns = monotonic_ns - ago_ns;
    slot->record.start_unix_ns = unix_ns - ago_ns;
}

static uint32_t max_tag_bytes(const struct tracez_tracer *tracer,
                              const struct tracez_span_options *options)
{
    uint32_t bytes = options->max_tag_bytes;

    return bytes >= TAG_BYTES_MIN && bytes <= TAG_BYTES_MAX ? bytes : tracer->max_tag_bytes;
}

static __attribute__((noinline)) void append_tracestate(struct slot *slot,
                                                        const struct tracez_context *own)
{
    char text[TRACEZ_TRACESTATE_TEXT_BYTES];
    size_t bytes = tracez_context_format_tracestate(own, text, sizeof(text));

    span_append_entry(slot, TRACEZ_ENTRY_TRACESTATE, (struct tracez_text){text, bytes});
}

static inline void append_name(struct slot *slot, struct tracez_text name)
{
    if (name.bytes == 0 ||
        !span_append_short(slot, TRACEZ_ENTRY_NAME, key_none(), name.text, name.bytes)) {
        span_append_entry(slot, TRACEZ_ENTRY_NAME, name); /* none, or a long one */
    }
}

static uint32_t resource_row(const struct tracez_tracer *tracer, uint32_t resource)
{
    return tracer->resource_rows[resource < tracer->resource_count ? resource : 0];
}

/* Room for the span and its ids, name and times; the slot is not locked, as nobody has its handle
 * yet. */
static inline void fill_slot(struct slot *slot, const struct tracez_span_options *options,
                             struct tracez_text name, const struct tracez_context *parent,
                             const struct tracez_context *own)
{
    struct tracez_tracer *tracer = slot->tracer;
    struct record_header *record = &slot->record;

    slot->collector = options->collector != NULL ? options->collector : tracer->takes_all;
    slot->keep = NULL;
    slot->keep_reason = NULL;
    slot->max_tag_bytes = max_tag_bytes(tracer, options);
    slot->short_bytes_max =
        slot->max_tag_bytes < ENTRY_SHORT_BYTES ? slot->max_tag_bytes : ENTRY_SHORT_BYTES;
    *record = (struct record_header){
        .version = RECORD_VERSION,
        .kind = (uint8_t)kind_of(options),
        .flags = own->flags & (TRACEZ_FLAG_SAMPLED | TRACEZ_FLAG_RANDOM),
        .resource = (uint16_t)resource_row(tracer, options->resource),
    };
    ids_copy_trace(record->trace_id, own->trace_id);
    ids_copy_span(record->span_id, own->span_id);
    if (parent != NULL) {
        ids_copy_span(record->parent_span_id, parent->span_id);
        record->status = parent->is_remote ? RECORD_PARENT_IS_REMOTE : 0;
    }
    append_name(slot, name);
    if (own->tracestate_bytes > 0 || own->threshold != 0) {
        append_tracestate(slot, own);
    }
    set_times(tracer, slot, options);
}

/* All processes that share the ledger share its bucket. */
static __attribute__((noinline)) bool is_over_rate(struct tracez_tracer *tracer)
{
    return !bucket_take(&tracer->ledger->spans, &tracer->spans_rate, &tracer->clock);
}

static __attribute__((noinline)) struct tracez_span drop_start(struct ledger_writer writer,
                                                               enum tracez_drop reason)
{
    ledger_count(writer, &writer.line->dropped[reason]);
    probe_span_drop(reason, 1, NULL);
    return (struct tracez_span){0};
}

/* What the two forms of start are given. */
struct start {
    const struct tracez_span_options *options;
    const struct tracez_sampler *sampler; /* NULL: the tracer's */
    const char *name;                     /* NULL: in the options */
    const struct tracez_context *parent;
    struct tracez_sampling_decision *decision; /* optional */
};

/* Measured late: what is not recorded does not need its name's length. */
static inline struct tracez_text name_of(const struct start *start)
{
    return start->name == NULL ? start->options->name
                               : (struct tracez_text){start->name, strlen(start->name)};
}

static inline __attribute__((always_inline)) struct tracez_span
start_recording(struct tracez_tracer *tracer, const struct start *start,
                const struct tracez_sampling_decision *decision,
                const struct tracez_context *parent, const struct tracez_context *own)
{
    struct ledger_writer writer = tracer_writer(tracer);
    struct tracez_span span;

    ledger_count(writer, &writer.line->recorded);
    if (tracer->spans_rate.token_ticks != 0 && is_over_rate(tracer)) {
        return drop_start(writer, TRACEZ_DROP_RATE);
    }
    span.slot = slot_take(&tracer->slots, writer.index, &span.generation);
    if (span.slot == NULL) {
        return drop_start(writer, slot_pool_is_used_up(&tracer->slots) ? TRACEZ_DROP_NO_SLOT
                                                                       : TRACEZ_DROP_MEMORY_LIMIT);
    }
    struct tracez_text name = name_of(start);
    probe_span_start(own, name);
    fill_slot(span.slot, start->options, name, parent, own);
    if (decision->strategy != NULL || decision->keep != NULL) {
        note_decision(span.slot, decision);
    }
    return span;
}

/* Nothing is traced here: hand the parent on as it is. */
static __attribute__((noinline)) struct tracez_span
pass_through(const struct tracez_context *parent, struct tracez_context *own_context,
             struct tracez_sampling_decision *decision)
{
    if (own_context != NULL && own_context != parent) {
        *own_context = parent != NULL ? *parent : (struct tracez_context){0};
    }
    if (decision != NULL) {
        *decision = sampler_never();
    }
    return (struct tracez_span){0};
}

/* Whose decision counts: the parent's, or that of a caller who sent no more than one, no ids (B3).
 */
static inline const struct tracez_context *caller_of(const struct tracez_context *given,
                                                     const struct tracez_context *parent)
{
    return parent == NULL && given != NULL && given->is_remote ? given : parent;
}

static inline uint8_t flags_of(const struct tracez_context *parent,
                               const struct tracez_context *caller, bool is_sampled)
{
    uint8_t flags = parent != NULL ? parent->flags & TRACEZ_FLAG_RANDOM : TRACEZ_FLAG_RANDOM;

    if (is_sampled) {
        flags |= TRACEZ_FLAG_SAMPLED;
        flags |= caller != NULL ? caller->flags & TRACEZ_FLAG_DEBUG : 0;
    }
    return flags;
}

/* Both forms of start, each compiled into one piece. */
static inline __attribute__((always_inline)) struct tracez_span
start_span(struct tracez_tracer *tracer, const struct start *start,
           struct tracez_context *own_context)
{
    const struct tracez_context *parent = context_is_valid(start->parent) ? start->parent : NULL;
    const struct tracez_context *caller = caller_of(start->parent, parent);
    struct tracez_sampling_decision decision;
    struct tracez_span span = {0};
    struct tracez_context own;

    if (tracer == NULL || tracer_is_inert(tracer)) {
        return pass_through(start->parent, own_context, start->decision);
    }
    const struct tracez_sampler *sampler =
        start->sampler != NULL ? start->sampler : &tracer->sampler;
    set_own_context(&own, parent);
    if (!sampler_is_usual(sampler, caller, &decision)) {
        decision = ask(sampler, &(struct tracez_sampling_query){
                                    .parent = caller,
                                    .trace_id = own.trace_id,
                                    .kind = kind_of(start->options),
                                    .name = name_of(start),
                                    .tracer = tracer,
                                });
        own.threshold = decision.threshold != 0 ? decision.threshold : own.threshold;
    }
    own.flags = flags_of(parent, caller, decision.sampled);
    if (decision.record) {
        span = start_recording(tracer, start, &decision, parent, &own);
    } else {
        struct ledger_writer writer = tracer_writer(tracer);
        ledger_count(writer, &writer.line->not_recorded);
    }
    if (own_context != NULL) {
        hand_out(own_context, &own);
    }
    if (start->decision != NULL) {
        *start->decision = decision;
    }
    return span;
}

struct tracez_span tracez_span_start_with(struct tracez_tracer *tracer,
                                          const struct tracez_span_options *options,
                                          struct tracez_context *own_context)
{
    const struct start start = {
        .options = options,
        .sampler = options->sampler,
        .parent = options->parent,
        .decision = options->decision,
    };

    return start_span(tracer, &start, own_context);
}

struct tracez_span tracez_span_start(struct tracez_tracer *tracer, enum tracez_span_kind kind,
                                     const char *name, const struct tracez_context *parent,
                                     struct tracez_context *own_context)
{
    static const struct tracez_span_options of_kind[] = {
        [TRACEZ_KIND_INTERNAL] = {.kind = TRACEZ_KIND_INTERNAL},
        [TRACEZ_KIND_SERVER] = {.kind = TRACEZ_KIND_SERVER},
        [TRACEZ_KIND_CLIENT] = {.kind = TRACEZ_KIND_CLIENT},
        [TRACEZ_KIND_PRODUCER] = {.kind = TRACEZ_KIND_PRODUCER},
        [TRACEZ_KIND_CONSUMER] = {.kind = TRACEZ_KIND_CONSUMER},
    };
    const struct start start = {
        .options = &of_kind[kind <= TRACEZ_KIND_CONSUMER ? kind : 0],
        .name = name,
        .parent = parent,
    };

    return start_span(tracer, &start, own_context);
}
