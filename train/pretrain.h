#ifndef AE_TRAIN_PRETRAIN_H
#define AE_TRAIN_PRETRAIN_H
#include "eval/perplexity.h"
#include "model/pass.h"
#include "train/carry.h"
#include "train/inputs.h"
#include "train/objective.h"
#include "train/plan.h"

/* Pretraining: the next token of the rows of token sets (docs/interfaces.md, "Rows"), the first objective
 * of the engine. */

/* Trains on token sets as the configuration says; goes on with a run that is in run.dir already, bit for
 * bit as if it had never stopped. `dry_run`: checks everything, tells the plan, writes nothing. */
ae_status ae_pretrain(const ae_train_config *config, bool dry_run);

/* What pretraining holds, in the order in which it comes to life. Zeroed at first. */
typedef struct {
    /* For a plan alone: how another objective would keep the model. Borrowed; NULL: all trains. */
    const ae_model_options *planned;
    const ae_run_facts *run; /* borrowed */
    ae_inputs inputs;
    json_t *facts;  /* of the inputs: state.json's "data" */
    char *position; /* of the rows after the last step, JSON; NULL: a fresh run that has not started */
    bool new_rows; /* the run goes on, but not with its rows, and so without its carried state (override.h) */
    int64_t micro_rows, recompute_blocks; /* what the plan chose: bits depend on the first */
    ae_plan_request request;
    ae_plan plan;

    ae_model model;
    ae_pass *pass;
    ae_carry carry; /* where train.carry_state */
    ae_row_source rows;
    ae_perplexity_plan evaluation;
} ae_pretraining;

/* The value for the engine over such a context. */
ae_objective ae_pretraining_objective(ae_pretraining *p);

/* What it adds to a checkpoint:
 *
 *   weights.h5        one data set a parameter, float32, by its Hugging Face name
 *   model.json        the shape
 *   tokenizer.model   when the token set or model.init carries one
 *   carry.h5          where rows carry their state: what the next step's rows go on from
 *
 * and to state.json: micro_rows, recompute_blocks, loader (position of the rows), data (hashes of the
 * token sets, phases). */
extern const ae_checkpoint_name ae_pretrain_files[];

/* Tokens of a global step, padding included. */
int64_t ae_pretrain_step_tokens(const ae_train_config *c);

#endif
