/* SPDX-License-Identifier: MIT
 *
 * Goal: what is compressed reads back as it was, whatever it is and in whatever order, takes no
 * more room than zlib's bound, and without memory there is nothing rather than half of it.
 * Method: zlib's own reader, texts of all sizes about the edges of buffers, and allocations that
 * fail in turn. */
#include "gzip.h"

#include "spans.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX 200000

/* ---- The allocator --------------------------------------------------------------------------- */

static int calls_until_failure = -1; /* -1: none fails */

/* The linker's names. */
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

void *__wrap_realloc(void *memory, size_t bytes)
{
    if (calls_until_failure >= 0 && calls_until_failure-- == 0) {
        return NULL;
    }
    return __real_realloc(memory, bytes);
}

/* ---- Helpers --------------------------------------------------------------------------------- */

static void assert_reads_back(const struct gzip_body *body, struct tracez_text text)
{
    char *read = malloc(text.bytes + 1);
    z_stream stream = {.next_in = (unsigned char *)body->text,
                       .avail_in = (unsigned)body->bytes,
                       .next_out = (unsigned char *)read,
                       .avail_out = (unsigned)text.bytes + 1};

    ck_assert_int_eq(inflateInit2(&stream, 15 + 16), Z_OK);
    ck_assert_int_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
    ck_assert_uint_eq(stream.total_out, text.bytes);
    ck_assert_uint_eq(stream.avail_in, 0);
    ck_assert_mem_eq(read, text.text, text.bytes);
    inflateEnd(&stream);
    free(read);
}

/* Noise does not get smaller: every byte from a generator. */
static void fill_with_noise(char *text, size_t bytes)
{
    uint32_t random = 1;

    for (size_t i = 0; i < bytes; i++) {
        random = random * 1664525 + 1013904223;
        text[i] = (char)(random >> 24);
    }
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 32768, 65536, TEXT_BYTES_MAX};

START_TEST(what_is_compressed_reads_back_as_it_was)
{
    struct gzip gzip = {0};
    struct gzip_body body = {0};
    static char noise[TEXT_BYTES_MAX];
    static char alike[TEXT_BYTES_MAX];
    fill_with_noise(noise, sizeof(noise));
    memset(alike, 'x', sizeof(alike));

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct tracez_text texts[] = {{noise, sizes[i]}, {alike, sizes[i]}};
        for (size_t k = 0; k < 2; k++) {
            ck_assert(gzip_compress(&gzip, texts[k], &body));

            assert_reads_back(&body, texts[k]);
            ck_assert_uint_le(body.bytes, compressBound(texts[k].bytes) + 12); /* gzip's header */
        }
    }
    gzip_body_deinit(&body);
    gzip_deinit(&gzip);
}
END_TEST

START_TEST(what_is_alike_takes_no_more_room_than_it_needs)
{
    struct gzip gzip = {0};
    struct gzip_body body = {0};
    static char alike[TEXT_BYTES_MAX];

    ck_assert(gzip_compress(&gzip, (struct tracez_text){alike, sizeof(alike)}, &body));

    ck_assert_uint_lt(body.bytes, sizeof(alike) / 100);
    ck_assert_uint_lt(body.capacity, sizeof(alike) / 4);
    gzip_body_deinit(&body);
    gzip_deinit(&gzip);
}
END_TEST

START_TEST(without_memory_there_is_nothing_and_later_everything)
{
    struct gzip gzip = {0};
    struct gzip_body body = {0};
    static char noise[TEXT_BYTES_MAX];
    const struct tracez_text text = {noise, sizeof(noise)};
    int failures = 0;
    fill_with_noise(noise, sizeof(noise));

    for (;; failures++) {
        calls_until_failure = failures;
        if (gzip_compress(&gzip, text, &body)) {
            break;
        }
        ck_assert_uint_eq(body.bytes, 0);
        gzip_body_deinit(&body);
    }
    calls_until_failure = -1;

    ck_assert_int_gt(failures, 1); /* it grew on its way */
    assert_reads_back(&body, text);
    gzip_body_deinit(&body);
    gzip_deinit(&gzip);
    gzip_deinit(&gzip); /* harmless */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gzip");
    TCase *bodies = case_of(suite, "bodies");

    tcase_add_test(bodies, what_is_compressed_reads_back_as_it_was);
    tcase_add_test(bodies, what_is_alike_takes_no_more_room_than_it_needs);
    tcase_add_test(bodies, without_memory_there_is_nothing_and_later_everything);
    return run_suite(suite);
}
