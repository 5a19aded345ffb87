#ifndef AE_TRAIN_TUNED_H
#define AE_TRAIN_TUNED_H
#include "data/kind.h"
#include "model/pass.h"
#include "train/inputs.h"
#include "train/objective.h"
#include "train/plan.h"
#include "train/tune_config.h"

/* The model that sft, reward and rlhf tune: model.init with all parameters training, or with adapters beside
 * weights that do not (lora.*), with or without a scalar head. It is the first member of the context of their
 * objectives (train/objective.h), which add their work and their loss. */
typedef struct {
    ae_tune_config *config;  /* borrowed; train.steps is set where train.epochs is given */
    const ae_run_facts *run; /* borrowed */
    bool score_head;
    bool head_only;        /* nothing but the head trains */
    const char *head_from; /* borrowed: a reward model whose head is taken at the start; "" or NULL: none */
    const char *rendered;  /* borrowed: a folder for what is rendered; NULL: the run's own */
    ae_data_kind kind;     /* of the rows of JSON lines */
    bool dry_run;          /* writes nothing that stays */
    ptrdiff_t step_rows;   /* rows of a step at most; 0: train.batch_rows */
    ae_plan_beside beside; /* for the plan, set before it is made */
    ae_inputs inputs;
    char *sets[2];  /* data.train and data.heldout, token sets in the place of JSON lines */
    char *scratch;  /* a folder for them that goes again; NULL: they are in the run's */
    json_t *facts;  /* of the inputs: state.json's "data" */
    char *position; /* of the work after the last step, JSON; NULL: a fresh run that has not started */
    int64_t micro_rows, recompute_blocks; /* what the plan chose: bits depend on the first */
    ae_plan_request request;
    ae_plan plan;
    ae_lora_patterns patterns;
    const char **trains; /* patterns of the parameters that train; NULL: all */
    ae_model model;
    ae_pass *pass;
    char *adapter; /* adapter.json; NULL where all parameters train */
} ae_tuned;

/* weights.h5 (what trains), model.json, tokenizer.model, and with adapters adapter.json. */
extern const ae_checkpoint_name ae_tuned_files[];
/* data.train and data.tokenizer, as pretraining compares them. */
extern const ae_fixed_fact ae_tuned_facts[];

/* What the table has beyond the shape, how weights that do not train are kept, and what trains: from the keys
 * alone. The texts that it points to live until ae_tuned_close. */
ae_status ae_tuned_options(ae_tuned *t, ae_model_options *o);

/* The same after ae_tuned_open; after the plan with what that chose. */
ae_model_options ae_tuned_model_options(const ae_tuned *t);

ae_status ae_tuned_open(ae_tuned *t, const ae_run_facts *run);
/* Between steps `heldout_rows` rows are scored, and prompts of up to `prompt_tokens` are answered with up to
 * `max_new`, `answers` at once; 0 where there are none. */
ae_status ae_tuned_plan(ae_tuned *t, int64_t heldout_rows, ptrdiff_t prompt_tokens, int64_t max_new,
                        ptrdiff_t answers);
void ae_tuned_report(const ae_tuned *t);
/* Sets of examples without weights of their own are read equally often: each is drawn by its `pieces`, rows
 * or pairs. Text among them (0 pieces), weights and phases leave all as it is. Before the first piece is
 * drawn, and after the weights of the keys were compared. */
void ae_tuned_weigh_sets(ae_tuned *t, const int64_t *pieces);
/* How often the run reads the examples, over all sets, told for each where there are several. */
double ae_tuned_report_epochs(const ae_tuned *t, const int64_t *pieces);
/* Memory and weights of the model, and a pass over micro-batches. */
ae_status ae_tuned_start(ae_tuned *t);
/* A step is done: the run's position becomes *position, which is taken over. */
void ae_tuned_settle(ae_tuned *t, char **position);
void ae_tuned_close(ae_tuned *t);

/* What their objectives have in common: files and facts, begin, resume, parameters, evaluations of a
 * held-out set by its loss, save, keys of state.json (micro_rows, recompute_blocks, loader, data). `self`
 * begins with an ae_tuned; the rest is the caller's. */
ae_objective ae_tuned_objective(void *self, const char *name);

/* Its `save`, for an objective that does more there. */
ae_status ae_tuned_save(void *self, ae_checkpoint_job *job);

/* Model FLOPs of a token, forward and backward: frozen weights have no gradient of their own. */
double ae_tuned_flops_per_token(const ae_tuned *t);

#endif
