/* SPDX-License-Identifier: MIT
 *
 * What an accepting backend has to say about the batch it took (ExportTraceServiceResponse). */
#ifndef TRACEZ_EXPORTER_ANSWER_H
#define TRACEZ_EXPORTER_ANSWER_H

#include <tracez/tracez.h>

struct answer {
    bool is_malformed;
    uint64_t rejected_spans; /* never more than the batch has */
};

/* Reads the body of a 2xx response; is_cut: it is only the beginning of one. An empty body says
 * that all is well. */
struct answer answer_read(struct tracez_text body, bool is_cut, uint64_t batch_spans);

#endif
