#ifndef AE_MODEL_DECODE_H
#define AE_MODEL_DECODE_H
#include "model/model.h"

/* What a block of attention without a window keeps of every sequence: all keys and values, so that it grows
 * with what was read. */
typedef struct {
    void *memory;     /* device: keys, then values, [B, places, G, H] each */
    ptrdiff_t places; /* tokens of each sequence that there is room for */
} ae_decode_cache;

/* The decoding state of B sequences: of fixed size at any length, but for the caches of attention without a
 * window. A value: it can be copied, forked and saved. */
typedef struct ae_decode_state {
    const ae_model *model; /* borrowed */
    ptrdiff_t B;
    int32_t *positions; /* [B]: tokens taken in so far */
    void *memory;       /* device: per block, h and the last inputs, or the rings */
    size_t memory_bytes;
    ae_decode_cache *caches; /* [blocks], empty at first; NULL where nothing grows */
} ae_decode_state;

/* Of sequences that have read `tokens` each, which counts for caches only; these have room for as many as
 * ae_decode_state_reserve makes of it. */
size_t ae_decode_state_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B, ptrdiff_t tokens);
/* What a state takes now. */
size_t ae_decode_state_bytes_now(const ae_decode_state *s);
ae_status ae_decode_state_init(ae_decode_state *s, const ae_model *m, ptrdiff_t B); /* empty sequences */
void ae_decode_state_free(ae_decode_state *s);
void ae_decode_state_reset(ae_decode_state *s, ptrdiff_t b);
/* Room for `tokens` tokens of each sequence, where a cache has less: a quarter more than it had, or what is
 * asked for, in chunks of AE_CACHE_CHUNK, so that a text costs few copies of what was read. The bits of a
 * sequence do not depend on the room. AE_ERR_RESOURCE; what was read is kept. The decoder and copies ask by
 * themselves. */
enum { AE_CACHE_CHUNK = 256 };
ae_status ae_decode_state_reserve(ae_decode_state *s, ptrdiff_t tokens);
/* n sequences from `from_b` on over those from `to_b` on, of one block: for callers that take a state through
 * the blocks themselves. */
void ae_decode_state_copy_block(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                                ptrdiff_t from_b, ptrdiff_t block, ptrdiff_t n);
/* Sequence `from` of one state over sequence `to` of another (of the same model): shared prompts, several
 * answers to one. AE_ERR_RESOURCE where a cache of `to` has to grow and cannot; within one state none has to. */
ae_status ae_decode_state_copy(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                               ptrdiff_t from_b);

/* What one block keeps of the sequences from b on, in device memory: h and the last inputs of the convolution
 * (float32), or the rings or caches of keys and values; the bytes of one sequence in each. Those of the next
 * sequence follow. */
typedef struct {
    void *first, *second;
    size_t first_bytes, second_bytes;
    ptrdiff_t places; /* of a ring: the window; of a cache what it has room for. ops/attention.h: their W */
} ae_decode_part;
ae_decode_part ae_decode_state_part(const ae_decode_state *s, ptrdiff_t block, ptrdiff_t b);

/* A sequence as bytes on the host, to be kept in a file: what later tokens may read of one that has read
 * `position` tokens, so of rings and caches the places in use. On the same machine or another the bytes serve a model
 * of the same shape whose backend has the same type of activations. */
size_t ae_decode_state_packed_bytes(const ae_model *m, int32_t position);
void ae_decode_state_pack(const ae_decode_state *s, ptrdiff_t b, void *out);
ae_status ae_decode_state_unpack(ae_decode_state *s, ptrdiff_t b, int32_t position, const void *in);

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

/* What the decoder's calls return: AE_ERR_RESOURCE where a cache has to grow and cannot, before anything is
 * read. */

/* Takes n tokens into sequence b, in chunks; the same bits however n was split is not promised, a bound is
 * (docs/performance.md). logits ([V] host, of the last token) and logprobs ([n], of each token given those
 * before it in this call; entry 0 is NaN) may be NULL. */
ae_status ae_decoder_prefill(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, const int32_t *tokens,
                             ptrdiff_t n, float *logits, float *logprobs);

/* n tokens each into the B sequences from b on: tokens [B, n]; logits [B, V] of the last ones, on the host.
 * The bits of ae_decoder_prefill: prompts go through the blocks together, up to AE_LINEAR_EACH tokens at once.
 * Longer ones go one after the other, since products of more rows may depend on the number of rows. */
ae_status ae_decoder_prefill_each(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B,
                                  const int32_t *tokens, ptrdiff_t n, float *logits);

/* The same in one piece, without logits: B is 1 and n at most the decoder's chunk, or B at most
 * ae_decoder_together. Its places, B n of them, are there for ae_decoder_place_logits until the next call. */
ae_status ae_decoder_read(ae_decoder *d, ae_decode_state *s, ptrdiff_t b, ptrdiff_t B, const int32_t *tokens,
                          ptrdiff_t n);
/* Sequences that ae_decoder_read takes n tokens into at once: as many as have AE_LINEAR_EACH tokens together. */
ptrdiff_t ae_decoder_together(const ae_decoder *d, ptrdiff_t n);
/* Logits [rows, V], on the host, of the places from `first` on. Each has the bits that it has alone. */
void ae_decoder_place_logits(ae_decoder *d, ptrdiff_t first, ptrdiff_t rows, float *logits);

/* One token for each of the first B sequences of the state; logits [B, V] on the host. The same bits for a
 * sequence whatever B is. */
ae_status ae_decoder_step(ae_decoder *d, ae_decode_state *s, const int32_t *tokens, ptrdiff_t B,
                          float *logits);

#endif
