/* SPDX-License-Identifier: MIT
 *
 * Reading certificates and keys, and trying them; see certificates.h. No text of a key gets into a
 * message: what is wrong is said in our words or in libcurl's, which quote nothing.
 *
 * Whether a key fits its certificate only a TLS library can tell, and which one libcurl has is its
 * own affair. So libcurl is given a socket to connect to behind which nobody has anything to say:
 * it loads everything, or says what it can't, greets, and finds that nobody answers. It does so on
 * a thread that is gone afterwards: OpenSSL keeps what went wrong for whoever asks next on the same
 * thread, and that would be the host's own TLS. No network, and no file. */
#include "certificates.h"

#include "refusal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CERTIFICATE_MARK "CERTIFICATE-----"
#define KEY_MARK "PRIVATE KEY-----"
#define PATH_SHOWN_BYTES 120
#define NAME_BYTES 32
#define TURNS_MAX 100 /* of which libcurl needs three or four */
#define TURN_MS 10

/* ---- Texts and files ------------------------------------------------------------------------- */

void tracez_exporter_free_pem(struct tracez_text *pem)
{
    char *text = (char *)(uintptr_t)pem->text; /* it was allocated here */

    if (text != NULL) {
        explicit_bzero(text, pem->bytes);
    }
    free(text);
    *pem = (struct tracez_text){NULL, 0};
}

static ssize_t read_whole(int fd, char *text, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t count = read(fd, text + done, bytes - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? count : (ssize_t)done;
        }
        done += (size_t)count;
    }
    return (ssize_t)done;
}

static enum tracez_result refuse_file(struct tracez_error *error, const char *path, const char *why)
{
    return refuse(error, TRACEZ_INVALID, "file \"%.*s\" rejected: %s", PATH_SHOWN_BYTES, path, why);
}

static enum tracez_result read_file(int fd, const char *path, struct tracez_text *pem,
                                    struct tracez_error *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return refuse_file(error, path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        return refuse_file(error, path, "not a regular file");
    }
    if ((uint64_t)status.st_size > PEM_BYTES_MAX) {
        return refuse_file(error, path, "over 1 MiB");
    }
    size_t bytes = (size_t)status.st_size;
    char *text = malloc(bytes + 1);
    if (text == NULL) {
        return refuse(error, TRACEZ_NO_MEMORY, "file: no memory");
    }
    ssize_t count = read_whole(fd, text, bytes);
    *pem = (struct tracez_text){text, bytes};
    if (count < 0 || (size_t)count < bytes) {
        const char *why = count < 0 ? strerror(errno) : "it became shorter while it was read";
        tracez_exporter_free_pem(pem);
        return refuse_file(error, path, why);
    }
    return TRACEZ_OK;
}

enum tracez_result tracez_exporter_read_pem(const char *path, struct tracez_text *pem,
                                            struct tracez_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would keep us waiting */

    *pem = (struct tracez_text){NULL, 0};
    if (fd < 0) {
        return refuse_file(error, path, strerror(errno));
    }
    enum tracez_result result = read_file(fd, path, pem, error);
    close(fd);
    return result;
}

/* A text has precedence over a file. */
static enum tracez_result take(struct tracez_text *pem, struct tracez_text text, const char *file,
                               struct tracez_error *error)
{
    if (text.text == NULL) {
        return file != NULL ? tracez_exporter_read_pem(file, pem, error) : TRACEZ_OK;
    }
    if (text.bytes > PEM_BYTES_MAX) {
        return refuse(error, TRACEZ_INVALID, "certificate rejected: over 1 MiB");
    }
    char *copy = malloc(text.bytes + 1);
    if (copy == NULL) {
        return refuse(error, TRACEZ_NO_MEMORY, "certificate: no memory");
    }
    memcpy(copy, text.text, text.bytes);
    pem->text = copy;
    pem->bytes = text.bytes;
    return TRACEZ_OK;
}

enum tracez_result certificates_init(struct certificates *certificates,
                                     const struct tracez_exporter_config *config,
                                     struct tracez_error *error)
{
    enum tracez_result result;

    *certificates = (struct certificates){0};
    if ((result = take(&certificates->trusted, config->trusted_certificate,
                       config->trusted_certificate_file, error)) != TRACEZ_OK ||
        (result = take(&certificates->certificate, config->certificate, config->certificate_file,
                       error)) != TRACEZ_OK ||
        (result = take(&certificates->key, config->certificate_key, config->certificate_key_file,
                       error)) != TRACEZ_OK) {
        certificates_deinit(certificates);
    }
    return result;
}

