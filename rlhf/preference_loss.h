#ifndef AE_RLHF_PREFERENCE_LOSS_H
#define AE_RLHF_PREFERENCE_LOSS_H
#include <stdbool.h>
#include <stddef.h>

/* Losses of preferences as functions of rho = s - s_ref, the log-ratio of a whole answer to the reference, in
 * nats. Pure functions in double. */

/* Of a chosen and a rejected answer, with gradients with respect to rho of either. */
typedef struct {
    double loss, dchosen, drejected;
} ae_preference;

/* DPO (2305.18290), h = rho_c - rho_r, with the share q of pairs that are the wrong way round (cDPO):
 *   -(1 - q) log sigmoid(beta h) - q log sigmoid(-beta h)
 * q = 0 is DPO itself. ln 2 where rho_c = rho_r. */
ae_preference ae_dpo_loss(double chosen, double rejected, double beta, double q);

/* IPO (2310.12036), h' = rho_c / |y_c| - rho_r / |y_r|: (h' - 1 / (2 beta))^2. Lengths in tokens. */
ae_preference ae_ipo_loss(double chosen, double rejected, ptrdiff_t chosen_tokens, ptrdiff_t rejected_tokens,
                          double beta);

/* The chosen answer's negative log-likelihood, mean over its tokens, that may be added to either. */
typedef struct {
    double loss, dlogprob; /* of the answer's s */
} ae_answer_loss;
ae_answer_loss ae_chosen_nll(double s, ptrdiff_t tokens, double weight);

/* KTO (2402.01306):
 *   good answers  weight (1 - sigmoid(beta (rho - z)))
 *   bad answers   weight (1 - sigmoid(beta (z - rho)))
 * dlogprob is the gradient with respect to rho; z is a constant. */
ae_answer_loss ae_kto_loss(double rho, double z, bool good, double beta, double weight);
/* z = max(0, mean rho of answers to other prompts), an estimate of the divergence. 0 of none. */
double ae_kto_divergence(const double *rho, ptrdiff_t n);

#endif
