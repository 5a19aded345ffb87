#ifndef AE_CLI_BENCH_PROFILE_H
#define AE_CLI_BENCH_PROFILE_H
#include "cli/bench_rates.h"
#include "ops/profile/profile.h"

/* Steps with probes, taken in turns with steps without, and the table made of them. */
typedef struct {
    double seconds, threads;
    ae_probe_sum sums[AE_PROFILE_N_OPS];
} ae_profiled_step;

typedef struct {
    ae_profiled_step *steps; /* [capacity] */
    int64_t n, capacity;
    ae_backend plain, probed;
} ae_bench_profile;

/* Both tables over the bench's backend, which stays the plain one. */
ae_status ae_bench_profile_init(ae_bench_profile *p, const ae_bench *b, int64_t capacity);
void ae_bench_profile_free(ae_bench_profile *p);

/* From here to `end` the rows of the bench's backend are probed. */
void ae_bench_profile_begin(ae_bench_profile *p, ae_bench *b);
void ae_bench_profile_end(ae_bench_profile *p, ae_bench *b, double seconds);

/* The most bytes that lie between two visits of the same ones, in any op: so far the memory's rates are
 * needed. */
double ae_bench_profile_largest(const ae_bench_profile *p, bool sweeps_model);

typedef struct {
    const char *unit;  /* "step", "token" */
    double plain_s;    /* of a step without probes */
    bool sweeps_model; /* a step reads all weights, a few bytes of everything else: decoding */
} ae_bench_profile_view;

/* Prints the middle one of the steps, sorted by time, and returns it as JSON. The steps are forgotten. */
json_t *ae_bench_profile_tell(ae_bench_profile *p, const ae_bench *b, const ae_bench_rates *r,
                              const ae_bench_profile_view *view);

#endif
