#ifndef AE_MODEL_DECODE_H
#define AE_MODEL_DECODE_H
#include "model/model.h"

/* The decoding state of B sequences: fixed size at any length. A value: it can be copied, forked and
 * saved. */
typedef struct ae_decode_state {
    const ae_model *model; /* borrowed */
    ptrdiff_t B;
    int32_t *positions; /* [B]: tokens taken in so far */
    void *memory;       /* device: per block, h and the last inputs, or the rings */
    size_t memory_bytes;
} ae_decode_state;

size_t ae_decode_state_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B);
ae_status ae_decode_state_init(ae_decode_state *s, const ae_model *m, ptrdiff_t B); /* empty sequences */
void ae_decode_state_free(ae_decode_state *s);
void ae_decode_state_reset(ae_decode_state *s, ptrdiff_t b);
/* n sequences from `from_b` on over those from `to_b` on, of one block: for callers that take a state through
 * the blocks themselves. */
void ae_decode_state_copy_block(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                                ptrdiff_t from_b, ptrdiff_t block, ptrdiff_t n);
/* Sequence `from` of one state over sequence `to` of another (of the same model): shared prompts, several
 * answers to one. */
void ae_decode_state_copy(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from, ptrdiff_t from_b);

/* What one block keeps of the sequences from b on, in device memory: h and the last inputs of the convolution
 * (float32), or the rings of keys and values; the bytes of one sequence in each. Those of the next sequence
 * follow. */
typedef struct {
    void *first, *second;
    size_t first_bytes, second_bytes;
} ae_decode_part;
ae_decode_part ae_decode_state_part(const ae_decode_state *s, ptrdiff_t block, ptrdiff_t b);

/* A sequence as bytes on the host, to be kept in a file: what later tokens may read of one that has read
 * `position` tokens, so of the rings the places in use. On the same machine or another the bytes serve a model
 * of the same shape whose backend has the same type of activations. */
size_t ae_decode_state_packed_bytes(const ae_model *m, int32_t position);
void ae_decode_state_pack(const ae_decode_state *s, ptrdiff_t b, void *out);
void ae_decode_state_unpack(ae_decode_state *s, ptrdiff_t b, int32_t position, const void *in);

/* Tokens of a prefill that go through the blocks together, unless there is a reason for others: weights are
 * unpacked once for them. */
enum { AE_PREFILL_CHUNK = 2048 };

/* Buffers for stepping up to B sequences and for prefilling in chunks of at most `chunk` tokens. */
typedef struct ae_decoder ae_decoder;
/* Of a model with adapters of that rank beside its weights; 0: without. */
size_t ae_decoder_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t adapter_rank, ptrdiff_t B,
                        ptrdiff_t chunk);
ae_status ae_decoder_new(ae_decoder **out, const ae_model *m, ptrdiff_t B, ptrdiff_t chunk);
void ae_decoder_delete(ae_decoder *d);

/* Takes n tokens into sequence b, in chunks; the same bits however n was split is not promised, a bound is
 * (docs/performance.md). logits ([V] host, of the last token) and logprobs ([n], of each token given those
 * before it in this call; entry 0 is NaN) may be NULL. */
void ae_decoder_prefill(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, const int32_t *tokens, ptrdiff_t n,
                        float *logits, float *logprobs);

/* n tokens each into the B sequences from b on: tokens [B, n]; logits [B, V] of the last ones, on the host.
 * The bits of ae_decoder_prefill: prompts of at most AE_LINEAR_FEW tokens go through the blocks together, up
 * to AE_LINEAR_EACH tokens at once. Longer ones go one after the other, since products of many rows may
 * depend on the number of rows. */
void ae_decoder_prefill_each(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B,
                             const int32_t *tokens, ptrdiff_t n, float *logits);

/* The same in one piece, without logits: B is 1 and n at most the decoder's chunk, or B at most
 * ae_decoder_together. Its places, B n of them, are there for ae_decoder_place_logits until the next call. */
void ae_decoder_read(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B, const int32_t *tokens,
                     ptrdiff_t n);
/* Sequences that ae_decoder_read takes n tokens into at once; 1 where n is above AE_LINEAR_FEW. */
ptrdiff_t ae_decoder_together(const ae_decoder *d, ptrdiff_t n);
/* Logits [rows, V], on the host, of the places from `first` on. Each has the bits that it has alone. */
void ae_decoder_place_logits(ae_decoder *d, ptrdiff_t first, ptrdiff_t rows, float *logits);

/* One token for each of the first B sequences of the state; logits [B, V] on the host. The same bits for a
 * sequence whatever B is. */
void ae_decoder_step(ae_decoder *d, ae_decode_state *s, const int32_t *tokens, ptrdiff_t B, float *logits);

#endif
