#ifndef AE_TRAIN_CARRY_H
#define AE_TRAIN_CARRY_H
#include "data/batch.h"
#include "model/decode.h"
#include "model/pass.h"

/* What rows carry from step to step (train.carry_state): row b of a step goes on from the state that row b
 * of the step before left, so that a document longer than a row keeps its past. There are two states,
 * since backward starts from the one that forward found.
 *
 * A row that has lost its state (the step before was not finite) begins like a document; its positions
 * count from there until the next document starts. */
typedef struct {
    ae_decode_state states[2]; /* of all rows of a step */
    int now;                   /* the one that the next step starts from */
    int32_t *bases;     /* [B] where the open document of a row counts from: 0 unless its state was lost */
    int32_t *positions; /* [B, T] of the step at work, as the states count them */
    ae_carried_rows rows;
} ae_carry;

/* Host and device. */
size_t ae_carry_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B, ptrdiff_t T);
/* All rows start empty. */
ae_status ae_carry_init(ae_carry *c, const ae_model *m, ptrdiff_t B, ptrdiff_t T);
void ae_carry_free(ae_carry *c);

/* The batch with its positions as the states count them, and what its rows go on from: both good until
 * ae_carry_end. */
ae_batch ae_carry_begin(ae_carry *c, const ae_batch *batch);
/* After the pass: the next step goes on from what this one left; or, where that is not finite, no row
 * does. */
void ae_carry_end(ae_carry *c, bool finite);

/* The state between two steps as HDF5: `positions`, `bases` and two data sets a block, as the backend
 * stores them. */
ae_status ae_carry_save(const ae_carry *c, const char *path);
/* A state of other sizes is AE_ERR_INPUT. */
ae_status ae_carry_load(ae_carry *c, const char *path);

#endif
