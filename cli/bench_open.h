#ifndef AE_CLI_BENCH_OPEN_H
#define AE_CLI_BENCH_OPEN_H
#include "cli/bench.h"

/* The shape of a preset, with the vocabulary that it suggests where the token set would decide; of a model the
 * shape that it has, and what its folder holds in integers. Into b->config, b->model and b->weights. */
ae_status ae_bench_find(ae_bench *b, const char *name);

/* The model of --model or --shape (random weights), after a check that there is memory for it and for `beside`
 * bytes more. */
ae_status ae_bench_open_model(ae_model *m, const ae_bench *b, size_t beside);

/* "1,8192,65536": from 1 to `most` whole numbers from 1 to `max`. AE_ERR_USAGE names the flag. */
ae_status ae_bench_read_list(const char *flag, const char *text, int64_t max, int64_t *list, size_t most,
                             size_t *n);

#endif
