#ifndef AE_EXCHANGE_MERGE_H
#define AE_EXCHANGE_MERGE_H
#include "exchange/param_writer.h"
#include "model/config.h"

#include <stdint.h>

/* One model of several of one shape, written tensor by tensor. theta_0 is the base, theta_1 ... theta_M the
 * models in the order given, d_k = theta_k - theta_0 their task vectors.
 *
 *   mean    theta = sum_k w_k theta_k / sum_k w_k
 *   ema     m_1 = theta_1,  m_k = decay m_{k-1} + (1 - decay) theta_k,  theta = m_M
 *   lerp    theta = theta_0 + amount (mean - theta_0), the mean with weights as above
 *   slerp   s_1 = d_1,  s_k = slerp(s_{k-1}, d_k; t_k),  theta = theta_0 + s_M, for each tensor with
 *           angles of its own, where
 *           slerp(u, v; t) = sin((1 - t) W) / sin W u + sin(t W) / sin W v,  cos W = <u, v> / (|u| |v|)
 *           and (1 - t) u + t v where the angle says nothing: W below AE_SLERP_PARALLEL or within
 *           AE_SLERP_OPPOSITE of pi, or a vector of zeros. t_k = 1/k, so that all count alike; of two models
 *           t_2 may be chosen (amount).
 *
 * Sources: stochastic weight averaging and model soups (arXiv 2203.05482), WiSE-FT (2109.01903), WARP
 * (2406.16768, sections 3.2, 3.3). */

typedef enum { AE_MERGE_MEAN, AE_MERGE_EMA, AE_MERGE_LERP, AE_MERGE_SLERP } ae_merge_method;

/* Below this angle the linear form differs from the spherical one by less than W^2 / 6 of the vectors, under
 * float32's rounding; near pi the direction between them is not defined, and vectors of unequal length would
 * be divided by a sine that vanishes. */
#define AE_SLERP_PARALLEL 1e-4
#define AE_SLERP_OPPOSITE 1e-2

typedef struct {
    ae_merge_method method;
    const ae_model_config *config; /* of all of them */
    bool score_head;               /* all have one; in bf16 it stays float32 */
    const char *const *models;     /* for ae_tensors_open */
    size_t n;                      /* at least 1; slerp: 2 */
    const char *base;              /* lerp and slerp */
    const double *weights;         /* mean and lerp: [n], sum above 0; NULL: all 1 */
    double amount;                 /* lerp: eta; slerp of two models: t; below 0: 1/k */
    double decay;                  /* ema */
    bool bf16;                     /* what is written, rounded once; else float32 */
    int64_t shard_bytes;           /* as in exchange/export.h */
    ae_watch watch;
} ae_merge_request;

/* A model that lacks a tensor, has one of another shape or one that would be dropped is AE_ERR_INPUT before
 * anything is written, and so are sums that are not finite when they come up. Memory: some 18 MB, with slerp
 * 26, whatever the number and size of the models; sums are in double, in the order given, on one thread,
 * which keeps up with a disk. Each model is read once, for slerp twice. */
ae_status ae_model_merge(const char *folder, const ae_merge_request *r);

/* The factors c of theta = sum_k c_k theta_k, [n + 1] with the base's first, for all methods but slerp. */
void ae_merge_factors(double *c, const ae_merge_request *r);
/* The same for slerp, of one tensor, from the products gram[i n + j] = <d_{i+1}, d_{j+1}>, [n, n]: every s_k
 * is a sum of task vectors, so its length and angles follow from these. t below 0: 1/k. */
void ae_merge_slerp_factors(double *c, const double *gram, size_t n, double t);

#endif
