/* SPDX-License-Identifier: MIT
 *
 * Goal: certificates and keys that TLS could not use are refused at set-up, each with its reason
 * and without a word of a key; those that it could are taken, as texts and as files. Method: real
 * ones, made by the openssl program in a folder of the test's own, then each mistake. */
#include "certificates.h"

#include "spans.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 64

static char folder[] = "/tmp/tracez-certificates-XXXXXX";
static char path_of_ca[PATH_BYTES];
static char path_of_certificate[PATH_BYTES];
static char path_of_key[PATH_BYTES];
static char path_of_other_key[PATH_BYTES];
static char path_of_locked_key[PATH_BYTES];

/* ---- Certificates -------------------------------------------------------------------------- */

/* Outside of tests, where Check has no part. */
static void run(const char *command)
{
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(EXIT_FAILURE);
    }
}

static void make_path(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

#define QUIETLY " 2>/dev/null"
#define MAKE "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test "

/* Before Check forks: all tests have the same. */
static void make_certificates(void)
{
    char command[512];

    if (mkdtemp(folder) == NULL) {
        exit(EXIT_FAILURE);
    }
    make_path(path_of_ca, "ca.pem");
    make_path(path_of_certificate, "certificate.pem");
    make_path(path_of_key, "key.pem");
    make_path(path_of_other_key, "other-key.pem");
    make_path(path_of_locked_key, "locked-key.pem");
    snprintf(command, sizeof(command), MAKE "-keyout %s -out %s" QUIETLY, path_of_other_key,
             path_of_ca);
    run(command);
    snprintf(command, sizeof(command), MAKE "-keyout %s -out %s" QUIETLY, path_of_key,
             path_of_certificate);
    run(command);
    snprintf(command, sizeof(command),
             "openssl pkcs8 -topk8 -in %s -out %s -passout pass:hunter2" QUIETLY, path_of_key,
             path_of_locked_key);
    run(command);
}

static void remove_certificates(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    run(command);
}

/* A file of the test's own; its path lives until the next one. */
static const char *write_file(const char *text, size_t bytes)
{
    static char path[PATH_BYTES];
    FILE *file;

    make_path(path, "file.pem");
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static struct tracez_text read_pem(const char *path)
{
    struct tracez_text pem;
    struct tracez_error error = {0};

    ck_assert_msg(tracez_exporter_read_pem(path, &pem, &error) == TRACEZ_OK, "%s", error.text);
    return pem;
}

/* ---- Helpers ------------------------------------------------------------------------------- */

static struct tracez_exporter_config defaults(void)
{
    struct tracez_exporter_config config;

    tracez_exporter_config_init(&config);
    return config;
}

static void assert_taken(const struct tracez_exporter_config *config)
{
    struct tracez_error error = {0};

    ck_assert_msg(tracez_exporter_check(config, &error) == TRACEZ_OK, "%s", error.text);
}

static void assert_refused(const struct tracez_exporter_config *config, const char *reason)
{
    struct tracez_error error = {0};

    ck_assert_int_eq(tracez_exporter_check(config, &error), TRACEZ_INVALID);
    ck_assert_msg(strstr(error.text, reason) != NULL, "%s", error.text);
    ck_assert_ptr_null(strstr(error.text, "BEGIN"));
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) != -1;
    }
    return count;
}

/* ---- Taken --------------------------------------------------------------------------------- */

START_TEST(good_ones_are_taken_as_files_and_as_texts)
{
    struct tracez_exporter_config config = defaults();
    config.trusted_certificate_file = path_of_ca;
    assert_taken(&config);
    config.certificate_file = path_of_certificate;
    config.certificate_key_file = path_of_key;
    assert_taken(&config);

    config = defaults();
    config.trusted_certificate = read_pem(path_of_ca);
    config.certificate = read_pem(path_of_certificate);
    config.certificate_key = read_pem(path_of_key);
    assert_taken(&config);

    tracez_exporter_free_pem(&config.trusted_certificate);
    tracez_exporter_free_pem(&config.certificate);
    tracez_exporter_free_pem(&config.certificate_key);
    ck_assert_ptr_null(config.certificate_key.text);
    tracez_exporter_free_pem(&config.certificate_key); /* harmless */
}
END_TEST

START_TEST(several_authorities_are_taken_and_words_between_them)
{
    struct tracez_exporter_config config = defaults();
    struct tracez_text ca = read_pem(path_of_ca);
    char text[16384];

    config.trusted_certificate.bytes =
        (size_t)snprintf(text, sizeof(text), "# ours\n%.*s\n# theirs\n%.*s", (int)ca.bytes, ca.text,
                         (int)ca.bytes, ca.text);
    config.trusted_certificate.text = text;

    assert_taken(&config);
    tracez_exporter_free_pem(&ca);
}
END_TEST

START_TEST(a_text_has_precedence_over_a_file)
{
    struct tracez_exporter_config config = defaults();
    config.trusted_certificate = read_pem(path_of_ca);
    config.trusted_certificate_file = "/nowhere";

    assert_taken(&config);

    tracez_exporter_free_pem(&config.trusted_certificate);
}
END_TEST