void certificates_deinit(struct certificates *certificates)
{
    tracez_exporter_free_pem(&certificates->trusted);
    tracez_exporter_free_pem(&certificates->certificate);
    tracez_exporter_free_pem(&certificates->key);
}

/* ---- libcurl --------------------------------------------------------------------------------- */

static CURLcode set_blob(CURL *easy, CURLoption option, struct tracez_text pem)
{
    struct curl_blob blob = {.data = (void *)(uintptr_t)pem.text, /* libcurl only reads it */
                             .len = pem.bytes,
                             .flags = CURL_BLOB_NOCOPY};

    return pem.text == NULL ? CURLE_OK : curl_easy_setopt(easy, option, &blob);
}

/* The configuration's authorities take the place of the system's: libcurl would trust both. A proxy
 * that speaks TLS is verified as the backend is. */
static CURLcode set_trusted(CURL *easy, struct tracez_text pem)
{
    CURLcode code = CURLE_OK;

    if (pem.text != NULL) {
        code = set_blob(easy, CURLOPT_CAINFO_BLOB, pem);
        code = code != CURLE_OK ? code : set_blob(easy, CURLOPT_PROXY_CAINFO_BLOB, pem);
        code = code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
        code = code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    }
    return code;
}

static CURLcode set_verify(CURL *easy, bool verify)
{
    const CURLoption switches[] = {CURLOPT_SSL_VERIFYPEER, CURLOPT_PROXY_SSL_VERIFYPEER};
    const CURLoption hosts[] = {CURLOPT_SSL_VERIFYHOST, CURLOPT_PROXY_SSL_VERIFYHOST};
    CURLcode code = CURLE_OK;

    for (size_t i = 0; i < 2 && code == CURLE_OK; i++) {
        code = curl_easy_setopt(easy, switches[i], verify ? 1L : 0L);
        code = code != CURLE_OK ? code : curl_easy_setopt(easy, hosts[i], verify ? 2L : 0L);
    }
    return code;
}

CURLcode certificates_apply(const struct certificates *certificates, bool verify, CURL *easy)
{
    CURLcode code = set_verify(easy, verify);

    code = code != CURLE_OK ? code : set_trusted(easy, certificates->trusted);
    code =
        code != CURLE_OK ? code : set_blob(easy, CURLOPT_SSLCERT_BLOB, certificates->certificate);
    code = code != CURLE_OK ? code : set_blob(easy, CURLOPT_SSLKEY_BLOB, certificates->key);
    /* Without a password OpenSSL would ask the terminal for one. */
    return code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
}

/* ---- Trying ---------------------------------------------------------------------------------- */

static bool holds(struct tracez_text pem, const char *mark)
{
    return memmem(pem.text, pem.bytes, mark, strlen(mark)) != NULL;
}

/* The mistakes that people make, for the sake of a good answer. */
static enum tracez_result look_at(const struct certificates *certificates,
                                  struct tracez_error *error)
{
    bool has_certificate = certificates->certificate.text != NULL;
    bool has_key = certificates->key.text != NULL;

    if (certificates->trusted.text != NULL && !holds(certificates->trusted, CERTIFICATE_MARK)) {
        return refuse(error, TRACEZ_INVALID,
                      "trusted_certificate rejected: no certificate in it (PEM is needed)");
    }
    if (has_certificate && !holds(certificates->certificate, CERTIFICATE_MARK)) {
        return refuse(error, TRACEZ_INVALID,
                      "certificate rejected: no certificate in it (PEM is needed)");
    }
    if (has_key && !holds(certificates->key, KEY_MARK)) {
        return refuse(error, TRACEZ_INVALID,
                      "certificate_key rejected: no private key in it (PEM is needed)");
    }
    if (has_key && holds(certificates->key, "ENCRYPTED")) {
        return refuse(error, TRACEZ_INVALID,
                      "certificate_key rejected: it is encrypted, and there is nobody to ask for "
                      "its password");
    }
    if (has_certificate != has_key) {
        return refuse(error, TRACEZ_INVALID, "%s rejected: it needs a %s",
                      has_key ? "certificate_key" : "certificate",
                      has_key ? "certificate" : "certificate_key");
    }
    return TRACEZ_OK;
}

