#ifndef AE_JUDGE_STRENGTH_H
#define AE_JUDGE_STRENGTH_H
#include "eval/bootstrap.h"

#include <stdbool.h>
#include <stddef.h>

/* Strengths of models from votes on pairs (Bradley and Terry 1952): model i is preferred to j with probability
 * 1 / (1 + exp(b_j - b_i)); a tie is half a win of each. The likelihood is maximised by the iteration of Hunter (2004),
 * eq. 3, and sum_i b_i = 0. Where models can be parted in two groups of which one has never won or tied against the
 * other there is no maximum, and all strengths are NaN. */

typedef struct {
    ptrdiff_t unit; /* the prompt */
    int a, b;       /* models */
    double score;   /* of a: 1, 1/2, 0 */
} ae_duel;

/* wins [models, models]: entry [i, j] is how often i won against j, ties as half. strengths [models]. */
bool ae_strengths_fit(double *strengths, const double *wins, int models);

enum { AE_STRENGTH_MODELS_MAX = 32 };

/* strengths [models], with intervals by the bootstrap over prompts. `duels` [n] in the order of their prompts.
 * AE_ERR_RESOURCE. */
ae_status ae_strengths(ae_estimate *strengths, const ae_duel *duels, ptrdiff_t n, int models);

#endif
