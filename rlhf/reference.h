#ifndef AE_RLHF_REFERENCE_H
#define AE_RLHF_REFERENCE_H
#include "core/log.h"
#include "data/order.h"
#include "rlhf/pair_scorer.h"
#include "rlhf/reference_scores.h"
#include "train/tuned.h"

/* The reference of learning from pairs: which model it is, and its scores of the run's pairs, made once. Where
 * rl.reference is model.init, as by default, it is the policy as it starts and takes no memory of its own:
 * adapters begin with B = 0. Another one is loaded before the policy, in the form of model.base_dtype, and is
 * gone when the policy takes its memory.
 *
 * Products of some kernels depend in their last bits on the number of rows. So the reference reads the pairs of
 * data.train in the batches of the first epoch, and those of data.heldout in the batches of evaluations: a fresh
 * policy has the reference's log-probabilities to the bit. */
typedef struct {
    ae_tuned *tuned; /* borrowed, as are the next four */
    const ae_rl_keys *keys;
    const ae_order *order;
    const ae_pair_set *sets;                          /* those of order->mixture */
    const ae_pair_set *heldout;                       /* without pairs where there is none */
    char identity[AE_REFERENCE_IDENTITY_BYTES];       /* "": not known yet; else that of the run so far */
    ae_reference_part parts[AE_MIXTURE_SETS_MAX + 1]; /* of the sets, then of the held-out one */
    size_t n_parts;
    char made_with[256];
    ae_progress bar; /* while pairs are scored */
    int64_t missing; /* pairs that lacked scores */
    int64_t done;    /* of those: with scores by now */
    int64_t saved;   /* of those: in the file */
} ae_reference;

/* Before anything is written: AE_ERR_INPUT for a reference of another vocabulary or tokenizer, or another one than
 * the run so far had. One that is gone is missed only where it has to score. */
ae_status ae_reference_check(ae_reference *r);
/* Which model it is, for people. */
const char *ae_reference_path(const ae_reference *r);

/* Where the run's folder lacks scores: before and after ae_tuned_start. A signal ends both with AE_ERR_INTERRUPTED; the
 * file then has the scores so far, as it has from time to time, and the next start makes the others, to the bit. */
ae_status ae_reference_before_start(ae_reference *r);
ae_status ae_reference_after_start(ae_reference *r);
/* Scores of the usable pairs of a set. */
const ae_pair_scores *ae_reference_of(const ae_reference *r, const ae_pair_set *set);
void ae_reference_free(ae_reference *r);

/* A scorer for data.heldout, in whose batches evaluations read it. Set: keys, model, pass. */
ae_status ae_heldout_scorer_init(ae_pair_scorer *s, const ae_tuned *t, const ae_pair_set *heldout);
/* Scores the pairs of a set from *first on, those of `part` left out that it has scores of (NULL: none): as many as
 * a batch takes, *n. *first moves past them; *n is 0 at the end. */
ae_status ae_pair_scorer_next(ae_pair_scorer *s, const ae_pair_set *set, const ae_reference_part *part,
                              int64_t *first, ptrdiff_t *n);

#endif
