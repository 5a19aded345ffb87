#ifndef AE_TRAIN_STATE_H
#define AE_TRAIN_STATE_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What a run remembers besides weights and optimiser: state.json of a checkpoint. Every text is owned. */
typedef struct {
    int64_t step;   /* done */
    int64_t tokens; /* inputs so far, padding left out */
    int64_t skipped_in_row;
    int64_t evaluated_step; /* the last one; 0: none yet */
    int64_t best_step;      /* of the best evaluation; 0: none yet */
    double best_score;
    char *score; /* name of the number that decides which is best, "eval_loss"; NULL: nothing is evaluated */
    int64_t metrics_offset, events_offset;
    uint64_t
        seed; /* of all random numbers; they are counter-based: (seed, stream, step) is their whole state */
    char *events_name;
    char *objective;          /* its name; NULL: pretraining */
    char *kernels;            /* of the backend */
    char *config;             /* resolved configuration, JSON */
    char *overrides;          /* what was changed on the way, JSON (override.h); NULL: nothing */
    const char *const *order; /* borrowed, NULL at its end: keys that come first in the file; may be NULL */
    json_t *own;              /* an object: the keys that the objective adds */
} ae_run_state;

/* An evaluation of its step: the last one, and the best where it is. `higher`: the higher score is the
 * better one. */
void ae_run_state_evaluated(ae_run_state *s, double score, bool higher);
void ae_run_state_free(ae_run_state *s);
ae_status ae_run_state_write(const ae_run_state *s, const char *path);
/* Missing or wrong entries are AE_ERR_INPUT; what the engine does not know is `own`. */
ae_status ae_run_state_read(ae_run_state *s, const char *path);
/* Replaces an owned text by a copy of another. */
ae_status ae_run_state_set(char **text, const char *value);

#endif
