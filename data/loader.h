#ifndef AE_DATA_LOADER_H
#define AE_DATA_LOADER_H
#include "data/row_source.h"

/* Prefetches the batches of a row source: a thread makes those of steps first_step, first_step + 1, ... ahead of their use. */
typedef struct ae_loader ae_loader;

/* Takes the source over, also when it fails. `position`: what ae_loader_position gave after step first_step - 1, or NULL. */
ae_status ae_loader_start(ae_loader **l, ae_row_source source, int64_t first_step, const char *position);
/* The batch of the next step; valid until the next call. A failure of the source comes after the batches before it, and stays. */
ae_status ae_loader_next(ae_loader *l, const ae_batch **batch);
/* Where the batches handed out so far have led, as the source tells it; the caller frees it. */
ae_status ae_loader_position(const ae_loader *l, char **json);
/* Stops the thread; NULL is fine. */
void ae_loader_stop(ae_loader *l);

#endif
