#ifndef AE_MODEL_PARAMS_H
#define AE_MODEL_PARAMS_H
#include "model/config.h"
#include "ops/backend.h"

/* The table of parameters: from it come sizes, checkpoint keys, Hugging Face names, optimiser groups, initial
 * values and tests. */

typedef enum { AE_INIT_ZERO, AE_INIT_NORMAL, AE_INIT_RECURRENT, AE_INIT_UNIFORM } ae_init;

enum { AE_PARAM_NAME = 96 };
typedef struct {
    char name[AE_PARAM_NAME]; /* the Hugging Face name, which is the checkpoint key too */
    int rank;                 /* 1 to 3 */
    int64_t shape[3];
    int64_t n; /* elements */
    ae_init init;
    double spread;  /* for AE_INIT_NORMAL its deviation, for AE_INIT_UNIFORM the bound on either side of 0 */
    bool decays;    /* weight decay applies (docs/model.md, "Optimiser") */
    bool trainable; /* has gradient and optimiser memory; else frozen */
    bool added;     /* an adapter or a head, which the shape alone does not have; never compact */
    bool product;   /* a right-hand side of products: has a packed form */
    bool often;     /* used many times in a pass: the table, once for every chunk of tokens */
    int64_t rows, cols; /* of the product's matrix */
    int64_t parts;      /* gates: so many square blocks; else 0 */

    ae_f32 *value,
        *grad; /* value is NULL for products in the compact form; grad when not trainable or in inference */
    ae_weight *packed; /* for products: the master itself or the packed copy */
} ae_param;

typedef struct {
    ae_param *items;
    ptrdiff_t n;
    int64_t total;          /* elements of all parameters */
    ptrdiff_t adapter_rank; /* 0: no adapters */
    double adapter_scale;
} ae_params;

/* Low-rank adapters beside projections (Hu et al., arXiv 2106.09685): y = x W^T + bias + scale (x A^T) B^T, A
 * [rank, in], B [out, rank]. They are named after the weight, with lora_A.weight and lora_B.weight in the
 * place of weight. */
typedef struct {
    ptrdiff_t rank;        /* 0: none */
    double alpha;          /* scale is alpha / rank */
    bool by_root;          /* alpha / sqrt(rank) instead (rsLoRA, arXiv 2312.03732) */
    const char *const *on; /* patterns of the weights that get one, up to a NULL; NULL: every projection */
} ae_adapter_options;

/* What a table has beyond the parameters of the shape, and which of them all train. Zeroed: nothing more, and
 * all. Patterns are those of fnmatch, "*.q_proj.weight", and have to match something; only
 * ae_params_init_with reads them. */
typedef struct {
    ae_adapter_options adapters;
    bool score_head;          /* score.weight [1, D], of rewards and values */
    bool zero_head;           /* a new one begins at 0, not at small random values */
    const char *const *train; /* patterns, up to a NULL, of the parameters that train; NULL: all */
} ae_params_options;

/* What of the table a file may lack, and what it may hold beside. Zeroed: it holds the table, and nothing
 * else. */
typedef struct {
    bool lacks_added;  /* adapters and heads: the weights are those of the shape alone */
    bool lacks_frozen; /* parameters that do not train: the file holds what was trained, beside a base */
    bool lacks_any;    /* whatever: the file was held against its own table before */
    const char *const
        *extras; /* patterns of fnmatch, up to a NULL, of tensors that are passed over; NULL: none */
} ae_params_match_options;

/* The name of a parameter of block `block` (outside the blocks: -1), in the table and in Hugging Face folders:
 * `name` is that in RecurrentGemma, "temporal_block.q_proj.weight"; in Gemma that is self_attn.q_proj.weight.
 * False: it is too long. */
bool ae_param_name(char out[AE_PARAM_NAME], const ae_model_config *c, ptrdiff_t block, const char *name);

ae_status ae_params_init(ae_params *p, const ae_model_config *c);
/* AE_ERR_USAGE for a pattern that matches nothing, and a rank below 0. */
ae_status ae_params_init_with(ae_params *p, const ae_model_config *c, const ae_params_options *o);
void ae_params_free(ae_params *p);
ae_param *ae_params_find(const ae_params *p, const char *name); /* NULL when there is none */
/* Part 'A' or 'B' of the adapter beside a weight, whose name is given with or without ".weight"; NULL when
 * there is none. */
ae_param *ae_params_find_adapter(const ae_params *p, const char *weight, char part);
/* The name of that part; false: it is too long for one. */
bool ae_adapter_part_name(char name[AE_PARAM_NAME], const char *weight, char part);
/* The pattern of all of them. */
extern const char ae_adapter_pattern[];
/* Elements of memory with every parameter aligned to 64 bytes. */
int64_t ae_params_padded_elements(const ae_params *p, bool trainable_only);

/* The compact form of a product: gates stay in bfloat16. */
ae_weight_shape ae_param_compact_shape(const ae_param *p, ae_weight_type type, ptrdiff_t group);
/* A compact product is filled from its first row on, so many rows at a time. */
int64_t ae_param_piece_rows(const ae_param *p);

/* Initial values of one parameter on the host: a function of (seed, name) alone. */
void ae_param_initial(const ae_param *p, uint64_t seed, float *out);
/* The n of them from `first`: big tables are made piece by piece. */
void ae_param_initial_part(const ae_param *p, uint64_t seed, int64_t first, int64_t n, float *out);

#endif
