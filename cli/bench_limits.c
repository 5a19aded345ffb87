#include "cli/bench_products.h"
#include "cli/bench_rates.h"

#include <math.h>

enum { SGEMM_ROUNDS = 11, READ_BYTES_SHIFT = 30 };

ae_status ae_bench_sgemm_add(ae_bench_sgemm *s, ptrdiff_t rounds) {
    ae_status st = AE_OK;
    rounds = ae_min(rounds, AE_BENCH_SGEMM_ROUNDS - s->rounds);
    for (int library = 0; st == AE_OK && library < 2; library++)
        st = ae_measure_sgemm((ae_sgemm_library)library, AE_BENCH_SGEMM_SIZE, rounds,
                              s->seconds[library] + s->rounds);
    s->rounds += rounds;
    return st;
}

void ae_bench_sgemm_tell(ae_bench *b, ae_bench_sgemm *s, double *openblas, double *onednn) {
    const double n = AE_BENCH_SGEMM_SIZE, flops = 2 * n * n * n;
    *openblas = flops / ae_median(s->seconds[AE_SGEMM_OPENBLAS], s->rounds);
    *onednn = flops / ae_median(s->seconds[AE_SGEMM_ONEDNN], s->rounds);
    ae_bench_say(b, "sgemm %d OpenBLAS %.0f GFLOP/s, oneDNN %.0f GFLOP/s", AE_BENCH_SGEMM_SIZE,
                 *openblas / 1e9, *onednn / 1e9);
    ae_bench_put(b, "limits.sgemm_openblas_gflops", *openblas / 1e9);
    ae_bench_put(b, "limits.sgemm_onednn_gflops", *onednn / 1e9);
}

double ae_bench_peak(ae_bench *b) {
    const double peak = ae_measure_peak_f32_flops();
    ae_bench_say(b, "peak       %.0f GFLOP/s of float32 multiply-adds", peak / 1e9);
    ae_bench_put(b, "limits.fma_gflops", peak / 1e9);
    return peak;
}

static ae_status no_room(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "bench: expected 1 GB of memory to measure with, found less");
}

ae_status ae_bench_read_bandwidth(ae_bench *b, double before, double *rate) {
    *rate = fmax(ae_measure_read_bandwidth((size_t)1 << READ_BYTES_SHIFT), before);
    if (*rate <= 0) return no_room();
    ae_bench_say(b, "memory     %.1f GB/s read at 1024 MB", *rate / 1e9);
    ae_bench_put(b, "limits.read_gbs", *rate / 1e9);
    return AE_OK;
}

static void tell_bf16(ae_bench *b) {
    const double dots = ae_measure_bf16_dot_flops(), tiles = ae_measure_bf16_tile_flops();
    const double product = ae_bench_bf16_product();
    if (dots > 0) {
        ae_bench_say(b, "bf16       %.0f GFLOP/s of AVX512-BF16 dot products", dots / 1e9);
        ae_bench_put(b, "limits.bf16_dot_gflops", dots / 1e9);
    }
    if (tiles > 0) {
        ae_bench_say(b, "           %.0f GFLOP/s of AMX tiles", tiles / 1e9);
        ae_bench_put(b, "limits.bf16_tile_gflops", tiles / 1e9);
    }
    if (product > 0) {
        ae_bench_say(b, "bf16 %d  oneDNN %.0f GFLOP/s", AE_BENCH_SGEMM_SIZE, product / 1e9);
        ae_bench_put(b, "limits.bf16_onednn_gflops", product / 1e9);
    }
    if (dots <= 0 && tiles <= 0) ae_bench_say(b, "bf16       no instructions for it on this machine");
}

ae_status ae_bench_limits(ae_bench *b) {
    ae_bench_sgemm sgemm = {0};
    ae_bench_rates rates = {0};
    double openblas, onednn;
    const ae_status st = ae_bench_sgemm_add(&sgemm, SGEMM_ROUNDS);
    if (st != AE_OK) return st;
    ae_bench_peak(b);
    ae_bench_sgemm_tell(b, &sgemm, &openblas, &onednn);
    tell_bf16(b);
    ae_bench_rates_measure(&rates, ae_bench_sizes[AE_BENCH_SIZES - 1]);
    ae_bench_rates_tell_memory(b, &rates);
    ae_bench_rates_tell_functions(b, &rates);
    if (rates.update[AE_BENCH_SIZES - 1] <= 0) return no_room();
    ae_bench_put(b, "limits.read_gbs", rates.read[AE_BENCH_SIZES - 1] / 1e9);
    ae_bench_put(b, "limits.update_gbs", rates.update[AE_BENCH_SIZES - 1] / 1e9);
    return AE_OK;
}
