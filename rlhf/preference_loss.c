#include "rlhf/preference_loss.h"

#include "core/logistic.h"

#include <math.h>

ae_preference ae_dpo_loss(double chosen, double rejected, double beta, double q) {
    const double x = beta * (chosen - rejected);
    const double slope = beta * (q * ae_sigmoid(x) - (1 - q) * ae_sigmoid(-x));
    return (ae_preference){
        .loss = (1 - q) * ae_softplus(-x) + q * ae_softplus(x), .dchosen = slope, .drejected = -slope};
}

ae_preference ae_ipo_loss(double chosen, double rejected, ptrdiff_t chosen_tokens, ptrdiff_t rejected_tokens,
                          double beta) {
    const double c = (double)chosen_tokens, r = (double)rejected_tokens;
    const double error = chosen / c - rejected / r - 1 / (2 * beta);
    return (ae_preference){.loss = error * error, .dchosen = 2 * error / c, .drejected = -2 * error / r};
}

ae_answer_loss ae_chosen_nll(double s, ptrdiff_t tokens, double weight) {
    return (ae_answer_loss){.loss = -weight * s / (double)tokens, .dlogprob = -weight / (double)tokens};
}

ae_answer_loss ae_kto_loss(double rho, double z, bool good, double beta, double weight) {
    const double sign = good ? 1 : -1, x = sign * beta * (rho - z);
    return (ae_answer_loss){.loss = weight * ae_sigmoid(-x),
                            .dlogprob = -weight * sign * beta * ae_sigmoid(x) * ae_sigmoid(-x)};
}

double ae_kto_divergence(const double *rho, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) sum += rho[i];
    return n > 0 ? fmax(sum / (double)n, 0) : 0;
}
