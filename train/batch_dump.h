#ifndef AE_TRAIN_BATCH_DUMP_H
#define AE_TRAIN_BATCH_DUMP_H
#include "data/batch.h"

/* A batch as it was given to the model, as HDF5: tokens, targets, positions and weights, [B, T] each. */
ae_status ae_batch_dump(const ae_batch *b, const char *path);

#endif
