#ifndef AE_TRAIN_ENGINE_H
#define AE_TRAIN_ENGINE_H
#include "train/benchmarks.h"
#include "train/events.h"
#include "train/made_folder.h"
#include "train/metrics.h"
#include "train/objective.h"
#include "train/prefetch.h"
#include "train/resume.h"
#include "train/saver.h"
#include "train/state.h"

/* The engine trains whatever an objective says (train/objective.h): it owns the steps, the run's folder
 * with checkpoints, metrics and events, the optimiser, signals, guards and what is told. */
typedef struct {
    const ae_train_config *config; /* borrowed */
    ae_objective objective;
    bool is_open;          /* the objective is */
    int lock;              /* of run.dir; 0: none yet */
    ae_made_folder folder; /* run.dir: `made` where this start made it and has its lock */

    /* ae_engine_open */
    ae_run_kind kind;
    char *checkpoint; /* gone on from; NULL for a fresh start */
    ae_backend be;
    ae_run_facts facts; /* told to the objective */
    ae_run_state state;
    bool new_score; /* evaluations up to here do not compare with those to come */

    /* ae_engine_start */
    ae_optimizer optimizer;
    ae_prefetch *prefetch;
    ae_metrics metrics;
    ae_events events;
    ae_saver *saver;
    ae_benchmarks *benchmarks; /* of eval.tasks; NULL: none */
    ae_gradients gradients;    /* of the last step */
    int64_t saved_step;        /* of the newest checkpoint, or the one being written; -1: none */
    int64_t marked_step;       /* where checkpoints/best leads; 0: it is not there */
    bool save_asked;           /* that one answers RUN/save.now */
    double peak_flops;         /* measured */
} ae_engine;

/* Trains: a run that is in run.dir already goes on, bit for bit as if it had never stopped. `dry_run`:
 * checks everything, tells the plan, writes nothing. `config` has been checked. */
ae_status ae_engine_train(const ae_train_config *config, const ae_objective *objective, bool dry_run);

/* The steps of ae_engine_train, for callers that need only some. `e` is zeroed before, and may be closed
 * at any time. */

/* Makes run.dir where it is not there and takes its lock, so that nobody changes what ae_engine_open reads
 * or renders there; AE_ERR_USAGE at once when another process trains it. */
ae_status ae_engine_lock(ae_engine *e, const ae_train_config *config);
/* Opens and checks every input and makes the plan; writes nothing but what an objective renders.
 * `in_folder`: what lies in run.dir
 * decides whether the run starts or goes on; else run.dir is not looked at, and only a plan is asked for.
 * After AE_ERR_RESOURCE the objective's plan holds what would have been needed. */
ae_status ae_engine_open(ae_engine *e, const ae_train_config *config, const ae_objective *objective,
                         bool in_folder);
/* Takes the memory, makes or loads the weights, makes the folder (and takes its lock) where nobody has, or
 * cuts its files to the checkpoint. */
ae_status ae_engine_start(ae_engine *e);
void ae_engine_close(ae_engine *e);

#endif
