#ifndef AE_CLI_BENCH_RATES_H
#define AE_CLI_BENCH_RATES_H
#include "cli/bench.h"
#include "core/probe.h"
#include "ops/limits/limits.h"

/* What this machine can do, as far as the roofline of an op needs it. */
enum { AE_BENCH_SIZES = 6 };
extern const double ae_bench_sizes[AE_BENCH_SIZES]; /* bytes: 1, 4, 16, 64, 256, 1024 MB */

typedef struct {
    double product; /* FLOP/s of the library's product */
    bool tiles;     /* products run beside the vector functions, not in their stead */
    double functions[AE_FUNCTIONS];
    double read[AE_BENCH_SIZES], update[AE_BENCH_SIZES]; /* bytes/s by size; 0 where not measured */
} ae_bench_rates;

/* `product`: of the better float32 library; for bfloat16 that of oneDNN counts where it is faster. */
void ae_bench_rates_set_product(ae_bench_rates *r, ae_bench *b, double product);
/* Memory by size, as far as `largest` bytes need it, and the vector functions. */
void ae_bench_rates_measure(ae_bench_rates *r, double largest);
void ae_bench_rates_tell_memory(ae_bench *b, const ae_bench_rates *r);
void ae_bench_rates_tell_functions(ae_bench *b, const ae_bench_rates *r);
/* The bfloat16 product of oneDNN, FLOP/s of the middle of a few rounds; 0 where the machine has no such
 * instructions. */
double ae_bench_bf16_product(void);

typedef enum { AE_BOUND_NONE, AE_BOUND_MEMORY, AE_BOUND_PRODUCTS, AE_BOUND_FUNCTIONS } ae_bench_bound;
const char *ae_bench_bound_name(ae_bench_bound bound);

/* The least seconds that the work can take, and what bounds it. `size`: bytes that lie between two visits of
 * the same ones. */
double ae_bench_least_seconds(const ae_bench_rates *r, const ae_work *w, double size, ae_bench_bound *bound);

#endif
