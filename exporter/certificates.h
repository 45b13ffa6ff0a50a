/* SPDX-License-Identifier: MIT
 *
 * What TLS needs of the configuration: authorities to trust, and a certificate of our own with its
 * key. PEM texts, ours, and wiped before their memory is given back. */
#ifndef TRACEZ_EXPORTER_CERTIFICATES_H
#define TRACEZ_EXPORTER_CERTIFICATES_H

#include <tracez/exporter.h>

#include <curl/curl.h>

#define PEM_BYTES_MAX ((size_t)1 << 20)

/* A text is NULL where there is none. */
struct certificates {
    struct tracez_text trusted;
    struct tracez_text certificate;
    struct tracez_text key;
};

/* Copies config's texts, and reads its files where it has no text. Errors: INVALID, NO_MEMORY.
 * deinit accepts zero. */
enum tracez_result certificates_init(struct certificates *certificates,
                                     const struct tracez_exporter_config *config,
                                     struct tracez_error *error);
void certificates_deinit(struct certificates *certificates);

/* Has libcurl load them, as if for a connection. Errors: INVALID, NO_MEMORY, SYSTEM. */
enum tracez_result certificates_check(const struct certificates *certificates,
                                      struct tracez_error *error);

/* Their texts stay borrowed while the handle lives. */
CURLcode certificates_apply(const struct certificates *certificates, bool verify, CURL *easy);

#endif
