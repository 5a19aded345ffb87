#ifndef AE_EXCHANGE_SOURCE_H
#define AE_EXCHANGE_SOURCE_H
#include "model/model.h"

/* What a "model" argument may be: a Hugging Face folder (config.json), a checkpoint (model.json, weights.h5, DONE), or a run (its
 * newest complete checkpoint). */

typedef enum { AE_SOURCE_HF, AE_SOURCE_CHECKPOINT } ae_source_kind;

typedef struct {
    ae_source_kind kind;
    char *folder; /* of the files: for a run, the checkpoint's */
    ae_model_config config;
    ae_weight_type weights; /* INT8 or INT4 of a quantised folder, else F32 */
    ptrdiff_t group;        /* its columns that share a scale */
    char *tensors;          /* for ae_tensors_open and ae_model_load */
    char *tokenizer;        /* tokenizer.model there; NULL when there is none */
} ae_model_source;

/* Reads the configuration, not the weights. AE_ERR_INPUT for a folder that is nothing of the three, or half-written, or whose small files
 * and sizes are not those in its DONE. */
ae_status ae_model_source_open(ae_model_source *s, const char *path);
/* Before weights are used or memory for them is taken: whether they are whole (of a checkpoint the CRC-32 in DONE, which reads the file
 * once) and what the configuration asks for: names, shapes, bits and groups of integers. AE_ERR_INPUT. */
ae_status ae_model_source_verify(const ae_model_source *s);
void ae_model_source_free(ae_model_source *s);

/* Steps of the folders RUN/checkpoints/step-000123, rising, complete or not; none without the folder. */
typedef struct {
    int64_t *steps;
    size_t n;
} ae_checkpoint_list;
ae_status ae_checkpoint_list_steps(ae_checkpoint_list *l, const char *run);
void ae_checkpoint_list_free(ae_checkpoint_list *l);
/* Folder of a run's step: "RUN/checkpoints/step-000123"; the caller frees it. */
char *ae_checkpoint_path(const char *run, int64_t step);

/* The newest complete checkpoint of a run's folder (caller frees); NULL with AE_OK when it has none. `step` may be NULL. */
ae_status ae_newest_checkpoint(char **folder, int64_t *step, const char *run);

/* A model of what stands at `path`, verified: memory, values and packed forms. */
ae_status ae_model_open(ae_model *m, const ae_backend *be, const char *path, bool training);
/* The same of a source that was verified. */
ae_status ae_model_open_source(ae_model *m, const ae_backend *be, const ae_model_source *s, bool training);

#endif
