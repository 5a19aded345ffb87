#ifndef AE_TRAIN_CHECKPOINT_H
#define AE_TRAIN_CHECKPOINT_H
#include "core/status.h"
#include "model/params.h"
#include "optim/optimizer.h"

#include <stdbool.h>

/* Checkpoints of a run, RUN/checkpoints/step-000123/:
 *
 *   optimizer.h5      m and v of every parameter
 *   config.yaml       the resolved configuration
 *   state.json        step, tokens, seed, offsets of the metrics, kernels, and what the objective adds
 *   ...               what the objective adds (train/pretrain.h)
 *   DONE              CRC-32 and size of each file; written last
 *
 * Written into step-000123.partial, synced, then renamed: a folder without DONE is never read.
 * RUN/checkpoints/best is a link to the one with the best evaluation, where that is kept. */

/* Which checkpoints stay when a new one is complete; one rule is enough. */
typedef struct {
    int64_t newest;      /* so many of the newest; 0: all */
    int64_t best_step;   /* this one; 0: none */
    int64_t marked_step; /* and this one, to which checkpoints/best leads until it is moved; 0: none */
    int64_t every;       /* those of steps that it divides; 0: none */
} ae_checkpoint_keep;

/* A file that belongs to checkpoints: the list of those that an objective writes ends with a name of NULL. */
typedef struct {
    const char *name;
    bool optional; /* some checkpoints have none */
} ae_checkpoint_name;
/* Those of the engine, in every checkpoint: optimizer.h5, config.yaml, state.json. */
extern const ae_checkpoint_name ae_checkpoint_engine_files[];

typedef ae_status ae_checkpoint_writer(void *context, const char *path);

/* One file of a checkpoint that is being written. */
typedef struct {
    char *name;                  /* owned */
    ae_checkpoint_writer *write; /* NULL: it is there */
    void *context;
} ae_checkpoint_file;

/* A checkpoint that is being written. */
typedef struct {
    char *run, *folder, *partial; /* owned */
    int64_t step;
    ae_checkpoint_keep keep;
    ae_optimizer optimizer; /* as it was: its memory is borrowed, its count of updates goes on elsewhere */
    ae_checkpoint_file *files;
    size_t n;
    const char *const *order; /* borrowed, NULL at its end: files that DONE lists first; may be NULL */
} ae_checkpoint_job;

/* Starts the checkpoint of `step`. Files are added after it, those that are small and change between steps
 * by ae_checkpoint_add, which writes them; those made of parameters by ae_checkpoint_add_later. A name is
 * added once. On failure the caller gives the job up. */
ae_status ae_checkpoint_begin(ae_checkpoint_job *j, const char *run, int64_t step,
                              const ae_checkpoint_keep *keep);
ae_status ae_checkpoint_add(ae_checkpoint_job *j, const char *name, ae_checkpoint_writer *write,
                            void *context);
ae_status ae_checkpoint_add_bytes(ae_checkpoint_job *j, const char *name, const void *bytes, size_t n);
ae_status ae_checkpoint_add_later(ae_checkpoint_job *j, const char *name, ae_checkpoint_writer *write,
                                  void *context);
/* Writes what was added for later, then optimizer.h5 and DONE; renames the folder; removes what no rule
 * keeps. Other threads may go on with anything that leaves the parameters alone for which `written` was
 * not called yet. A failure (a full disk is AE_ERR_RESOURCE) leaves the older checkpoints as they were and
 * nothing of the new one. */
ae_status ae_checkpoint_write(ae_checkpoint_job *j, ae_optimizer_call written);
/* Removes what was written, and keeps the message of the failure. */
void ae_checkpoint_give_up(const ae_checkpoint_job *j);
void ae_checkpoint_job_free(ae_checkpoint_job *j); /* a zeroed one too */

/* RUN/checkpoints/best leads to the checkpoint of `step` from now on, or is removed where that is not
 * complete. */
void ae_checkpoint_mark_best(const char *run, int64_t step);
/* Removes what no rule keeps; a folder that cannot be removed is warned about. Later steps are damaged
 * checkpoints; they are not counted and not removed. */
void ae_checkpoint_prune(const char *run, int64_t step, const ae_checkpoint_keep *keep);

/* The newest folder below RUN/checkpoints whose files agree with its DONE (CRCs too when `thorough`, sizes
 * else) and whose DONE lists those of the engine and of the objective, `files`; one that does not is
 * warned about and passed over. *folder is NULL when there is none; the caller frees it. Where some have a
 * DONE and none agrees with it that is AE_ERR_INPUT: the run does not start anew in silence. */
ae_status ae_checkpoint_newest_intact(const char *run, const ae_checkpoint_name *files, bool thorough,
                                      char **folder);

/* Removes what an interrupted save left behind. */
ae_status ae_checkpoint_clean(const char *run);

/* Host memory that a save needs for a while. */
size_t ae_checkpoint_bytes(const ae_params *params);

#endif
