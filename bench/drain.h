/* SPDX-License-Identifier: MIT
 *
 * A thread that empties a collector as the exporter does: asleep until a batch waits, then it reads
 * a batch in place, looks at every byte as an encoder would, and acknowledges. */
#ifndef TRACEZ_BENCH_DRAIN_H
#define TRACEZ_BENCH_DRAIN_H

#include <tracez/reader.h>

#include <pthread.h>
#include <stdatomic.h>

#define DRAIN_BATCH_SPANS 512

struct drain {
    struct tracez_collector *collector;
    pthread_t thread;
    int wake_fd;
    atomic_bool stop;
    /* Of the thread, for others after drain_stop. */
    uint64_t batches;
    uint64_t spans;
    uint64_t record_bytes; /* from one record to the next, of those that follow each other */
    uint64_t record_steps;
    uint64_t checksum;
};

/* Exits the program when there is no thread to be had. */
void drain_start(struct drain *drain, struct tracez_collector *collector);

/* Waits until less than a batch is left. */
void drain_wait(struct drain *drain);

/* Empties the collector and ends the thread. */
void drain_stop(struct drain *drain);

/* Reads and acknowledges one batch on the calling thread, which holds the lease. */
size_t drain_batch(struct drain *drain);

#endif
