/* SPDX-License-Identifier: MIT
 *
 * Reading options by a table of what follows each of them (microhttpd.h, enum MHD_OPTION). An
 * option newer than the table is refused: nobody can tell what to read behind it. */
#include "options.h"

#define ARRAYS_DEEP_MAX 8

enum follow {
    FOLLOW_UNKNOWN,
    FOLLOW_UNSIGNED,
    FOLLOW_INT,
    FOLLOW_SIZE,
    FOLLOW_POINTER,
    FOLLOW_TWO_POINTERS,
    FOLLOW_SIZE_AND_POINTER
};

static const unsigned char followed_by[] = {
    [MHD_OPTION_CONNECTION_MEMORY_LIMIT] = FOLLOW_SIZE,
    [MHD_OPTION_CONNECTION_LIMIT] = FOLLOW_UNSIGNED,
    [MHD_OPTION_CONNECTION_TIMEOUT] = FOLLOW_UNSIGNED,
    [MHD_OPTION_NOTIFY_COMPLETED] = FOLLOW_TWO_POINTERS,
    [MHD_OPTION_PER_IP_CONNECTION_LIMIT] = FOLLOW_UNSIGNED,
    [MHD_OPTION_SOCK_ADDR] = FOLLOW_POINTER,
    [MHD_OPTION_URI_LOG_CALLBACK] = FOLLOW_TWO_POINTERS,
    [MHD_OPTION_HTTPS_MEM_KEY] = FOLLOW_POINTER,
    [MHD_OPTION_HTTPS_MEM_CERT] = FOLLOW_POINTER,
    [MHD_OPTION_HTTPS_CRED_TYPE] = FOLLOW_INT,
    [MHD_OPTION_HTTPS_PRIORITIES] = FOLLOW_POINTER,
    [MHD_OPTION_LISTEN_SOCKET] = FOLLOW_INT,
    [MHD_OPTION_EXTERNAL_LOGGER] = FOLLOW_TWO_POINTERS,
    [MHD_OPTION_THREAD_POOL_SIZE] = FOLLOW_UNSIGNED,
    [MHD_OPTION_ARRAY] = FOLLOW_POINTER,
    [MHD_OPTION_UNESCAPE_CALLBACK] = FOLLOW_TWO_POINTERS,
    [MHD_OPTION_DIGEST_AUTH_RANDOM] = FOLLOW_SIZE_AND_POINTER,
    [MHD_OPTION_NONCE_NC_SIZE] = FOLLOW_UNSIGNED,
    [MHD_OPTION_THREAD_STACK_SIZE] = FOLLOW_SIZE,
    [MHD_OPTION_HTTPS_MEM_TRUST] = FOLLOW_POINTER,
    [MHD_OPTION_CONNECTION_MEMORY_INCREMENT] = FOLLOW_SIZE,
    [MHD_OPTION_HTTPS_CERT_CALLBACK] = FOLLOW_POINTER,
    [MHD_OPTION_TCP_FASTOPEN_QUEUE_SIZE] = FOLLOW_UNSIGNED,
    [MHD_OPTION_HTTPS_MEM_DHPARAMS] = FOLLOW_POINTER,
    [MHD_OPTION_LISTENING_ADDRESS_REUSE] = FOLLOW_UNSIGNED,
    [MHD_OPTION_HTTPS_KEY_PASSWORD] = FOLLOW_POINTER,
    [MHD_OPTION_NOTIFY_CONNECTION] = FOLLOW_TWO_POINTERS,
    [MHD_OPTION_LISTEN_BACKLOG_SIZE] = FOLLOW_UNSIGNED,
    [MHD_OPTION_STRICT_FOR_CLIENT] = FOLLOW_INT,
    [MHD_OPTION_GNUTLS_PSK_CRED_HANDLER] = FOLLOW_TWO_POINTERS,
    [MHD_OPTION_HTTPS_CERT_CALLBACK2] = FOLLOW_POINTER,
    [MHD_OPTION_SERVER_INSANITY] = FOLLOW_UNSIGNED,
    [MHD_OPTION_SIGPIPE_HANDLED_BY_APP] = FOLLOW_INT,
    [MHD_OPTION_TLS_NO_ALPN] = FOLLOW_INT,
};

