#ifndef AE_OPTIM_OPTIMIZER_H
#define AE_OPTIM_OPTIMIZER_H
#include "ops/backend.h"

#include <stdint.h>

/* AdamW with decoupled decay over a flat list of parameters, after a clip of the global norm. It knows
 * nothing of models. Source: Loshchilov and Hutter, arXiv 1711.05101. Update u, from 1:
 *
 *   g *= min(1, clip / (norm + 1e-6));  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
 *   w -= lr (m / (1 - b1^u) / (sqrt(v / (1 - b2^u)) + eps) + decay w), decay 0 where the parameter does not
 *   decay */
typedef struct {
    const char *name; /* key in the file of the state */
    ae_f32 *value, *grad;
    ae_weight *packed;     /* the form that products take, packed anew with the values; NULL for none */
    int64_t n, rows, cols; /* rows and cols of what is packed */
    bool decays;
} ae_optim_param;

typedef struct {
    double beta1, beta2, eps, weight_decay;
    double clip_norm;       /* 0: off */
    ae_moment_type moments; /* how m and v are stored: F32, others are refused so far */
} ae_adamw_options;

typedef struct {
    ae_moment *m, *v; /* running means of the gradient and of its square */
} ae_moments;

/* Somebody who is told of a parameter by its number. */
typedef struct {
    void (*call)(void *context, ptrdiff_t i); /* NULL: nobody */
    void *context;
} ae_optimizer_call;

typedef struct {
    const ae_backend *be; /* borrowed */
    ae_adamw_options options;
    ae_optimizer_call before; /* an update changes parameter i and its m and v; they go in order, from 0 */
    ae_optim_param *params;   /* [n], a copy; names and memory are borrowed */
    ptrdiff_t n;
    int64_t updates;     /* done */
    ae_moments *moments; /* [n], into memory */
    void *memory;        /* device */
    size_t bytes;
    void *squares; /* device, one float64: the sum that grad_norm asks for */
} ae_optimizer;

/* Device memory of m and v for these parameters. */
size_t ae_optimizer_bytes(ae_moment_type type, const ae_optim_param *params, ptrdiff_t n);
/* AE_ERR_USAGE for a storage type of the moments that has no kernels. */
ae_status ae_optimizer_init(ae_optimizer *o, const ae_backend *be, const ae_adamw_options *options,
                            const ae_optim_param *params, ptrdiff_t n);
void ae_optimizer_free(ae_optimizer *o);

/* sqrt of the sum of squares of all gradients; not finite when one of them is not. The same bits whatever the
 * threads. */
double ae_optimizer_grad_norm(const ae_optimizer *o);
/* One update; `norm` is that of the gradients. Gradients are 0 afterwards. */
void ae_optimizer_update(ae_optimizer *o, double lr, double norm);
/* Gradients to 0, nothing else. */
void ae_optimizer_drop(ae_optimizer *o);

/* HDF5: data sets "m.NAME" and "v.NAME" (float32, flat), attribute `updates`. Loading wants every one of them
 * with its size. Parameters go in order; `written` is called when m and v of one have been read and may
 * change. */
ae_status ae_optimizer_save(const ae_optimizer *o, const char *path, ae_optimizer_call written);
ae_status ae_optimizer_load(ae_optimizer *o, const char *path);

#endif
