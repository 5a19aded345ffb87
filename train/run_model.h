#ifndef AE_TRAIN_RUN_MODEL_H
#define AE_TRAIN_RUN_MODEL_H
#include "data/tokenizer.h"
#include "exchange/adapter_merge.h"

/* A model argument and an adapter argument, as verbs that use models take them (--model M [--adapter A]). A
 * model may be what train/run_folder.h says, or a checkpoint or run with an adapter, which brings the base
 * that it names. An adapter is a checkpoint with adapter.json, or a run of such (its newest complete
 * checkpoint). */
typedef struct {
    ae_model_source base;
    ae_adapter_source adapter;
    bool adapted;
    bool score_head; /* ae_run_model_verify: the base or the adapter has the head of a reward model */
} ae_run_model;

/* `adapter` NULL: none, unless the model is one. Reads no weights. AE_ERR_INPUT; where the base that an
 * adapter names cannot be opened, the message says how to name it. */
ae_status ae_run_model_open(ae_run_model *r, const char *model, const char *adapter);
/* Both sources, as ae_model_source_verify_head and ae_adapter_source_verify do it. */
ae_status ae_run_model_verify(ae_run_model *r);
void ae_run_model_free(ae_run_model *r);

/* tokenizer.model of the base, else of the adapter; NULL when neither has one. */
const char *ae_run_model_tokenizer(const ae_run_model *r);
/* Whether that is `ours`, byte for byte; true where either has none (`ours` NULL), so that nothing can be told. */
ae_status ae_run_model_same_tokenizer(const ae_run_model *r, const ae_tokenizer *ours, bool *same);
/* The options that the model gets: `o`, with what an adapter adds, and a head where there is one. */
ae_model_options ae_run_model_options(const ae_run_model *r, const ae_model_options *o);
/* The model of verified sources. */
ae_status ae_run_model_load(ae_model *m, const ae_backend *be, const ae_run_model *r,
                            const ae_model_options *o);

#endif
