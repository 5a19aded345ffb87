#ifndef AE_TRAIN_STATE_H
#define AE_TRAIN_STATE_H
#include "core/status.h"

#include <stdint.h>

/* What a run remembers besides weights and optimiser: state.json of a checkpoint. Every text is owned. */
typedef struct {
    int64_t step;   /* done */
    int64_t tokens; /* inputs so far, padding left out */
    int64_t skipped_in_row;
    int64_t evaluated_step; /* the last one; 0: none yet */
    int64_t best_step;      /* of the lowest eval_loss; 0: none yet */
    double best_loss;
    int64_t metrics_offset, events_offset;
    int64_t micro_rows, recompute_blocks; /* what the plan chose: bits depend on the first */
    uint64_t
        seed; /* of all random numbers; they are counter-based: (seed, stream, step) is their whole state */
    char *events_name;
    char *kernels;   /* of the backend */
    char *loader;    /* position, JSON */
    char *data;      /* sets and phases, JSON (resume.h) */
    char *config;    /* resolved configuration, JSON */
    char *overrides; /* what was changed on the way, JSON (override.h); NULL: nothing */
} ae_run_state;

/* An evaluation of its step: the last one, and the best where it is. */
void ae_run_state_evaluated(ae_run_state *s, double loss);
void ae_run_state_free(ae_run_state *s);
ae_status ae_run_state_write(const ae_run_state *s, const char *path);
/* Missing or wrong entries are AE_ERR_INPUT. */
ae_status ae_run_state_read(ae_run_state *s, const char *path);
/* Replaces an owned text by a copy of another. */
ae_status ae_run_state_set(char **text, const char *value);

#endif
