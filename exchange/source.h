#ifndef AE_EXCHANGE_SOURCE_H
#define AE_EXCHANGE_SOURCE_H
#include "model/model.h"

/* A model on the disk: a Hugging Face folder (config.json) or a checkpoint (model.json, weights.h5, DONE).
 * train/run_folder.h finds the checkpoint of a run. */

typedef enum { AE_SOURCE_HF, AE_SOURCE_CHECKPOINT } ae_source_kind;

typedef struct {
    ae_source_kind kind;
    char *folder; /* of the files */
    ae_model_config config;
    ae_weight_type weights; /* INT8 or INT4 of a quantised folder, else F32 */
    ptrdiff_t group;        /* its columns that share a scale */
    char *tensors;          /* for ae_tensors_open and ae_model_load */
    char *tokenizer;        /* tokenizer.model there; NULL when there is none */
} ae_model_source;

/* Reads the configuration, not the weights. AE_ERR_INPUT for a folder that is neither, or half-written, or
 * whose small files and sizes are not those in its DONE. */
ae_status ae_model_source_open(ae_model_source *s, const char *path);
/* The same of a folder that must be a checkpoint. */
ae_status ae_model_source_open_checkpoint(ae_model_source *s, const char *path);
/* Before weights are used or memory for them is taken: whether they are whole (of a checkpoint the CRC-32 in
 * DONE, which reads the file once) and what the configuration asks for: names, shapes, bits and groups of
 * integers. AE_ERR_INPUT. */
ae_status ae_model_source_verify(const ae_model_source *s);
/* The same, where the files may have what the options add to the shape, and may lack it. */
ae_status ae_model_source_verify_with(const ae_model_source *s, const ae_params_options *o);
/* The same, where the files may have the head of a reward model, score.weight; *has_head says whether they
 * do. */
ae_status ae_model_source_verify_head(const ae_model_source *s, bool *has_head);
void ae_model_source_free(ae_model_source *s);

/* A model of what stands at `path`, verified: memory, values and packed forms. Adapters and heads of the
 * options that it lacks begin with the initial values of seed 0. */
ae_status ae_model_open(ae_model *m, const ae_backend *be, const char *path, const ae_model_options *options);
/* The same of a source that was verified. */
ae_status ae_model_open_source(ae_model *m, const ae_backend *be, const ae_model_source *s,
                               const ae_model_options *options);

#endif
