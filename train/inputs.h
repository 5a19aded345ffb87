#ifndef AE_TRAIN_INPUTS_H
#define AE_TRAIN_INPUTS_H
#include "data/row_source.h"
#include "data/tokenizer.h"
#include "exchange/source.h"
#include "train/config.h"
#include "train/override.h"

/* What a model is trained on and starts from: token sets, the tokenizer that they and model.init agree on,
 * and the shape. */
typedef struct {
    /* Set before anything is opened: token sets in place of data.train and data.heldout (NULL: those), and
     * whether model.init may have a scalar head. */
    const char *train_sets, *heldout_set;
    bool score_head;

    ae_mixture data;
    ae_token_set *heldout;   /* NULL without one */
    ae_tokenizer *tokenizer; /* NULL when neither the sets nor model.init carry one */
    ae_model_source source;  /* of model.init, or of the checkpoint that the run goes on from */
    ae_model_config shape;
} ae_inputs;

/* data.train (which may be empty: a plan can be made for a shape alone) and data.heldout, and whether they
 * agree. */
ae_status ae_inputs_open_data(ae_inputs *in, const ae_train_config *c);
/* The shape of a fresh run: of model.init, with its tokenizer, or of the keys. */
ae_status ae_inputs_begin(ae_inputs *in, const ae_train_config *c);
/* What decides the order and content of the rows besides the keys, and what they are evaluated on: {"sets":
 * hashes, "phases": weights, "heldout"?: hash}. Paths are no part of it: a set may move. AE_ERR_INPUT where
 * the sets, up to a hundred million tokens, are not what their own hashes were made of. The caller releases
 * *facts. */
ae_status ae_inputs_facts(const ae_inputs *in, json_t **facts);
/* The shape of a checkpoint, with its tokenizer. What must be as it was, or be listed by run.override: the
 * tokenizer and the hashes of the sets, the held-out one where both have one (AE_ERR_INPUT), their weights
 * and phases (AE_ERR_USAGE), `then` being the facts of the checkpoint; the shape (AE_ERR_USAGE; never
 * overridden). The caller releases *now, the facts as they are. */
ae_status ae_inputs_resume(ae_inputs *in, const ae_train_config *c, const char *checkpoint,
                           const json_t *then, ae_overrides *o, json_t **now);
void ae_inputs_close(ae_inputs *in);

#endif
