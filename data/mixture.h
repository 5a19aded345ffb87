#ifndef AE_DATA_MIXTURE_H
#define AE_DATA_MIXTURE_H
#include "data/token_set.h"

/* Token sets with the weights by which rows are drawn from them; phases change the weights at given steps. */

enum { AE_MIXTURE_SETS_MAX = 64, AE_MIXTURE_PHASES_MAX = 32 };

typedef struct {
    int64_t from_step;                  /* first step (from 1) for which these weights hold */
    double weight[AE_MIXTURE_SETS_MAX]; /* by set */
} ae_phase;

typedef struct {
    ae_token_set *sets[AE_MIXTURE_SETS_MAX]; /* owned once parsed */
    size_t n_sets;
    ae_phase phases[AE_MIXTURE_PHASES_MAX];
    size_t n_phases;
    bool weighted; /* weights were given */
} ae_mixture;

/* From `data.train`: a path; a list of paths or {path, weight}; or phases [{from_step: 1, sets: [{path,
 * weight}, ...]}, ...]. JSON text as AE_FIELD_TREE keeps it. All sets must agree in vocabulary and, where
 * they carry one, tokenizer. */
ae_status ae_mixture_open(ae_mixture *m, const char *tree);
void ae_mixture_close(ae_mixture *m);
/* Rows that carry their state come from one set: AE_ERR_USAGE where there are more. */
ae_status ae_mixture_check_streams(const ae_mixture *m);

/* The set of row `row` (from 0, counted over all steps) of a step, by a low-discrepancy rule: every stretch
 * of rows holds the sets in proportion to their weights. A function of the weights and the row's number
 * alone. */
size_t ae_mixture_draw(const ae_mixture *m, int64_t step, int64_t row);
/* Adds to taken[n_sets] the rows that steps 1 to `step` - 1 of `rows` rows each take from each set. */
void ae_mixture_count(const ae_mixture *m, int64_t step, ptrdiff_t rows, int64_t *taken);

#endif
