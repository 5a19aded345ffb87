#ifndef AE_TRAIN_PREFETCH_H
#define AE_TRAIN_PREFETCH_H
#include "train/objective.h"

/* Pieces of an objective's work, made ahead by a thread: one is used, the others wait. */
enum { AE_PREFETCH_PIECES = 4 };

typedef struct ae_prefetch ae_prefetch;

ae_status ae_prefetch_start(ae_prefetch **p, const ae_objective *objective);
/* The next piece, valid until the next call; or what making it failed with. */
ae_status ae_prefetch_next(ae_prefetch *p, void **work);
void ae_prefetch_stop(ae_prefetch *p); /* NULL is fine */

#endif
