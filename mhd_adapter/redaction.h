/* SPDX-License-Identifier: MIT
 *
 * What of a query is hidden, by a text of the configuration. */
#ifndef TRACEZ_MHD_REDACTION_H
#define TRACEZ_MHD_REDACTION_H

#include <tracez/http.h>

struct redaction {
    bool whole;
    const struct tracez_text *keys;
    size_t key_count;
    void *memory; /* owned: keys of our own, and their texts behind them */
};

/* text: "all", "off", keys separated by blanks or commas, or NULL for the standard keys. Errors:
 * INVALID (no key; all or off among keys: a mistake must not show what was to be hidden),
 * NO_MEMORY. deinit accepts zero, and what failed. */
enum tracez_result redaction_init(struct redaction *redaction, const char *text,
                                  struct tracez_error *error);
void redaction_deinit(struct redaction *redaction);

#endif
