#include "core/process.h"
#include "ops/backend.h"
#include "ops/cpu/gemm.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Products that are interrupted again and again have the bits of those that are not: kernels of the library
 * use the stack below its pointer (core/process.h). */

enum { M = 192, N = 1536, K = 576, AFTER_US = 50, ROUNDS = 400 };

static volatile sig_atomic_t caught;

static void count(int number) {
    (void)number;
    caught = caught + 1;
}

static atomic_bool done;

static void *send_signals(void *nothing) {
    while (!atomic_load(&done)) {
        kill(getpid(), SIGUSR1);
        usleep(AFTER_US);
    }
    return nothing;
}

static float *random_matrix(ptrdiff_t n) {
    float *x = malloc((size_t)n * sizeof *x);
    uint32_t seed = 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return x;
}

static void multiply(const ae_backend *be, float *c, const float *a, const float *b, bool trans_b) {
    const ae_gemm_args g = {.a = ae_operand(AE_ELEM_F32, a, K, false),
                            .b = ae_operand(AE_ELEM_F32, b, trans_b ? K : N, trans_b),
                            .c = c,
                            .ldc = N,
                            .m = M,
                            .n = N,
                            .k = K,
                            .alpha = 1};
    ae_gemm(be, &g);
}

static void expect_same_bits(bool trans_b) {
    pthread_t sender;
    sigset_t usr1, before;
    ae_backend be;
    cr_assert_eq(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2}), AE_OK);
    float *a = random_matrix(M * K), *b = random_matrix(K * N);
    float *c = calloc(M * N, sizeof *c), *expected = calloc(M * N, sizeof *c);
    multiply(&be, expected, a, b, trans_b);
    cr_assert(expected[0] != 0);
    ae_stop_signals_catch(count, SA_RESTART, NULL);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &before);
    cr_assert_eq(pthread_create(&sender, NULL, send_signals, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        multiply(&be, c, a, b, trans_b);
        cr_assert_eq(memcmp(c, expected, M * N * sizeof *c), 0, "round %d, after %d signals", i, (int)caught);
    }
    atomic_store(&done, true);
    pthread_join(sender, NULL);
    cr_assert_gt(caught, 10);
    ae_backend_free(&be);
    free(a);
    free(b);
    free(c);
    free(expected);
}

Test(signals, products_keep_their_bits) {
    expect_same_bits(false);
}

Test(signals, products_of_a_transposed_factor_keep_their_bits) {
    expect_same_bits(true);
}
