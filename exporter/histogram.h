/* SPDX-License-Identifier: MIT
 *
 * Histograms: how long attempts take, and how large batches are. Their bounds never change, so that
 * those of several exporters can be added up. */
#ifndef TRACEZ_EXPORTER_HISTOGRAM_H
#define TRACEZ_EXPORTER_HISTOGRAM_H

#include <tracez/exporter.h>

void histogram_add(struct tracez_histogram *histogram,
                   const uint64_t bounds[TRACEZ_HISTOGRAM_BOUNDS], uint64_t value);

#endif
