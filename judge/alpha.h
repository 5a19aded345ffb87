#ifndef AE_JUDGE_ALPHA_H
#define AE_JUDGE_ALPHA_H
#include "eval/bootstrap.h"

#include <stddef.h>
#include <stdint.h>

/* Agreement between raters: Krippendorff's alpha for ordinal data, with missing ones (Krippendorff, "Computing
 * Krippendorff's Alpha-Reliability", 2011). 1: all agree; 0: as if drawn at random from all ratings.
 *
 *     o_ck  = sum_u n_uc (n_uk - [c = k]) / (m_u - 1)    n_uc: ratings c of unit u, m_u = sum_c n_uc >= 2
 *     d_ck  = sum_{g=c..k} n_g - (n_c + n_k) / 2         n_c = sum_k o_ck, n = sum_c n_c
 *     alpha = 1 - (n - 1) sum_ck o_ck d_ck^2 / sum_ck n_c n_k d_ck^2 */

enum { AE_ALPHA_LEVELS_MAX = 16 };

/* counts [units, levels]: how many raters gave a unit that level. Units with fewer than two ratings are left out. The
 * interval is by the bootstrap over units. NaN where no two ratings of any units differ, or no unit has two.
 * AE_ERR_RESOURCE. */
ae_status ae_alpha_ordinal(ae_estimate *out, const int32_t *counts, ptrdiff_t units, int levels);

#endif
