#include "ops/backend.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The faults below are the test's business, not the sanitizer's. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "handle_segv=0:detect_leaks=1";
}

static ae_backend strict(void) {
    ae_backend be;
    cr_assert_eq(ae_backend_strict(&be, &(ae_backend_options){.threads = 1}), AE_OK, "%s",
                 ae_error_message());
    return be;
}

static float *floats(const ae_backend *be, size_t n) {
    void *p = NULL;
    cr_assert_eq(be->alloc(be, &p, n * sizeof(float)), AE_OK, "%s", ae_error_message());
    return p;
}

Test(strict, a_read_by_the_host_faults, .signal = SIGSEGV) {
    ae_backend be = strict();
    const volatile float *p = floats(&be, 16);
    const float x = p[3];
    (void)x;
}

Test(strict, a_write_by_the_host_faults, .signal = SIGSEGV) {
    ae_backend be = strict();
    volatile float *p = floats(&be, 16);
    p[0] = 1;
}

Test(strict, memory_is_closed_again_after_a_row, .signal = SIGSEGV) {
    ae_backend be = strict();
    float *p = floats(&be, 16);
    be.zero(&be, p, 16 * sizeof *p);
    be.sum_squares(&be, (ae_f64 *)p, (const ae_f32 *)p, 16);
    const float x = *(volatile float *)p;
    (void)x;
}

Test(strict, fresh_memory_is_nan) {
    ae_backend be = strict();
    float host[1000];
    for (int turn = 0; turn < 3; turn++) {
        float *p = floats(&be, 1000);
        cr_assert_eq((uintptr_t)p % 64, 0);
        memset(host, 0, sizeof host);
        be.download(&be, host, p, sizeof host);
        for (int i = 0; i < 1000; i++) cr_assert(isnan(host[i]));
        be.zero(&be, p, sizeof host);
        be.release(&be, p, sizeof host);
    }
    be.release(&be, NULL, 5);
    ae_backend_free(&be);
}

Test(strict, bytes_travel) {
    ae_backend be = strict();
    const float sent[] = {1, -2, 3.5f, 4, 5};
    float *a = floats(&be, 5), *b = floats(&be, 5), got[5];
    be.upload(&be, a, sent, sizeof sent);
    be.copy(&be, b, a, sizeof sent);
    be.zero(&be, a + 1, 2 * sizeof *a);
    be.download(&be, got, b, sizeof got);
    for (int i = 0; i < 5; i++) cr_assert(got[i] == sent[i]);
    be.download(&be, got, a, sizeof got);
    cr_assert(got[0] == 1 && got[1] == 0 && got[2] == 0 && got[3] == 4);
    be.release(&be, a, sizeof sent);
    be.release(&be, b, sizeof sent);
    ae_backend_free(&be);
}

/* Pieces of many sizes, held and given back in a random order, never share a byte. */
Test(strict, allocations_never_overlap) {
    ae_backend be = strict();
    enum { PIECES = 40 };
    struct {
        unsigned char *p;
        size_t bytes;
    } piece[PIECES] = {{NULL, 0}};
    unsigned seed = 7;
    for (int turn = 0; turn < 800; turn++) {
        const int i = rand_r(&seed) % PIECES;
        if (piece[i].p) {
            unsigned char *host = malloc(piece[i].bytes);
            be.download(&be, host, piece[i].p, piece[i].bytes);
            for (size_t j = 0; j < piece[i].bytes; j++)
                if (host[j] != i) cr_assert_fail("byte %zu of piece %d is %d", j, i, host[j]);
            free(host);
            be.release(&be, piece[i].p, piece[i].bytes);
            piece[i].p = NULL;
            continue;
        }
        piece[i].bytes = 1 + (size_t)rand_r(&seed) % 9000;
        void *p = NULL;
        cr_assert_eq(be.alloc(&be, &p, piece[i].bytes), AE_OK);
        piece[i].p = p;
        unsigned char *host = malloc(piece[i].bytes);
        memset(host, i, piece[i].bytes);
        be.upload(&be, p, host, piece[i].bytes);
        free(host);
    }
    ae_backend_free(&be);
}

/* What a second thread downloads, as a checkpoint is saved while training goes on. */
enum { SAVED = 5000, SAVES = 3000 };
typedef struct {
    const ae_backend *be;
    const float *values;
    int wrong;
} save;

