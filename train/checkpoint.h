#ifndef AE_TRAIN_CHECKPOINT_H
#define AE_TRAIN_CHECKPOINT_H
#include "core/config.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "train/carry.h"
#include "train/state.h"

/* Checkpoints of a run, RUN/checkpoints/step-000123/:
 *
 *   weights.h5        one data set a parameter, float32, by its Hugging Face name
 *   optimizer.h5      m and v of every parameter
 *   carry.h5          where rows carry their state: what the next step's rows go on from
 *   model.json        the shape        config.yaml  the resolved configuration
 *   state.json        step, tokens, position of the loader, seed, offsets of the metrics, kernels, hashes of the token sets
 *   tokenizer.model   when the token set carries one
 *   DONE              CRC-32 and size of each file; written last
 *
 * Written into step-000123.partial, synced, then renamed: a folder without DONE is never read. RUN/checkpoints/best is a link to the
 * one with the lowest held-out loss, where that is kept. */
typedef struct {
    const ae_model *model;
    const ae_optimizer *optimizer;
    const ae_run_state *state;
    const ae_carry *carry; /* NULL where rows carry no state */
    const ae_config *config;
    const void *tokenizer; /* may be NULL */
    size_t tokenizer_bytes;
} ae_checkpoint_parts;

/* Which checkpoints stay when a new one is complete; one rule is enough. */
typedef struct {
    int64_t newest;      /* so many of the newest; 0: all */
    int64_t best_step;   /* this one; 0: none */
    int64_t marked_step; /* and this one, to which checkpoints/best leads until it is moved; 0: none */
    int64_t every;       /* those of steps that it divides; 0: none */
} ae_checkpoint_keep;

/* A checkpoint being written. */
typedef struct {
    char *run, *folder, *partial; /* owned */
    int64_t step;
    ae_checkpoint_keep keep;
    const ae_model *model;  /* borrowed */
    ae_optimizer optimizer; /* as it was: its memory is borrowed, its count of updates goes on elsewhere */
    const char *names[7];   /* the files */
    size_t n;
} ae_checkpoint_job;

/* Writes the checkpoint of state->step: first all but weights, m and v; then those, for which other threads may go on with anything that
 * leaves the parameters alone for which `written` was not called yet. At the end what no rule keeps is removed. A failure of either (a full
 * disk is AE_ERR_RESOURCE) leaves the older checkpoints as they were and nothing of the new one. A zeroed job may be freed. */
ae_status ae_checkpoint_begin(ae_checkpoint_job *j, const char *run, const ae_checkpoint_parts *parts,
                              const ae_checkpoint_keep *keep);
ae_status ae_checkpoint_write(const ae_checkpoint_job *j, ae_optimizer_call written);
void ae_checkpoint_job_free(ae_checkpoint_job *j);

/* RUN/checkpoints/best leads to the checkpoint of `step` from now on, or is removed where that is not complete. */
void ae_checkpoint_mark_best(const char *run, int64_t step);
/* Removes what no rule keeps; a folder that cannot be removed is warned about. Steps beyond `step` are damaged ones that the run has
 * gone back behind: they neither count nor go. */
void ae_checkpoint_prune(const char *run, int64_t step, const ae_checkpoint_keep *keep);

/* The newest folder below RUN/checkpoints whose files agree with its DONE (CRCs too when `thorough`, sizes else); one that does not is
 * warned about and passed over. *folder is NULL when there is none; the caller frees it. Where some have a DONE and none agrees with
 * it that is AE_ERR_INPUT: what they held is not given up in silence. */
ae_status ae_checkpoint_newest(const char *run, bool thorough, char **folder);

/* Removes what an interrupted save left behind. */
ae_status ae_checkpoint_clean(const char *run);

/* Host memory that a save needs for a while. */
size_t ae_checkpoint_bytes(const ae_params *params);

#endif
