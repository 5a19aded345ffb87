#ifndef AE_MODEL_SAMPLER_H
#define AE_MODEL_SAMPLER_H
#include "core/rng.h"
#include "core/status.h"

#include <stddef.h>

typedef struct {
    double temperature; /* 0: greedy */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    ptrdiff_t
        ids; /* only ids below it are drawn: rows of a table beyond its tokenizer mean nothing; 0: all */
} ae_sampling;

/* The next token from logits [V]: softmax at the temperature, then the top_k largest, then the smallest set whose probability reaches
 * top_p; ties broken by the smaller id. *logprob is the token's under the model (temperature 1, nothing cut, every row of the table counted), as scoring gives it. `room` [V] is overwritten. */
int32_t ae_sample(const float *logits, ptrdiff_t V, const ae_sampling *how, ae_rng *rng, double *logprob,
                  float *room);

#endif
