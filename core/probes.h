/* SPDX-License-Identifier: MIT
 *
 * Static probes (USDT) in a span's life, for bpftrace, perf, SystemTap and gdb: a nop in the code
 * and a note in the file, which says where the arguments are. Nobody listens: nothing is called,
 * tested or loaded. docs/production.md describes them; their names and arguments are an interface.
 *
 * ids: 16 bytes of trace id, the span id's 8 behind them, as in contexts and in records. */
#ifndef TRACEZ_CORE_PROBES_H
#define TRACEZ_CORE_PROBES_H

#include "record.h"

#include <stddef.h>

#if !defined(TRACEZ_WITHOUT_PROBES) && __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#else
#define DTRACE_PROBE3(provider, name, first, second, third)                                        \
    ((void)(first), (void)(second), (void)(third))
#define DTRACE_PROBE4(provider, name, first, second, third, fourth)                                \
    ((void)(first), (void)(second), (void)(third), (void)(fourth))
#endif

_Static_assert(offsetof(struct tracez_context, span_id) ==
                   offsetof(struct tracez_context, trace_id) + TRACEZ_TRACE_ID_BYTES,
               "ids are one piece in a context");
_Static_assert(offsetof(struct record_header, span_id) ==
                   offsetof(struct record_header, trace_id) + TRACEZ_TRACE_ID_BYTES,
               "ids are one piece in a record");

/* It has a slot, and will have these ids. The name need not end in NUL. */
static inline void probe_span_start(const struct tracez_context *own, struct tracez_text name)
{
    const uint8_t *ids = own->trace_id;

    DTRACE_PROBE3(tracez, span_start, ids, name.text, name.bytes);
}

/* It is over; where it goes comes next. */
static inline void probe_span_finish(const struct record_header *record)
{
    const uint8_t *ids = record->trace_id;

    DTRACE_PROBE4(tracez, span_finish, ids, record->duration_ns, record->status, record->kind);
}

/* Wherever the ledger counts drops. collector: a name; NULL: it did not get to one. */
static inline void probe_span_drop(enum tracez_drop reason, uint64_t spans, const char *collector)
{
#define PROBE_DROP_TEXT(name, text) text,
    static const char *const texts[] = {TRACEZ_DROPS(PROBE_DROP_TEXT)};
#undef PROBE_DROP_TEXT

    DTRACE_PROBE3(tracez, span_drop, texts[reason], spans, collector);
}

#endif
