#ifndef AE_MODEL_CONFIG_H
#define AE_MODEL_CONFIG_H
#include "core/config.h"
#include "core/dims.h"
#include "ops/types.h"

#include <stdbool.h>

enum { AE_BLOCKS_MAX = 256, AE_ENDS_MAX = 64 };
typedef enum { AE_RECURRENT = 0, AE_ATTENTION = 1 } ae_block_kind;

/* The shape of a model (docs/model.md). All sizes are final: presets and Hugging Face configs fill it,
 * ae_model_config_check holds it. */
typedef struct {
    ptrdiff_t V, D, C, E; /* vocabulary, width, recurrent width, MLP width */
    ptrdiff_t N, G, H;    /* heads, key heads, head size */
    ptrdiff_t W, K;       /* window (< 0: none), taps */
    ptrdiff_t blocks;
    unsigned char pattern[AE_BLOCKS_MAX]; /* ae_block_kind of each block */
    double rope_theta, rope_share;        /* 10000, the share of a head that is turned: 0.5 */
    double norm_eps, soft_cap;            /* 1e-6, 30 (0: none) */
    bool scale_embeddings;                /* by sqrt(D) rounded to bfloat16 */
    bool scale_exact;                     /* then by sqrt(D) in float32 instead */
    bool no_biases;                       /* of projections; without it they have them, but for q, k and v */
    /* Ids that end an answer beside those of the tokenizer, where the model's files name some; not part of
     * the shape. */
    int32_t ends[AE_ENDS_MAX];
    ptrdiff_t n_ends;
    /* Of a reward model: mean and standard deviation of what its head gave to answers. A reward is what the
     * head gives less the mean. std 0: not known, and the shift is 0. No part of the shape either. */
    double reward_shift, reward_std;
} ae_model_config;

/* The keys `model.*` (preset and single sizes over it); a size of 0, a share of 0 and another real below 0 mean "as the preset
 * says". */
typedef struct {
    char *preset, *init;
    int64_t vocab, width, recurrent_width, mlp_width, heads, key_heads, head_size, window, taps, blocks;
    char *pattern; /* "rra": repeated over the blocks */
    double soft_cap, rope_theta, rope_share;
    int scale_embeddings; /* preset|yes|no|exact */
    int biases;           /* preset|yes|no */
} ae_model_keys;
extern const ae_field ae_model_fields[];
extern const size_t ae_model_n_fields;

/* Presets: the published models, the shapes of the yardsticks (s5, s23, s100), a ladder for small machines and
 * transformers of the same size to compare with. */
typedef struct {
    const char *name, *what;
    ae_model_config config; /* V 0: free, the token set's */
    ptrdiff_t suggested_V;  /* for plan and bench without a token set, where V is free */
} ae_preset;
extern const ae_preset ae_presets[];
extern const size_t ae_n_presets;

/* Preset, then single keys, then the vocabulary of the token set (0: the preset's). Unknown preset: "did you
 * mean". */
ae_status ae_model_config_resolve(ae_model_config *c, const ae_model_keys *keys, int64_t token_set_vocab);
/* One more end of an answer, unless it is known; false: there is no place left for it. */
bool ae_model_config_add_end(ae_model_config *c, int32_t id);
ae_status ae_model_config_check(const ae_model_config *c, const char *where);

/* The native form, as kept in checkpoints (JSON text; caller frees). */
ae_status ae_model_config_to_json(const ae_model_config *c, char **text);
ae_status ae_model_config_from_json(ae_model_config *c, const char *text, const char *where);
/* Whether two shapes are one: AE_ERR_INPUT "where: field: expected 64 as in WANT_WHERE, found 128", fields as
 * in that form. */
ae_status ae_model_config_agree(const ae_model_config *c, const char *where, const ae_model_config *want,
                                const char *want_where);

/* sqrt(D), rounded to bfloat16 or not, or 1. */
float ae_model_embedding_scale(const ae_model_config *c);
/* Whether this is the shape of Gemma 1 (arXiv 2403.08295) but for sizes and numbers: every block attends
 * without a window, and no projection has a bias. Its parameters have the names of that family. */
bool ae_model_is_gemma(const ae_model_config *c);
/* Elements of a head that RoPE turns; even. */
ptrdiff_t ae_model_rope_elements(const ae_model_config *c);

/* Model FLOPs of forward and backward per token, products only, the window counted causally over rows of T
 * tokens: what flops_fraction and the benchmarks use. `forward_only`: a third. */
double ae_model_flops_per_token(const ae_model_config *c, ptrdiff_t T, bool forward_only);

#endif
