#include "cli/bench_rates.h"

#include "cli/bench_products.h"
#include "core/machine.h"

#include <math.h>

enum { BF16_ROUNDS = 7 };

const double ae_bench_sizes[AE_BENCH_SIZES] = {0x1p20, 0x1p22, 0x1p24, 0x1p26, 0x1p28, 0x1p30};

void ae_bench_rates_measure(ae_bench_rates *r, double largest) {
    for (int i = 0; i < AE_BENCH_SIZES; i++) {
        const size_t bytes = (size_t)ae_bench_sizes[i];
        if (i > 0 && (ae_bench_sizes[i - 1] >= largest || 2 * bytes > ae_memory_available_bytes())) break;
        ae_measure_bandwidth(bytes, &r->read[i], &r->update[i]);
    }
    for (ae_vector_function f = 0; f < AE_FUNCTIONS; f++) r->functions[f] = ae_measure_function_rate(f);
}

void ae_bench_rates_tell_memory(ae_bench *b, const ae_bench_rates *r) {
    json_t *list = json_array();
    for (int i = 0; i < AE_BENCH_SIZES && r->read[i] > 0; i++) {
        ae_bench_say(b, "%-10s %6.1f GB/s read, %6.1f GB/s read and written at %.0f MB", i ? "" : "memory",
                     r->read[i] / 1e9, r->update[i] / 1e9, ae_bench_sizes[i] / 0x1p20);
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "bytes", ae_json_number(ae_bench_sizes[i]),
                                              "read_gbs", ae_json_number(r->read[i] / 1e9), "update_gbs",
                                              ae_json_number(r->update[i] / 1e9)));
    }
    ae_bench_put_json(b, "limits.memory", list);
}

void ae_bench_rates_tell_functions(ae_bench *b, const ae_bench_rates *r) {
    ae_bench_say(b, "functions  exp %.2f, sigmoid %.2f, tanh %.2f ns a thousand",
                 1e12 / r->functions[AE_FUNCTION_EXP], 1e12 / r->functions[AE_FUNCTION_SIGMOID],
                 1e12 / r->functions[AE_FUNCTION_TANH]);
    ae_bench_put(b, "limits.exp_per_s", r->functions[AE_FUNCTION_EXP]);
    ae_bench_put(b, "limits.sigmoid_per_s", r->functions[AE_FUNCTION_SIGMOID]);
    ae_bench_put(b, "limits.tanh_per_s", r->functions[AE_FUNCTION_TANH]);
}

double ae_bench_bf16_product(void) {
    const double n = AE_BENCH_SGEMM_SIZE;
    double seconds[BF16_ROUNDS];
    if (!ae_machine_has_bf16()) return 0;
    if (ae_measure_bf16_product(AE_BENCH_SGEMM_SIZE, BF16_ROUNDS, seconds) != AE_OK) return 0;
    return 2 * n * n * n / ae_median(seconds, BF16_ROUNDS);
}

void ae_bench_rates_set_product(ae_bench_rates *r, ae_bench *b, double product) {
    r->product = product;
    if (b->be.dtype != AE_DTYPE_BF16) return;
    const double bf16 = ae_bench_bf16_product();
    ae_bench_say(b, "bf16 %d  oneDNN %.0f GFLOP/s", AE_BENCH_SGEMM_SIZE, bf16 / 1e9);
    ae_bench_put(b, "limits.bf16_onednn_gflops", bf16 / 1e9);
    r->tiles = ae_machine_has_amx();
    r->product = fmax(product, bf16);
}

/* Between two measured sizes along the logarithm of the size; beyond them the nearest. */
static double rate_at(const double *rates, double size) {
    int last = 0;
    while (last + 1 < AE_BENCH_SIZES && rates[last + 1] > 0) last++;
    if (size <= ae_bench_sizes[0]) return rates[0];
    for (int i = 0; i < last; i++) {
        if (size > ae_bench_sizes[i + 1]) continue;
        const double share = log(size / ae_bench_sizes[i]) / log(ae_bench_sizes[i + 1] / ae_bench_sizes[i]);
        return rates[i] + share * (rates[i + 1] - rates[i]);
    }
    return rates[last];
}

/* What is written goes with as much that is read at the rate of updates; the rest at the rate of reads. */
static double memory_seconds(const ae_bench_rates *r, const ae_work *w, double size) {
    const double both = fmin(w->read_bytes, w->written_bytes);
    const double rest = w->read_bytes + w->written_bytes - 2 * both;
    return 2 * both / rate_at(r->update, size) + rest / rate_at(r->read, size);
}

static double function_seconds(const ae_bench_rates *r, const ae_work *w) {
    return w->exps / r->functions[AE_FUNCTION_EXP] + w->sigmoids / r->functions[AE_FUNCTION_SIGMOID] +
           w->tanhs / r->functions[AE_FUNCTION_TANH];
}

const char *ae_bench_bound_name(ae_bench_bound bound) {
    static const char *const names[] = {"", "memory", "products", "functions"};
    return names[bound];
}

/* Functions and products of vectors need the same units, one after the other; tiles are units of their
 * own. */
double ae_bench_least_seconds(const ae_bench_rates *r, const ae_work *w, double size, ae_bench_bound *bound) {
    const double memory = memory_seconds(r, w, size), functions = function_seconds(r, w);
    const double products = r->product > 0 ? w->flops / r->product : 0;
    const double compute = r->tiles ? fmax(products, functions) : products + functions;
    if (memory <= 0 && compute <= 0)
        *bound = AE_BOUND_NONE;
    else if (memory >= compute)
        *bound = AE_BOUND_MEMORY;
    else
        *bound = products >= functions ? AE_BOUND_PRODUCTS : AE_BOUND_FUNCTIONS;
    return fmax(memory, compute);
}
