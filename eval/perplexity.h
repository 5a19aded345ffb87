#ifndef AE_EVAL_PERPLEXITY_H
#define AE_EVAL_PERPLEXITY_H
#include "data/token_set.h"
#include "model/pass.h"

#include <stdatomic.h>
#include <stdbool.h>

/* How well a model predicts a whole token set, read in rows of T tokens in file order: every row, nothing
 * dropped. The rows are those of training (docs/interfaces.md, "Rows"), so positions restart at every row
 * start; or, with ae_perplexity_carry, each goes on with the state of the one before it, so that every token
 * is predicted from all of its document. */

typedef struct {
    int64_t targets; /* counted ones */
    double nats;     /* sum over them */
    double loss;     /* nats / targets; NaN without targets */
    /* nats / ln 2 / bytes of the counted targets' text; NaN when the set does not tell the bytes */
    double bits_per_byte;
} ae_perplexity;

/* What evaluations of one set have in common; made once. */
typedef struct {
    ae_token_set *set;  /* borrowed */
    ptrdiff_t B, T;     /* rows of a pass, tokens of a row */
    int64_t text_bytes; /* of the counted targets; -1 when not known */
    bool carry;         /* rows go on with the state of the row before */
} ae_perplexity_plan;

/* Reads the set once where its text bytes need it. */
ae_status ae_perplexity_prepare(ae_perplexity_plan *p, ae_token_set *set, ptrdiff_t B, ptrdiff_t T);

/* From now on rows go on from each other: one row of B T tokens at a time, in place of B rows. */
void ae_perplexity_carry(ae_perplexity_plan *p);

/* `pass` was made for at least B x T. Once *stop is not 0 (NULL: never asked) ends with
 * AE_ERR_INTERRUPTED. */
ae_status ae_perplexity_measure(ae_perplexity *r, const ae_perplexity_plan *p, const ae_model *m,
                                ae_pass *pass, const atomic_int *stop);

/* Bytes of the text of the tokens that count as targets: those that are not the first of their document and
 * that the set's mask lets count. From /doc_bytes, less the text of the tokens that do not count; -1 when
 * that cannot be known: no /doc_bytes, or a mask without the tokenizer that would tell what the masked tokens
 * stand for. */
ae_status ae_token_set_target_bytes(ae_token_set *set, int64_t *bytes);

#endif
