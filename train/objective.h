#ifndef AE_TRAIN_OBJECTIVE_H
#define AE_TRAIN_OBJECTIVE_H
#include "data/tokenizer.h"
#include "model/model.h"
#include "ops/backend.h"
#include "optim/optimizer.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/numbers.h"
#include "train/override.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What is learnt, as a value: functions over a context. The engine (train/engine.h) runs the steps and
 * knows no more of them than this. Functions marked "optional" may be NULL. Those that fail return the
 * status with which the run ends. */

/* What the engine tells an objective; good from `open` to `close`. It stays as it is from `start` on, so
 * that the thread of `next` may read it too. */
typedef struct {
    const ae_train_config *config;
    ae_backend *be;
    const char *checkpoint; /* folder that the run goes on from; NULL: a fresh start */
    bool writes;            /* run.dir is looked at; else only a plan is asked for */
    int64_t step;           /* done when the run starts or goes on */
    uint64_t seed;
    const atomic_int *stop; /* not 0: whatever takes long ends with AE_ERR_INTERRUPTED */
} ae_run_facts;

/* The gradients of one piece of work, as `gradients` leaves them. */
typedef struct {
    ae_numbers numbers; /* for the line of metrics: one at least, the first is shown while the run goes on */
    bool finite;        /* false: the step does not count, and the engine updates nothing */
    const char *empty;  /* "its batch has no counted target": why there was nothing to learn; else NULL */
    const char *remedy; /* what to do where that goes on; NULL: "look at the data" */
    int64_t tokens;     /* inputs, padding left out */
    double flops;       /* model FLOPs, forward and backward */
    double rate;        /* factor of the learning rate; 0 counts as 1 */
} ae_gradients;

/* The model that is trained and how text becomes its tokens, for benchmarks (train/benchmarks.h). */
typedef struct {
    const ae_model *model;         /* weights from `start` on */
    const ae_tokenizer *tokenizer; /* NULL: there is none */
    int64_t vocab;
} ae_subject;

/* An evaluation. */
typedef struct {
    ae_numbers numbers; /* for the line of metrics; `score` among them */
    char told[160];     /* "held-out loss 3.21", for people; "": the numbers themselves */
} ae_evaluation;

typedef struct {
    void *self; /* first argument of every function */

    /* "reward": a run goes on with the objective that made it. NULL: pretraining, which state.json does not
     * name. */
    const char *name;
    const ae_checkpoint_name *files; /* what it writes into a checkpoint */
    /* Lists that end with NULL: files that DONE lists first, keys that state.json has first, the engine's
     * among them. The others follow as they were added. May be NULL. */
    const char *const *file_order, *const *key_order;
    const ae_fixed_fact *facts; /* what it compares itself when a run goes on; may be NULL */
    /* The number that decides which evaluation is best, "eval_loss": its name begins with eval_, and no
     * number of a step does. NULL: there are no evaluations. */
    const char *score;
    bool higher;     /* the higher score is the better one */
    bool from_start; /* a fresh run is evaluated before its first step too; never the best */

    /* ---- before anything is written ---- */
    ae_status (*open)(void *self, const ae_run_facts *run); /* its inputs; `run` is kept */
    ae_status (*begin)(void *self);                         /* a fresh run; optional */
    /* A run that goes on: `state` holds the keys that `keys` wrote; what must be as it was is compared
     * through `o`. Optional. */
    ae_status (*resume)(void *self, const json_t *state, ae_overrides *o);
    ae_status (*plan)(void *self);    /* memory: AE_ERR_RESOURCE where it does not fit; optional */
    void (*report)(const void *self); /* lines before the first step; optional */
    ae_status (*start)(void *self);   /* memory, weights, its files of run->checkpoint */
    /* Every parameter that is updated, of however many models; names, values and gradients live until
     * `close`. The caller frees the list. */
    ae_status (*parameters)(void *self, ae_optim_param **params, ptrdiff_t *n);

    /* ---- work: a thread makes pieces ahead, one after another, while `gradients` uses others ---- */
    size_t piece_bytes; /* size of a piece, zeroed at first; 0: new_work and free_work make pieces */
    ae_status (*new_work)(void *self, void **work);
    void (*free_work)(void *self, void *work); /* NULL is fine */
    ae_status (*next)(void *self, void *work); /* fills a piece with what comes next; in the thread */

    /* ---- steps ---- */
    /* Adds the gradients of the work's loss to those of the parameters, which are 0. `g` is zeroed but for
     * its numbers' memory. Where it fails or is interrupted, what `keys` and `save` write stays as it was
     * before the work: the run may be saved without this step. `settled` moves it on. AE_ERR_GUARD ends a run that
     * is saved so. */
    ae_status (*gradients)(void *self, void *work, ae_gradients *g);
    /* After the update, or after it was left out because something was not finite (`counted` is false):
     * the step is done either way. Optional. */
    void (*settled)(void *self, void *work, bool counted);
    ae_status (*dump)(void *self, const void *work, const char *path); /* a bad piece, as HDF5; optional */

    /* ---- between steps ---- */
    bool (*evaluates)(const void *self); /* whether it can; optional: it does when `evaluate` is there */
    ae_status (*evaluate)(void *self, ae_evaluation *e); /* optional */
    ae_subject (*subject)(const void *self);             /* whom eval.tasks asks; optional: nobody */
    /* After the evaluation of a step: files that show how far the run is. Where they cannot be written
     * (AE_ERR_USAGE, AE_ERR_INPUT, AE_ERR_RESOURCE) the run warns and goes on. Optional. */
    ae_status (*sample)(void *self, int64_t step);
    /* Its files of a checkpoint (ae_checkpoint_add) and its keys of state.json, after the work that
     * `gradients` had last. Optional. */
    ae_status (*save)(void *self, ae_checkpoint_job *job);
    ae_status (*keys)(void *self, json_t *state);

    void (*close)(void *self); /* at any time after `open`, even a failed one; leaves *self zeroed */
} ae_objective;

static inline bool ae_objective_evaluates(const ae_objective *o) {
    return o->evaluate && (!o->evaluates || o->evaluates(o->self));
}

#endif