START_TEST(trying_them_leaves_no_descriptor_open)
{
    struct tracez_exporter_config good = defaults();
    good.trusted_certificate_file = path_of_ca;
    good.certificate_file = path_of_certificate;
    good.certificate_key_file = path_of_key;
    struct tracez_exporter_config bad = good;
    bad.certificate_key_file = path_of_other_key;
    assert_taken(&good); /* what a library opens once, it may keep */
    int before = open_descriptors();

    for (int i = 0; i < 10; i++) {
        assert_taken(&good);
        assert_refused(&bad, "does not fit");
    }

    ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* ---- Refused ------------------------------------------------------------------------------- */

START_TEST(a_key_that_does_not_fit_is_refused)
{
    struct tracez_exporter_config config = defaults();
    config.certificate_file = path_of_certificate;
    config.certificate_key_file = path_of_other_key;

    assert_refused(&config, "certificate_key rejected: it does not fit the certificate");
}
END_TEST

START_TEST(one_of_two_is_refused)
{
    struct tracez_exporter_config config = defaults();
    config.certificate_file = path_of_certificate;
    assert_refused(&config, "certificate rejected: it needs a certificate_key");

    config = defaults();
    config.certificate_key_file = path_of_key;
    assert_refused(&config, "certificate_key rejected: it needs a certificate");
}
END_TEST

START_TEST(a_key_with_a_password_is_refused_and_nobody_is_asked)
{
    struct tracez_exporter_config config = defaults();
    config.certificate_file = path_of_certificate;
    config.certificate_key_file = path_of_locked_key;

    assert_refused(&config, "certificate_key rejected: it is encrypted");
}
END_TEST

START_TEST(one_for_the_other_is_refused)
{
    struct tracez_exporter_config config = defaults();
    config.trusted_certificate_file = path_of_key;
    assert_refused(&config, "trusted_certificate rejected: no certificate in it");

    config = defaults();
    config.certificate_file = path_of_key;
    config.certificate_key_file = path_of_key;
    assert_refused(&config, "certificate rejected: no certificate in it");
    config.certificate_file = path_of_certificate;
    config.certificate_key_file = path_of_certificate;
    assert_refused(&config, "certificate_key rejected: no private key in it");
}
END_TEST

START_TEST(one_that_is_damaged_is_refused)
{
    static const char damaged[] = "-----BEGIN CERTIFICATE-----\nTk8=\n-----END CERTIFICATE-----\n";
    static const char damaged_key[] =
        "-----BEGIN PRIVATE KEY-----\nTk8=\n-----END PRIVATE KEY-----\n";
    struct tracez_exporter_config config = defaults();
    config.trusted_certificate = (struct tracez_text){damaged, sizeof(damaged) - 1};
    assert_refused(&config, "trusted_certificate rejected: no certificate in it can be read");

    config = defaults();
    config.certificate_file = path_of_certificate;
    config.certificate_key = (struct tracez_text){damaged_key, sizeof(damaged_key) - 1};
    assert_refused(&config, "one of the two can't be read");
    config.certificate = (struct tracez_text){damaged, sizeof(damaged) - 1};
    config.certificate_key = (struct tracez_text){NULL, 0};
    config.certificate_key_file = path_of_key;
    assert_refused(&config, "one of the two can't be read");
}
END_TEST

START_TEST(what_is_no_file_of_that_kind_is_refused)
{
    struct tracez_exporter_config config = defaults();
    char path[PATH_BYTES];
    config.trusted_certificate_file = "/nowhere/ca.pem";
    assert_refused(&config, "file \"/nowhere/ca.pem\" rejected: No such file or directory");

    config.trusted_certificate_file = folder;
    assert_refused(&config, "rejected: not a regular file");
    make_path(path, "pipe");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    config.trusted_certificate_file = path;
    assert_refused(&config, "rejected: not a regular file");
    unlink(path);
    config.trusted_certificate_file = write_file("", 0);
    assert_refused(&config, "no certificate in it");
}
END_TEST

START_TEST(a_mebibyte_is_taken_and_one_byte_more_is_not)
{
    static char text[PEM_BYTES_MAX + 1];
    struct tracez_exporter_config config = defaults();
    struct tracez_text ca = read_pem(path_of_ca);
    memset(text, '\n', sizeof(text));
    memcpy(text, ca.text, ca.bytes);

    config.trusted_certificate = (struct tracez_text){text, PEM_BYTES_MAX};
    assert_taken(&config);
    config.trusted_certificate.bytes++;
    assert_refused(&config, "over 1 MiB");
    config.trusted_certificate = (struct tracez_text){NULL, 0};
    config.trusted_certificate_file = write_file(text, PEM_BYTES_MAX);
    assert_taken(&config);
    config.trusted_certificate_file = write_file(text, PEM_BYTES_MAX + 1);
    assert_refused(&config, "over 1 MiB");

    tracez_exporter_free_pem(&ca);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("certificates");
    TCase *taken = case_of(suite, "taken");
    TCase *refused = case_of(suite, "refused");

    tcase_add_test(taken, good_ones_are_taken_as_files_and_as_texts);
    tcase_add_test(taken, several_authorities_are_taken_and_words_between_them);
    tcase_add_test(taken, a_text_has_precedence_over_a_file);
    tcase_add_test(taken, trying_them_leaves_no_descriptor_open);
    tcase_add_test(refused, a_key_that_does_not_fit_is_refused);
    tcase_add_test(refused, one_of_two_is_refused);
    tcase_add_test(refused, a_key_with_a_password_is_refused_and_nobody_is_asked);
    tcase_add_test(refused, one_for_the_other_is_refused);
    tcase_add_test(refused, one_that_is_damaged_is_refused);
    tcase_add_test(refused, what_is_no_file_of_that_kind_is_refused);
    tcase_add_test(refused, a_mebibyte_is_taken_and_one_byte_more_is_not);
    make_certificates();
    int status = run_suite(suite);
    remove_certificates();
    return status;
}