static enum tracez_result add_one(struct options *options, struct callbacks *callbacks,
                                  const struct MHD_OptionItem *item, struct tracez_error *error)
{
    if (item->option == MHD_OPTION_NOTIFY_COMPLETED) {
        callbacks->completed = (MHD_RequestCompletedCallback)item->value;
        callbacks->completed_state = item->ptr_value;
        return TRACEZ_OK;
    }
    if (item->option == MHD_OPTION_URI_LOG_CALLBACK) {
        callbacks->uri_log = (tracez_mhd_uri_log_fn)item->value;
        callbacks->uri_log_state = item->ptr_value;
        return TRACEZ_OK;
    }
    if (item->option == MHD_OPTION_CONNECTION_LIMIT) {
        options->connection_limit = (unsigned)item->value;
    }
    if (options->count == OPTIONS_MAX) {
        return tracez_error_fill(error, TRACEZ_INVALID, "options rejected: up to %d", OPTIONS_MAX);
    }
    options->items[options->count++] = *item;
    return TRACEZ_OK;
}

/* An item, or all those of the array that it is; arrays may stand in arrays. */
static enum tracez_result add(struct options *options, struct callbacks *callbacks,
                              const struct MHD_OptionItem *item, struct tracez_error *error)
{
    const struct MHD_OptionItem just_it[] = {*item, {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem *next[1 + ARRAYS_DEEP_MAX] = {just_it};
    enum tracez_result result = TRACEZ_OK;
    int depth = 0;

    while (depth >= 0 && result == TRACEZ_OK) {
        const struct MHD_OptionItem *one = next[depth];

        if (one->option == MHD_OPTION_END) {
            depth--;
            continue;
        }
        next[depth]++;
        if (one->option != MHD_OPTION_ARRAY) {
            result = add_one(options, callbacks, one, error);
        } else if (one->ptr_value != NULL && depth < ARRAYS_DEEP_MAX) {
            next[++depth] = one->ptr_value;
        } else {
            result = tracez_error_fill(error, TRACEZ_INVALID,
                                       "MHD_OPTION_ARRAY rejected: NULL, or over %d deep",
                                       ARRAYS_DEEP_MAX);
        }
    }
    return result;
}

static enum follow follow_of(int option)
{
    bool is_known = option >= 0 && (size_t)option < sizeof(followed_by) / sizeof(followed_by[0]);

    return is_known ? (enum follow)followed_by[option] : FOLLOW_UNKNOWN;
}

enum tracez_result options_read(struct options *options, struct callbacks *callbacks,
                                va_list arguments, struct tracez_error *error)
{
    enum tracez_result result = TRACEZ_OK;
    int option;

    options->count = 0;
    options->connection_limit = 0;
    while (result == TRACEZ_OK && (option = va_arg(arguments, int)) != MHD_OPTION_END) {
        struct MHD_OptionItem item = {.option = (enum MHD_OPTION)option};

        switch (follow_of(option)) {
        case FOLLOW_UNKNOWN:
            return tracez_error_fill(error, TRACEZ_INVALID,
                                     "MHD_OPTION %d rejected: this version of tracez does not know "
                                     "it; start the daemon by hand, with tracez_mhd_options",
                                     option);
        case FOLLOW_UNSIGNED:
            item.value = (intptr_t)va_arg(arguments, unsigned);
            break;
        case FOLLOW_SIZE_AND_POINTER:
            item.value = (intptr_t)va_arg(arguments, size_t);
            item.ptr_value = va_arg(arguments, void *);
            break;
        case FOLLOW_INT:
            item.value = va_arg(arguments, int);
            break;
        case FOLLOW_SIZE:
            item.value = (intptr_t)va_arg(arguments, size_t);
            break;
        case FOLLOW_POINTER:
            item.ptr_value = va_arg(arguments, void *);
            break;
        case FOLLOW_TWO_POINTERS:
            item.value = (intptr_t)va_arg(arguments, void *);
            item.ptr_value = va_arg(arguments, void *);
            break;
        }
        result = add(options, callbacks, &item, error);
    }
    options->items[options->count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return result;
}
