#ifndef AE_TRAIN_RUN_H
#define AE_TRAIN_RUN_H
#include "data/loader.h"
#include "data/tokenizer.h"
#include "eval/perplexity.h"
#include "exchange/source.h"
#include "train/carry.h"
#include "train/config.h"
#include "train/events.h"
#include "train/metrics.h"
#include "train/plan.h"
#include "train/resume.h"
#include "train/saver.h"
#include "train/state.h"

/* Everything that a run of training on token sets holds, in the order in which it comes to life. */
typedef struct {
    const ae_train_config *config; /* borrowed */
    int lock;                      /* of run.dir; 0: none yet */

    /* inputs: ae_run_open */
    ae_run_kind kind;
    char *checkpoint; /* gone on from; NULL for a fresh start */
    bool new_rows;    /* not with its rows, and so without its carried state (override.h) */
    ae_backend be;
    ae_mixture data;
    ae_token_set *heldout;   /* NULL without one */
    ae_tokenizer *tokenizer; /* NULL when neither the sets nor model.init carry one */
    ae_model_source source;  /* of model.init */
    ae_model_config shape;
    ae_run_state state;
    ae_plan_request request;
    ae_plan plan;

    /* what trains and what is written: ae_run_start */
    ae_model model;
    ae_pass *pass;
    ae_optimizer optimizer;
    ae_loader *loader;
    ae_carry carry; /* where train.carry_state */
    ae_perplexity_plan evaluation;
    ae_metrics metrics;
    ae_events events;
    ae_saver *saver;
    int64_t saved_step;  /* of the newest checkpoint, or the one being written; -1: none */
    int64_t marked_step; /* where checkpoints/best leads; 0: it is not there */
    bool save_asked;     /* that one answers RUN/save.now */
    double peak_flops;   /* measured */
} ae_run;

/* Takes the lock of a run that is there, so that nobody changes what ae_run_open reads; AE_ERR_USAGE at once when another process trains it.
 * Else nothing happens: a folder is made and locked by ae_run_start. `run` is zeroed before. */
ae_status ae_run_lock(ae_run *run, const ae_train_config *config);
/* Opens and checks every input and makes the plan; writes nothing. `config` must have been checked. `in_folder`: what lies in run.dir
 * decides whether the run starts or goes on; else run.dir is not looked at, and data.train may be empty. After AE_ERR_RESOURCE the plan
 * holds what would have been needed. `run` is zeroed or locked before, and may be closed at any time. */
ae_status ae_run_open(ae_run *run, const ae_train_config *config, bool in_folder);
/* Takes the memory, makes or loads the weights, makes the folder or cuts its files to the checkpoint. */
ae_status ae_run_start(ae_run *run);
void ae_run_close(ae_run *run);

/* Which checkpoints stay as things are. */
ae_checkpoint_keep ae_run_keep(const ae_run *run);
/* checkpoints/best leads to the best of the checkpoints that are complete; the one before it goes where no other rule keeps it. */
void ae_run_mark_best(ae_run *run);

/* Tokens of a global step, padding included. */
int64_t ae_run_step_tokens(const ae_run *run);

#endif
