/* SPDX-License-Identifier: MIT
 *
 * Attempts: a batch goes out, and comes back taken, refused, or to be tried again. The exporter's
 * loop decides when one begins; here is what its end means for the spans in it. Each batch ends
 * once: exported or dropped for one reason, to the span, and then waits for its acknowledgement. */
#include "exporter.h"

#include "probes.h"
#include "retry_after.h"

#define NS_PER_MS UINT64_C(1000000)

/* A batch's body as it goes out, the same at each attempt. Its text is NULL: no memory. */
static struct tracez_text wire_text(struct tracez_exporter *exporter, struct batch *batch)
{
    const struct json_writer *body = body_finish(&batch->body);
    struct gzip_body *compressed = &batch->compressed;

    if (body == NULL) {
        return (struct tracez_text){NULL, 0};
    }
    const struct tracez_text text = {body->text, body->bytes};
    if (exporter->config.compression == TRACEZ_COMPRESSION_NONE) {
        return text;
    }
    if (compressed->bytes == 0 && !gzip_compress(&exporter->gzip, text, compressed)) {
        return (struct tracez_text){NULL, 0};
    }
    return (struct tracez_text){compressed->text, compressed->bytes};
}

void attempts_begin(struct tracez_exporter *exporter, struct batch *batch, uint64_t now_ns)
{
    const struct tracez_text text = wire_text(exporter, batch);

    batch->round = retry_begin(&exporter->retry);
    batch->sent_ns = now_ns;
    if (batch->first_sent_ns == 0) {
        batch->first_sent_ns = now_ns;
    }
    if (text.text != NULL && transport_send(&exporter->transport, text, batch)) {
        batch->state = BATCH_SENT;
        batch->attempts++;
        exporter_count_sent(exporter, batch);
        probe_batch_start(batch, text.bytes);
        return;
    }
    exporter_note_error(exporter, "no memory for a request");
    retry_note_failure(&exporter->retry, batch->round, RETRY_AFTER_NONE, now_ns);
}

static void drop(struct batch *batch, enum tracez_drop reason)
{
    batch->outcome.dropped[reason] += batch->body.spans;
    batch->state = BATCH_DONE;
}

/* ---- Giving up ------------------------------------------------------------------------------- */

/* When a batch that waits for its next attempt is given up. */
static uint64_t exhausted_ns(const struct tracez_exporter *exporter, const struct batch *batch)
{
    uint64_t elapsed_max_ns = exporter->config.retry_max_elapsed_ms * NS_PER_MS;

    return elapsed_max_ns == 0 ? UINT64_MAX : batch->first_sent_ns + elapsed_max_ns;
}

void attempts_give_up(struct tracez_exporter *exporter, uint64_t now_ns)
{
    struct window *window;
    uint32_t at = 0;

    while ((window = lanes_next_window(exporter, &at)) != NULL) {
        struct batch *batch = window->first;
        for (; batch != NULL; batch = batch->next) {
            if (batch->state == BATCH_WAITING && exhausted_ns(exporter, batch) <= now_ns) {
                drop(batch, TRACEZ_DROP_RETRY_EXHAUSTED);
            }
        }
    }
}

uint64_t attempts_give_up_ns(struct tracez_exporter *exporter)
{
    uint64_t first_ns = UINT64_MAX;
    const struct window *window;
    uint32_t at = 0;

    while ((window = lanes_next_window(exporter, &at)) != NULL) {
        /* Batches of one window were first sent in its order. */
        const struct batch *batch = window_find(window, BATCH_WAITING);
        if (batch != NULL) {
            uint64_t batch_ns = exhausted_ns(exporter, batch);
            first_ns = batch_ns < first_ns ? batch_ns : first_ns;
        }
    }
    return first_ns;
}

/* ---- Endings --------------------------------------------------------------------------------- */

static void end_accepted(struct tracez_exporter *exporter, struct batch *batch,
                         const struct transport_result *result, uint64_t now_ns)
{
    struct answer answer = {0};

    if (exporter->pool.format->reads_answer) {
        answer = answer_read(result->body, result->is_cut, batch->body.spans);
    }

    batch->outcome.exported = batch->body.spans - answer.rejected_spans;
    batch->outcome.dropped[TRACEZ_DROP_PARTIAL_REJECTED] = answer.rejected_spans;
    batch->state = BATCH_DONE;
    retry_note_answer(&exporter->retry);
    exporter_count_attempt(exporter, batch, result, &answer, now_ns);
}

static void end_attempt(struct tracez_exporter *exporter, const struct transport_result *result,
                        uint64_t now_ns)
{
    struct batch *batch = result->request;

    probe_batch_end(batch, result, now_ns);
    switch (verdict_of(result->ending, result->status)) {
    case VERDICT_ACCEPTED:
        end_accepted(exporter, batch, result, now_ns);
        return;
    case VERDICT_RETRY:
        batch->state = BATCH_WAITING;
        retry_note_failure(&exporter->retry, batch->round, result->retry_after_s, now_ns);
        break;
    case VERDICT_FINAL:
        drop(batch, TRACEZ_DROP_REJECTED);
        retry_note_answer(&exporter->retry);
        break;
    }
    exporter_count_attempt(exporter, batch, result, NULL, now_ns);
}

void attempts_settle(struct tracez_exporter *exporter)
{
    struct tracez_outcome sum = {0};
    struct window *window;
    uint32_t at = 0;

    while ((window = lanes_next_window(exporter, &at)) != NULL) {
        window_settle(window, &exporter->pool, &sum);
    }
    exporter_count_outcome(exporter, &sum);
}

void attempts_finish(struct tracez_exporter *exporter, uint64_t now_ns)
{
    struct transport_result result;

    while (transport_next(&exporter->transport, &result)) {
        end_attempt(exporter, &result, now_ns);
    }
    attempts_settle(exporter);
}
