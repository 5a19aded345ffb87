#ifndef AE_CLI_LOADED_H
#define AE_CLI_LOADED_H
#include "data/tokenizer.h"
#include "model/model.h"

/* A model ready to be used, as the verbs that only read one want it. Not to be moved once open. */
typedef struct {
    ae_backend be;
    ae_model model;
    ae_tokenizer *tokenizer; /* NULL where the model has none */
    char *objective; /* what trained it last, as a run's state.json says; NULL: unknown, or pretraining */
} ae_loaded;

/* `path` and `adapter` (NULL: none) as train/run_model.h takes them. `dtype` as --dtype names it; threads 0:
 * the machine's. Says in one line what was loaded. A model that does not fit in memory is AE_ERR_RESOURCE
 * before anything is read. */
ae_status ae_loaded_open(ae_loaded *l, const char *path, const char *adapter, const char *dtype,
                         int64_t threads);
/* The same of a reward model: AE_ERR_INPUT where the head, score.weight, is missing. The other one warns
 * where there is a head that it has no use for. */
ae_status ae_loaded_open_reward(ae_loaded *l, const char *path, const char *adapter, const char *dtype,
                                int64_t threads);
void ae_loaded_close(ae_loaded *l);

#endif
