#ifndef AE_CLI_PROMPT_RESULTS_H
#define AE_CLI_PROMPT_RESULTS_H
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* RUN/evaluations/step-000123.jsonl of a run that writes answers: what came of each held-out prompt. */

typedef struct {
    double reward; /* NaN: none */
    double kl;     /* nats */
    double tokens;
    double truncated; /* 0 or 1 */
} ae_prompt_result;

typedef struct {
    ae_prompt_result *items;
    size_t n, capacity;
} ae_prompt_results;

/* A file that is not there has no lines. A malformed one is AE_ERR_INPUT, with the line. */
ae_status ae_prompt_results_read(ae_prompt_results *r, const char *run, int64_t step);
void ae_prompt_results_free(ae_prompt_results *r);

#endif
