#ifndef AE_MODEL_PARAMS_H
#define AE_MODEL_PARAMS_H
#include "model/config.h"
#include "ops/backend.h"

/* The table of parameters: from it come sizes, checkpoint keys, Hugging Face names, optimiser groups, initial values and tests. */

typedef enum { AE_INIT_ZERO, AE_INIT_NORMAL, AE_INIT_RECURRENT } ae_init;

typedef struct {
    char name[96]; /* the Hugging Face name, which is the checkpoint key too */
    int rank;      /* 1 to 3 */
    int64_t shape[3];
    int64_t n; /* elements */
    ae_init init;
    double std;         /* for AE_INIT_NORMAL */
    bool decays;        /* weight decay applies (docs/model.md, "Optimiser") */
    bool trainable;     /* has gradient and optimiser memory */
    bool product;       /* a right-hand side of products: has a packed form */
    bool often;         /* used many times in a pass: the table, once for every chunk of tokens */
    int64_t rows, cols; /* of the product's matrix */
    int64_t parts;      /* gates: so many square blocks; else 0 */

    ae_f32 *value,
        *grad; /* value is NULL for products in the compact form; grad when not trainable or in inference */
    ae_weight *packed; /* for products: the master itself or the packed copy */
} ae_param;

typedef struct {
    ae_param *items;
    ptrdiff_t n;
    int64_t total; /* elements of all parameters */
} ae_params;

ae_status ae_params_init(ae_params *p, const ae_model_config *c);
void ae_params_free(ae_params *p);
ae_param *ae_params_find(const ae_params *p, const char *name); /* NULL when there is none */
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
