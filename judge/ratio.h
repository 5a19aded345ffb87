#ifndef AE_JUDGE_RATIO_H
#define AE_JUDGE_RATIO_H
#include "eval/bootstrap.h"

#include <stddef.h>

/* A share of votes: of wins with ties as half, of votes for the left side, of acceptable answers. Votes on one prompt
 * are not independent of each other, so the unit of all intervals is the prompt:
 *
 *     p   = sum_u s_u / sum_u m_u            s_u: sum of the scores of the m_u votes on prompt u
 *     var = sum_u (s_u - m_u p)^2 / (sum_u m_u)^2
 *
 * which is linearisation of a ratio (Cochran 1977, 6.5). With one vote for each prompt and scores 1, 1/2, 0 for win,
 * tie and loss it is (w + t/4 - p^2) / n, p = w + t/2, the variance that knows of ties: smaller than p (1 - p) / n.
 * Where p is 0 or 1 it is 0, though what n prompts show is only that the share is beyond 1 - 0.025^(1/n) or 0.025^(1/n)
 * (Clopper and Pearson 1934); that bound is the interval then. */

typedef struct {
    double *sums, *counts; /* [units]: s_u and m_u, 0 where a prompt has no vote */
    ptrdiff_t units;
} ae_ratio;

ae_status ae_ratio_init(ae_ratio *r, ptrdiff_t units); /* all 0; AE_ERR_RESOURCE */
void ae_ratio_free(ae_ratio *r);
void ae_ratio_add(ae_ratio *r, ptrdiff_t unit, double score);

typedef struct {
    double votes;          /* sum_u m_u */
    ae_estimate normal;    /* value, value -+ 1.96 sqrt(var) within 0 and 1; NaN without votes */
    ae_estimate resampled; /* by the bootstrap over prompts that have votes */
} ae_share;

/* Of n votes on as many prompts; wins, ties and losses are counts or shares of n. */
ae_estimate ae_share_of_counts(double wins, double ties, double losses, double n);
/* normal alone. */
ae_estimate ae_ratio_normal(const ae_ratio *r);
ae_status ae_ratio_share(const ae_ratio *r, ae_share *out);

#endif
