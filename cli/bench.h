#ifndef AE_CLI_BENCH_H
#define AE_CLI_BENCH_H
#include "cli/args.h"
#include "core/json.h"
#include "model/model.h"

#include <stdbool.h>

/* What `aerie bench` was asked, and where its figures go. */
typedef struct {
    const char *shape, *prefill, *dtype;
    const char
        *model; /* decode, rollout: a folder, checkpoint or run in place of a shape with random weights */
    const char *batches; /* rollout: several; else one, in `batch` */
    const char *compare; /* a file of an earlier result, or NULL */
    int64_t row_tokens, batch, steps, tokens, threads, recompute, recompute_mlps, micro_rows;
    int64_t prompt, answers, after; /* rollout */
    const char *lengths;            /* throughput */
    int64_t limit_s;
    double memory_gb; /* that training may take; 0: what there is */
    bool json, profile;
    ae_backend be;
    ae_model_config config;
    ae_model_options weights; /* decode, rollout: how the model keeps them */
    json_t *report;           /* one object, printed at the end with --json */
} ae_bench;

typedef ae_status ae_bench_fn(ae_bench *b);
/* What the arguments of a mode must be, before anything is printed or measured. */
ae_bench_fn ae_bench_decode_check, ae_bench_rollout_check, ae_bench_throughput_check;
ae_bench_fn ae_bench_train, ae_bench_decode, ae_bench_rollout, ae_bench_throughput, ae_bench_ops,
    ae_bench_limits;

/* A line for people, unless --json was given. */
void ae_bench_say(const ae_bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A figure under a dotted key: "sgemm.openblas_gflops". */
void ae_bench_put(ae_bench *b, const char *key, double value);
void ae_bench_put_text(ae_bench *b, const char *key, const char *text);
void ae_bench_put_json(ae_bench *b, const char *key, json_t *value); /* takes the value */

/* What the machine can do, measured where a mode needs it; each prints its line and keeps its figure. */
enum { AE_BENCH_SGEMM_SIZE = 2048, AE_BENCH_SGEMM_ROUNDS = 100 };
typedef struct {
    double seconds[2][AE_BENCH_SGEMM_ROUNDS]; /* of products of AE_BENCH_SGEMM_SIZE, by ae_sgemm_library */
    ptrdiff_t rounds;
} ae_bench_sgemm;
/* Adds rounds with each library, as far as there is room: before, between and after what is compared with
 * them. */
ae_status ae_bench_sgemm_add(ae_bench_sgemm *s, ptrdiff_t rounds);
/* FLOPs per second of the middle round of each library. */
void ae_bench_sgemm_tell(ae_bench *b, ae_bench_sgemm *s, double *openblas, double *onednn);
double ae_bench_peak(ae_bench *b);
/* The better one of `before` and what is measured now: others on the machine only slow it down. */
ae_status ae_bench_read_bandwidth(ae_bench *b, double before, double *rate);

/* Ratios of `old`, an earlier result of the same mode from the file `path`, to the one at hand, op by op and
 * in all. */
ae_status ae_bench_compare(ae_bench *b, const json_t *old, const char *path);

#endif
