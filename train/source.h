#ifndef AE_TRAIN_SOURCE_H
#define AE_TRAIN_SOURCE_H
#include "model/config.h"

/* What a "model" argument names: a Hugging Face folder, a checkpoint, or a run (its newest complete checkpoint). */
typedef struct {
    ae_model_config config;
    char *weights;   /* for ae_model_load */
    char *tokenizer; /* path of the sentencepiece model; NULL where there is none */
} ae_model_source;

/* AE_ERR_INPUT, saying what was looked for, when the path is none of them. */
ae_status ae_model_source_open(ae_model_source *s, const char *path);
void ae_model_source_free(ae_model_source *s);

#endif