static void *download_often(void *of) {
    save *s = of;
    float host[SAVED];
    for (int turn = 0; turn < SAVES; turn++) {
        memset(host, 0, sizeof host);
        s->be->download(s->be, host, s->values, sizeof host);
        for (int i = 0; i < SAVED; i++) s->wrong += host[i] != (float)i;
    }
    return NULL;
}

Test(strict, a_second_thread_downloads_during_rows, .timeout = 120) {
    ae_backend be = strict();
    float host[SAVED], *values = floats(&be, SAVED), *sums = floats(&be, SAVED);
    save s = {.be = &be, .values = values};
    pthread_t thread;
    for (int i = 0; i < SAVED; i++) host[i] = (float)i;
    be.upload(&be, values, host, sizeof host);
    cr_assert_eq(pthread_create(&thread, NULL, download_often, &s), 0);
    for (int turn = 0; turn < SAVES; turn++) {
        float *brief = floats(&be, SAVED);
        be.zero(&be, sums, sizeof host);
        be.sum_squares(&be, (ae_f64 *)sums, (const ae_f32 *)values, SAVED);
        be.release(&be, brief, sizeof host);
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(s.wrong, 0);
    be.release(&be, values, sizeof host);
    be.release(&be, sums, sizeof host);
    ae_backend_free(&be);
}

/* After a row and a download at the same time the memory is closed. */
Test(strict, memory_is_closed_after_two_threads, .signal = SIGSEGV) {
    ae_backend be = strict();
    float host[SAVED] = {0}, *values = floats(&be, SAVED), *sum = floats(&be, 2);
    save s = {.be = &be, .values = values};
    pthread_t thread;
    be.upload(&be, values, host, sizeof host);
    if (pthread_create(&thread, NULL, download_often, &s) != 0) return;
    for (int turn = 0; turn < SAVES; turn++) be.sum_squares(&be, (ae_f64 *)sum, (const ae_f32 *)values, 2);
    if (pthread_join(thread, NULL) != 0) return;
    const float x = *(volatile float *)values;
    (void)x;
}

Test(strict, what_does_not_fit_is_refused_and_given_back_memory_serves_again) {
    ae_backend be = strict();
    void *p = NULL, *q = NULL;
    cr_assert_eq(be.alloc(&be, &p, SIZE_MAX), AE_ERR_RESOURCE);
    cr_assert_eq(be.alloc(&be, &p, (size_t)1 << 40), AE_ERR_RESOURCE);
    cr_assert_null(p);
    cr_assert(strlen(ae_error_message()) > 0);
    for (int turn = 0; turn < 50; turn++) {
        cr_assert_eq(be.alloc(&be, &p, (size_t)3 << 20), AE_OK);
        cr_assert_eq(be.alloc(&be, &q, 100), AE_OK);
        be.release(&be, p, (size_t)3 << 20);
        be.release(&be, q, 100);
    }
    ae_backend_free(&be);
}

Test(strict, names_itself_and_keeps_the_kernels) {
    ae_backend be = strict();
    ae_backend cpu;
    cr_assert_eq(ae_backend_cpu(&cpu, &(ae_backend_options){.threads = 1}), AE_OK);
    cr_assert_str_eq(be.name, "strict");
    cr_assert_str_eq(be.kernels, cpu.kernels);
    ae_backend_free(&be);
    ae_backend_free(&cpu);
}

/* Every pointer of the table is set. */
static void expect_full(const ae_backend *be) {
    enum { ROWS = (sizeof *be - offsetof(ae_backend, alloc)) / sizeof(void *) };
    void *rows[ROWS];
    memcpy(rows, (const char *)be + offsetof(ae_backend, alloc), sizeof rows);
    for (size_t i = 0; i < ROWS; i++)
        cr_assert_not_null(rows[i], "row %zu of backend %s is missing", i, be->name);
}

Test(strict, every_row_is_there) {
    ae_backend be = strict();
    expect_full(&be);
    ae_backend_free(&be);
    cr_assert_eq(ae_backend_cpu(&be, &(ae_backend_options){.threads = 1}), AE_OK);
    expect_full(&be);
    ae_backend_free(&be);
}
