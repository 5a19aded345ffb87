#ifndef AE_MODEL_SAMPLER_H
#define AE_MODEL_SAMPLER_H
#include "core/rng.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    double temperature; /* 0: greedy */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    ptrdiff_t
        ids; /* only ids below it are drawn: rows of a table beyond its tokenizer mean nothing; 0: all */
} ae_sampling;

/* One token to draw: what it is drawn from, and what came. */
typedef struct {
    const float *logits; /* [V] */
    const ae_sampling *how;
    ae_rng *rng;
    bool wants_logprob;
    bool tempered; /* the logprob is that at the temperature, which is above 0 */
    /* A bit for each of the V tokens, that of token v being seen[v / 8] >> v % 8: those that have come
     * already. Their logits are divided by `penalty` where they are positive, else multiplied by it, before
     * all else (Keskar et al., arXiv 1909.05858). NULL: none. */
    const uint8_t *seen;
    double penalty; /* above 0; used with `seen` only */
    int32_t id;
    double logprob;
} ae_draw;

/* Scratch for one draw. */
size_t ae_sample_room_bytes(ptrdiff_t V);

/* The next token: softmax at the temperature, then the top_k largest, then the smallest set whose probability
 * reaches top_p; ties broken by the smaller id. The logprob is the token's under the model (temperature 1,
 * nothing cut or penalised, every row of the table counted), as scoring gives it; as a float32 it is that of exact sums.
 * `tempered` asks for the same at the temperature of the draw. A
 * function of logits, `how` and rng alone; `threads` share the vocabulary. */
void ae_sample(ae_draw *draw, ptrdiff_t V, void *room, int threads);

/* n draws: a thread takes one at a time where there are enough of them. `room` is that of
 * ae_sample_each_room_bytes. */
size_t ae_sample_each_room_bytes(ptrdiff_t V, ptrdiff_t n, int threads);
void ae_sample_each(ae_draw *draws, ptrdiff_t n, ptrdiff_t V, void *room, int threads);

#endif