/* A socket that libcurl may connect to, by a name in name that the kernel made up; -1: none. */
static int listen_nowhere(char name[NAME_BYTES])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t bytes = sizeof(address.sun_family);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0 && listen(fd, 1) == 0) {
        bytes = sizeof(address);
        if (getsockname(fd, (struct sockaddr *)&address, &bytes) == 0) {
            /* A NUL, and five digits without one. */
            snprintf(name, NAME_BYTES, "%.*s", (int)(bytes - sizeof(address.sun_family) - 1),
                     address.sun_path + 1);
            return fd;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* Until libcurl has given up, for one reason or the other. Who takes the call hangs up, but goes on
 * listening: nothing is written to a closed end. */
static CURLcode greet_nobody(CURLM *multi, CURL *easy, int listener)
{
    CURLcode code = CURLE_OPERATION_TIMEDOUT;
    int peer = -1;
    int running = 1;
    int left;

    for (int turn = 0; turn < TURNS_MAX && running > 0; turn++) {
        if (curl_multi_perform(multi, &running) != CURLM_OK || running == 0) {
            break;
        }
        if (peer < 0 && (peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
            shutdown(peer, SHUT_WR);
        }
        curl_multi_poll(multi, NULL, 0, TURN_MS, NULL);
    }
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    if (message != NULL) {
        code = message->data.result;
    }
    curl_multi_remove_handle(multi, easy); /* which closes the connection, if it is open yet */
    if (peer >= 0) {
        close(peer);
    }
    return code;
}

static CURLcode call(CURLM *multi, CURL *easy, const struct certificates *certificates,
                     int listener, const char *name)
{
    CURLcode code = certificates_apply(certificates, true, easy);

    if (code != CURLE_OK) {
        return code;
    }
    if (curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_URL, "https://127.0.0.1") != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, name) != CURLE_OK ||
        curl_multi_add_handle(multi, easy) != CURLM_OK) {
        return CURLE_OUT_OF_MEMORY;
    }
    return greet_nobody(multi, easy, listener);
}

static enum tracez_result judge(CURLcode code, struct tracez_error *error)
{
    switch (code) {
    case CURLE_SSL_CONNECT_ERROR: /* nobody answered: all was loaded */
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        return TRACEZ_OK;
    case CURLE_SSL_CACERT_BADFILE:
        return refuse(error, TRACEZ_INVALID,
                      "trusted_certificate rejected: no certificate in it can be read");
    case CURLE_SSL_CERTPROBLEM:
        return refuse(error, TRACEZ_INVALID,
                      "certificate_key rejected: it does not fit the certificate, or one of the "
                      "two can't be read");
    case CURLE_OUT_OF_MEMORY:
        return refuse(error, TRACEZ_NO_MEMORY, "certificates: no memory");
    default:
        return refuse(error, TRACEZ_SYSTEM, "certificates: this libcurl can't use them: %s",
                      curl_easy_strerror(code));
    }
}

/* One try: what goes in, and what came out. */
struct trial {
    const struct certificates *certificates;
    struct tracez_error *error;
    enum tracez_result result;
};

static void *try_out(void *state)
{
    struct trial *trial = state;
    char name[NAME_BYTES];
    int listener = listen_nowhere(name);

    if (listener < 0) {
        trial->result =
            refuse(trial->error, TRACEZ_SYSTEM, "certificates: no socket: %s", strerror(errno));
        return NULL;
    }
    CURLM *multi = curl_multi_init();
    CURL *easy = curl_easy_init();
    CURLcode code = multi != NULL && easy != NULL
                        ? call(multi, easy, trial->certificates, listener, name)
                        : CURLE_OUT_OF_MEMORY;
    trial->result = judge(code, trial->error);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    close(listener);
    return NULL;
}

/* No signal that is meant for the host is taken there. */
static int run_aside(void *(*run)(void *), void *state)
{
    pthread_t thread;
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&thread, NULL, run, state);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0) {
        pthread_join(thread, NULL);
    }
    return status;
}

enum tracez_result certificates_check(const struct certificates *certificates,
                                      struct tracez_error *error)
{
    struct trial trial = {certificates, error, look_at(certificates, error)};

    if (trial.result != TRACEZ_OK ||
        (certificates->trusted.text == NULL && certificates->certificate.text == NULL)) {
        return trial.result;
    }
    int status = run_aside(try_out, &trial);
    if (status != 0) {
        return refuse(error, TRACEZ_SYSTEM, "certificates: no thread: %s", strerror(status));
    }
    return trial.result;
}
